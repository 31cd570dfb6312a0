"""A campaign to a million contacts: its fan-out part by part, and the count of its figures.

The reference inserts as many rows into a copy of the table with the same indexes, in one plain
statement that neither looks for duplicates nor can be repeated.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from bench.measure import Result, alternate, stopwatch
from bench.world import SQL, World, timed
from delivery.store import campaign_counts, campaigns, fan_out
from delivery.store.statements import SQL as JOB_SQL
from mauntic.database.url import connect
from shared.adapters.postgres.client import Postgres

CONTACTS = 1_000_000
FAN_OUT_MS, STATEMENT_MS = 180_000, 10_000  # the targets
CAMPAIGN_ROUNDS = 1
ORGANIZATION, SEGMENT, CAMPAIGN = UUID(int=1), UUID(int=2), UUID(int=3)
FROZEN: Mapping[str, Any] = {
    "run": 1, "class": "marketing", "segment_id": str(SEGMENT), "template_id": str(SEGMENT),
    "expires_after_hours": None, "from": None,
}  # fmt: skip


@dataclass
class Stopwatch(Postgres):
    """A database that records its slowest statement."""

    url: str
    slowest_ms: float = 0.0
    slowest: str = ""
    names: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(lambda: connect(self.url))
        self.names = {sql: name for name, sql in JOB_SQL.blocks.items()}

    def _run(self, sql: str, parameters: dict[str, Any]) -> Any:
        started = time.perf_counter()
        result = super()._run(sql, parameters)
        duration_ms = (time.perf_counter() - started) * 1_000
        if duration_ms > self.slowest_ms:
            self.slowest_ms, self.slowest = duration_ms, self.names.get(sql, sql)
        return result


def run(world: World) -> list[Result]:
    """Fan out and count, alternating with the plain insert."""
    contacts = world.events(CONTACTS)
    url = world.empty("campaign")
    with closing(connect(url)) as admin, closing(Stopwatch(url)) as db:
        with timed(f"campaign: {contacts:,} contacts"):
            admin.run(SQL["campaign_contacts"], organization_id=ORGANIZATION, contacts=contacts)
            admin.run(SQL["campaign_members"], organization_id=ORGANIZATION, segment_id=SEGMENT)
            admin.run(SQL["campaign_itself"], organization_id=ORGANIZATION, id=CAMPAIGN)
            admin.run("vacuum (analyze) crm.contacts, crm.segment_contacts")
            admin.run(SQL["campaign_copy"])
        measured = alternate(
            {
                "ours": lambda: _fan_out(admin, db, contacts),
                "plain": lambda: _plain(admin, contacts),
            },
            CAMPAIGN_ROUNDS,
        )
        count_ms = stopwatch(lambda: campaign_counts.set_counts(db, datetime.now(UTC)))
        ours = measured["ours"]
        parts = -(-contacts // campaigns.MEMBERS_MAX)
        return [
            Result(
                f"fan-out to {contacts:,} contacts / plain insert", ours, measured["plain"],
                at_most=2.0, note=f"{parts} parts, one after the other",
            ),
            Result("fan-out / the target", ours, [FAN_OUT_MS], at_most=1.0),
            Result(
                "the slowest statement / allowed", [db.slowest_ms], [STATEMENT_MS], at_most=1.0,
                note=db.slowest,
            ),
            Result("the count of its figures", [count_ms]),
        ]  # fmt: skip


def _fan_out(admin: Any, db: Stopwatch, contacts: int) -> float:
    """Start a run and do all of its parts."""
    admin.run(SQL["forget_campaign"])
    admin.run("vacuum (analyze) delivery.messages")
    return stopwatch(lambda: _all_parts(db, contacts))


def _all_parts(db: Stopwatch, contacts: int) -> None:
    key = (ORGANIZATION, CAMPAIGN)
    now = datetime.now(UTC)
    bounds = campaigns.part_bounds(db, SEGMENT)
    with db.transaction():
        planned = campaigns.start(
            db, key, {"subject": "s", "hash": str(uuid4())}, FROZEN, bounds, now
        )
    recipients = None
    for part in planned:
        found = fan_out.run_of_part(db, key, part.number)
        assert found is not None
        inserted = fan_out.insert_part(db, found, part.number, now)
        assert inserted is not None
        recipients = inserted.recipients
    if recipients != contacts:
        raise RuntimeError(f"{json.dumps(recipients)} of {contacts} contacts have a row")


def _plain(admin: Any, contacts: int) -> float:
    admin.run("truncate bench.messages")
    duration_ms = stopwatch(
        lambda: admin.run(SQL["plain_campaign"], organization_id=ORGANIZATION, segment_id=SEGMENT)
    )
    [[count]] = admin.run("select count(*) from bench.messages")
    if count != contacts:
        raise RuntimeError(f"the reference inserted {count} rows")
    return duration_ms
