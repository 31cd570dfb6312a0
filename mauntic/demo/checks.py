"""Compare the demo's results with the files: the ledger, the rollups and the campaigns, as
tables.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from mauntic.demo.expected import PUBLISHED, ExpectedCounts, Key, Totals
from mauntic.demo.importer import CAMPAIGNS, FASHION_SHOP, RETAILER
from mauntic.operations.statements import SQL
from shared.ports import Database

ORGANIZATIONS = {FASHION_SHOP: "fashion shop", RETAILER: "retailer"}


@dataclass(frozen=True)
class Check:
    """A table, and whether all of its values are as expected."""

    title: str
    rows: list[dict[str, Any]]
    is_right: bool


def check(database: Database, counted: ExpectedCounts) -> list[Check]:
    """Return every check, in the order of display."""
    aggregates = database.rows(SQL["demo_aggregates"])
    found = {
        (row["organization_id"], row["date"], row["event_type"]): (
            row["count"],
            row["unique_count"],
        )
        for row in aggregates
    }
    days = {key: totals for key, totals in found.items() if not _is_monthly(key)}
    months = {key: totals for key, totals in found.items() if _is_monthly(key)}
    return [
        check_runs(database),
        check_totals("Daily rollups, compared with the files", days, counted.days()),
        check_totals("Monthly usage, compared with the files", months, counted.months()),
        check_campaigns(database, counted),
    ]


def _is_monthly(key: Key) -> bool:
    return key[2].startswith("monthly:")


def check_runs(database: Database) -> Check:
    """Check that the ledger has no unfinished and no dead run."""
    [unfinished] = database.rows(SQL["demo_unfinished"])
    rows = database.rows(SQL["demo_runs"])
    return Check("Runs", rows, bool(rows) and not any(unfinished.values()))


def check_totals(title: str, found: Mapping[Key, Totals], expected: Mapping[Key, Totals]) -> Check:
    """Compare the totals by organization and event type with those counted from the files.

    A row is equal if every day (month) is equal.

    `contacts` is the sum of the distinct contacts of each day (month).
    """
    dates: dict[tuple[UUID, str], set[date]] = defaultdict(set)
    for organization, day, event_type in found.keys() | expected.keys():
        dates[organization, event_type].add(day)
    rows = [_totals_row(*key, dates[key], found, expected) for key in sorted(dates)]
    return Check(title, rows, bool(rows) and all(row["equal"] for row in rows))


def _totals_row(
    organization: UUID,
    event_type: str,
    dates: set[date],
    found: Mapping[Key, Totals],
    expected: Mapping[Key, Totals],
) -> dict[str, Any]:
    keys = [(organization, day, event_type) for day in dates]
    got, counted = ([totals.get(key, (0, 0)) for key in keys] for totals in (found, expected))
    return {
        "organization": ORGANIZATIONS.get(organization, str(organization)),
        "event_type": event_type.removeprefix("monthly:"),
        "events": format_pair(sum(count for count, _ in got), sum(count for count, _ in counted)),
        "contacts": format_pair(sum(seen for _, seen in got), sum(seen for _, seen in counted)),
        "equal": got == counted,
    }


def format_pair(found: int, expected: int) -> str:
    """Format a found and an expected number.

    >>> format_pair(30_000, 30_000), format_pair(29_999, 30_000)
    ('30,000 = 30,000', '29,999 ≠ 30,000')
    """
    return f"{found:,} {'=' if found == expected else '≠'} {expected:,}"


def check_campaigns(database: Database, counted: ExpectedCounts) -> Check:
    """Compare the two e-mail campaigns with the files and with the published figures."""
    found = {row["campaign_id"]: row for row in database.rows(SQL["demo_campaigns"])}
    rows = [_campaign_row(name, found.get(CAMPAIGNS[name]), counted) for name in PUBLISHED]
    return Check(
        "Campaigns, compared with the published figures",
        rows,
        all(row["equal"] for row in rows) and len(found) == len(rows),
    )


def _campaign_row(
    name: str, found: Mapping[str, Any] | None, counted: ExpectedCounts
) -> dict[str, Any]:
    customers, visits, rate = PUBLISHED[name]
    got = found or {"sent": 0, "delivered": 0, "opened": 0, "clicked": 0}
    of_the_file = (counted.delivered[CAMPAIGNS[name]], counted.clicked[CAMPAIGNS[name]])
    clicked_rate = f"{100 * got['clicked'] / (got['delivered'] or 1):.2f}"
    return {
        "campaign": name,
        "sent": got["sent"],
        "delivered": got["delivered"],
        "opened": got["opened"],
        "clicked": got["clicked"],
        "clicked_of_delivered": f"{clicked_rate} %",
        "published": f"{rate} %",
        "equal": (got["sent"], got["opened"]) == (customers, visits)
        and (got["delivered"], got["clicked"]) == of_the_file == (customers, visits)
        and clicked_rate == rate,
    }
