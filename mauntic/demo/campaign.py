"""The demo's campaign: to the retailer's best customers, every queue message delivered twice.

The word of an address chooses the answer of the imitated provider (docs/deliveries.md). The reports
come back through the real queue of feedback, become events, and are counted by the hourly job and
the daily report.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import uuid5

from analytics.worker import WORKER as ANALYTICS
from delivery.worker import WORKER as DELIVERY
from journeys.worker import WORKER as JOURNEYS
from mauntic.demo.checks import Check, format_pair
from mauntic.demo.importer import NAMESPACE, RETAILER, Customer, hillstrom_customers
from mauntic.demo.segments import BEST, check_segments
from mauntic.demo.waiting import TIMEOUT_S, wait_until
from mauntic.local.control_client import LocalRuntime, RuntimeFailed
from mauntic.operations.captured_mail import BUCKET
from mauntic.operations.connection import database_at
from mauntic.operations.statements import SQL
from shared.adapters.postgres.client import Postgres
from shared.ports import Row

CAMPAIGN = uuid5(NAMESPACE, "campaign/best customers")
SWEPT_AT = datetime(2019, 12, 2, 0, 10, tzinfo=UTC)  # a window that no other sweep of the demo has
HOUR, DAY = timedelta(hours=1), timedelta(days=1)

Answer = Literal["bounce", "complaint", "unsubscribe", "click", "open", "delivered"]

# docs/deliveries.md, "Simulated answers": what each answer counts as in addition to `sent`.
COUNTS: Mapping[Answer, Sequence[str]] = {
    "bounce": ["bounced"],
    "complaint": ["delivered", "complained"],
    "unsubscribe": ["delivered", "unsubscribed"],
    "click": ["delivered", "opened", "clicked"],
    "open": ["delivered", "opened"],
    "delivered": ["delivered"],
}
FIGURES = (
    "sent", "delivered", "opened", "clicked", "bounced", "complained", "unsubscribed",
)  # fmt: skip
PLACES = ("ledger", "campaign", "events", "rollups", "report")


@dataclass(frozen=True)
class Recipient:
    """A customer who gets the campaign, with what the imitated provider reports."""

    customer: Customer
    answer: Answer

    @property
    def address(self) -> str:
        return f"{self.answer}+{self.customer.number}@simulator.invalid"


def recipients_of(customers: Iterable[Customer]) -> list[Recipient]:
    """Return the customers of the file who get the campaign."""
    return [
        Recipient(customer, answer_of(customer)) for customer in customers if BEST.has(customer)
    ]


def answer_of(customer: Customer) -> Answer:
    """A visit of the file is a click. Of the others a few bounce, complain or unsubscribe."""
    if customer.visited:
        return "click"
    rare: list[Answer] = ["bounce", "complaint", "unsubscribe"]
    place = customer.number % 40
    if place < len(rare):
        return rare[place]
    return "open" if customer.is_new else "delivered"


def build_segments_and_send(runtime: LocalRuntime) -> list[Check]:
    """Build segments and send a campaign to one of them; compare each figure with the file."""
    customers = list(hillstrom_customers())
    with closing(database_at(runtime.database_url)) as database, _twice(runtime) as twice:
        return [
            check_segments(database, twice, customers),
            _run_campaign(database, twice, recipients_of(customers)),
        ]


def _run_campaign(
    database: Postgres, twice: LocalRuntime, recipients: Sequence[Recipient]
) -> Check:
    _prepare(database, recipients)
    _send(twice, DELIVERY.main_queue.name, START)
    _wait_until_answered(database, twice, len(recipients))
    _send(twice, DELIVERY.main_queue.name, SWEEP)
    _count_events(database, twice)
    return compare(database, recipients, _captured(database, twice))


START = {
    "type": "delivery.send-campaign",
    "data": {"organizationId": str(RETAILER), "campaignId": str(CAMPAIGN)},
}
SWEEP = {"type": "delivery.sweep", "scheduledFor": SWEPT_AT.isoformat()}


def _twice(runtime: LocalRuntime) -> LocalRuntime:
    """Return a runtime that delivers each batch twice."""
    return LocalRuntime(
        runtime.database_url,
        envs=[DELIVERY.env, ANALYTICS.env, JOURNEYS.env],
        variables={
            "HOOKS_BASE_URL": "https://hooks.example",
            "UNSUBSCRIBE_KEYS": "of the demo",
            "HOOK_KEYS": "of the demo",
        },
        deliver_twice=True,
        on_event=runtime.on_event,
    )


def _prepare(database: Postgres, recipients: Sequence[Recipient]) -> None:
    """Store the recipients' addresses, and the campaign as a draft."""
    with database.transaction():
        database.execute(
            SQL["demo_sender"],
            organization_id=RETAILER,
            channel="email",
            provider="captured",
            config=None,
        )
        database.execute(
            SQL["demo_campaign"],
            organization_id=RETAILER,
            campaign_id=CAMPAIGN,
            segment_id=BEST.id,
            recipients=json.dumps(
                [
                    {"contact_id": str(recipient.customer.id), "address": recipient.address}
                    for recipient in recipients
                ]
            ),
        )


def _send(runtime: LocalRuntime, queue: str, body: Mapping[str, Any]) -> None:
    """Send one message and wait until it and what follows from it are handled."""
    runtime.control.send(queue, [body])
    if not runtime.control.wait_idle(timeout_s=TIMEOUT_S):
        raise RuntimeFailed(f"{body['type']} was not finished within {TIMEOUT_S} seconds.")


def _wait_until_answered(database: Postgres, runtime: LocalRuntime, count: int) -> None:
    """Wait until every message is final and every report is applied."""

    def is_final() -> bool:
        [found] = database.rows(SQL["demo_final_messages"], campaign_id=CAMPAIGN)
        return bool(found["messages"] >= count)

    wait_until(is_final, "The campaign was not sent")
    runtime.control.wait_idle(timeout_s=TIMEOUT_S)


def _count_events(database: Postgres, runtime: LocalRuntime) -> None:
    """Run the hourly job of each hour that has events, then the report of each day.

    The workers' clock is set ahead, because the last hour and day have not ended.
    """
    runtime.control.set_clock(2 * DAY)
    rows = database.rows(SQL["demo_campaign_hours"], campaign_id=str(CAMPAIGN))
    hours = [row["hour"] for row in rows]
    for hour in hours:
        _run(runtime, "analytics.aggregate-hourly", hour + HOUR)
    for day in sorted({hour.replace(hour=0) for hour in hours}):
        _run(runtime, "analytics.generate-daily-reports", day + DAY + 2 * HOUR)


def _run(runtime: LocalRuntime, job_type: str, planned: datetime) -> None:
    body = {"type": job_type, "scheduledFor": planned.isoformat()}
    _send(runtime, ANALYTICS.main_queue.name, body)


def _captured(database: Postgres, runtime: LocalRuntime) -> int:
    """Return how many captured objects are messages of the campaign."""
    rows = database.rows(SQL["demo_campaign_messages"], campaign_id=CAMPAIGN)
    keys = Counter(found["key"].rpartition("/")[2] for found in runtime.control.objects(BUCKET))
    return sum(keys[row["id"]] for row in rows)


def compare(database: Postgres, recipients: Sequence[Recipient], captured: int) -> Check:
    """Compare what the file says with the ledger, the campaign, the rollups and its report."""
    expected = Counter(
        figure for recipient in recipients for figure in ("sent", *COUNTS[recipient.answer])
    )
    [found] = database.rows(
        SQL["demo_campaign_figures"], campaign_id=CAMPAIGN, source=str(CAMPAIGN)
    )
    rows = [_row(figure, expected[figure], found) for figure in FIGURES]
    rows.insert(0, _captured_row(captured, len(recipients)))
    is_finished = found["status"] == "sent"
    return Check(
        "A campaign, each queue message delivered twice, compared with the file",
        rows,
        is_finished and all(row["equal"] for row in rows),
    )


def _captured_row(captured: int, count: int) -> Row:
    pair = format_pair(captured, count)
    elsewhere = dict.fromkeys(PLACES[1:], "")
    return {"figure": "captured", "ledger": pair, **elsewhere, "equal": captured == count > 0}


def _row(figure: str, expected: int, found: Row) -> Row:
    places = {place: (found[place] or {}).get(figure) or 0 for place in PLACES}
    return {
        "figure": figure,
        **{place: format_pair(count, expected) for place, count in places.items()},
        "equal": set(places.values()) == {expected},
    }
