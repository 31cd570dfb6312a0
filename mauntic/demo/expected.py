"""Count the sample data from the files in plain Python: the expected results of the demo.

This module shares with the importer only how a file is read and the names of the organizations. It
repeats the meaning and time of each row, so that a mistake in either one is found.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

from mauntic.demo.importer import CAMPAIGNS, FASHION_SHOP, RETAILER, rows_of

Key = tuple[UUID, date, str]  # organization, day or first of the month, event type
Totals = tuple[int, int]  # events, distinct contacts

MAILED_ON = date(2019, 11, 16)
DAY_S = 24 * 60 * 60
SENDING_S = 23 * 60 * 60
VISITING_S = 14 * DAY_S - 60 * 60
CUSTOMERS = 64_000

# As published (data/README.md): customers, visits, and visits in percent of customers.
PUBLISHED = {"Mens E-Mail": (21_307, 3_894, "18.28"), "Womens E-Mail": (21_387, 3_238, "15.14")}


@dataclass(frozen=True)
class ExpectedCounts:
    """For each organization, day and event type: the number of events of each contact."""

    contacts: dict[Key, Counter[str]]
    delivered: Counter[UUID]  # by campaign
    clicked: Counter[UUID]

    def days(self) -> dict[Key, Totals]:
        """Return the expected daily rollups."""
        return {key: (seen.total(), len(seen)) for key, seen in self.contacts.items()}

    def months(self) -> dict[Key, Totals]:
        """Return the expected monthly usage; its types begin with `monthly:`."""
        months: dict[Key, Counter[str]] = defaultdict(Counter)
        for (organization, day, event_type), seen in self.contacts.items():
            months[organization, day.replace(day=1), f"monthly:{event_type}"].update(seen)
        return {key: (seen.total(), len(seen)) for key, seen in months.items()}


def count_files() -> ExpectedCounts:
    """Read both files again, and count."""
    counted = ExpectedCounts(defaultdict(Counter), Counter(), Counter())
    _count_open_bandit(counted)
    _count_hillstrom(counted)
    return counted


def _count_open_bandit(counted: ExpectedCounts) -> None:
    for row in rows_of("open_bandit_random.csv.gz"):
        if not row["timestamp"].endswith("+00:00"):
            raise ValueError(f"{row['timestamp']} is not in UTC")
        day = date.fromisoformat(row["timestamp"][:10])
        counted.contacts[FASHION_SHOP, day, "recommendation_shown"][row["user"]] += 1
        if row["click"] == "1":
            counted.contacts[FASHION_SHOP, day, "recommendation_clicked"][row["user"]] += 1


def _count_hillstrom(counted: ExpectedCounts) -> None:
    for number, row in enumerate(rows_of("hillstrom.csv.gz")):
        for event_type, seconds in events_of(number, row):
            day = MAILED_ON + timedelta(days=int(seconds // DAY_S))
            counted.contacts[RETAILER, day, event_type][str(number)] += 1
        campaign = CAMPAIGNS.get(row["segment"])
        if campaign:
            counted.delivered[campaign] += 1
            counted.clicked[campaign] += int(row["visit"])


def events_of(number: int, row: dict[str, str]) -> Iterator[tuple[str, float]]:
    """Yield a customer's events, each with the seconds since the start of the day of the
    e-mails.
    """
    mailed = row["segment"] != "No E-Mail"
    sent_s = number * SENDING_S / CUSTOMERS
    visit_s = DAY_S + number * VISITING_S / CUSTOMERS
    if mailed:
        yield from (("email_sent", sent_s), ("email_delivered", sent_s + 2))
    if row["visit"] == "1":
        if mailed:
            yield from (("email_opened", visit_s), ("email_clicked", visit_s + 20))
        yield "page_visited", visit_s + 21
    if row["conversion"] == "1":
        yield "conversion", visit_s + 600
