"""Events in a database, with the times of their ingestion, and the same in plain Python."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

from analytics.store import hours, statements
from analytics.store.hours import Hour
from mauntic.database.url import connect
from shared.adapters.postgres.client import Postgres
from shared.messages import Shard
from shared.windows import Window
from tests.roles import as_worker

DAY = datetime(2026, 3, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)

Event = tuple[
    UUID, UUID, UUID, str, datetime, datetime
]  # id, organization, contact, type, occurred, created
Rollups = dict[tuple[str, str, str], tuple[int, int]]


def org(n: int) -> UUID:
    return UUID(int=n)


def at(hour: float, day: datetime = DAY) -> datetime:
    return day + timedelta(hours=hour)


def hour_window(hour: int, day: datetime = DAY) -> Window:
    return Window(day + hour * HOUR, day + (hour + 1) * HOUR)


class Warehouse:
    """A database with events, and the expected counts in plain Python.

    `db` is the owner's connection: for the platform's writers and for inspection. Jobs run as the
    workers' role.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.db = Postgres(lambda: connect(url))
        self.worker = Postgres(lambda: as_worker(url))
        self.events: dict[UUID, Event] = {}
        self.rng = random.Random(7)

    def add(
        self,
        organization: int,
        contact: int,
        kind: str,
        occurred: datetime,
        created: datetime | None = None,
    ) -> UUID:
        event = (
            UUID(int=self.rng.getrandbits(128)),
            org(organization),
            UUID(int=1000 + contact),
            kind,
            occurred,
            created or occurred,
        )
        self.events[event[0]] = event
        self.db.execute(
            "insert into analytics.contact_activity"
            " (id, organization_id, contact_id, event_type, occurred_at, created_at)"
            " values (:a, :b, :c, :d, :e, :f)",
            **dict(zip("abcdef", event, strict=True)),
        )
        return event[0]

    def delete(self, event_id: UUID) -> None:
        del self.events[event_id]
        self.db.execute("delete from analytics.contact_activity where id = :id", id=event_id)

    def run(
        self, window: Window, shard: Shard | None = None, recount: bool = False
    ) -> statements.Booked:
        with self.worker.transaction():
            return hours.book_hour(self.worker, Hour(window, shard, recount))

    def note(self, window: Window) -> None:
        """Record in the ledger that the window was run."""
        self.db.execute(
            "insert into ops.job_runs"
            " (job_type, window_start, window_end, status, trigger, scheduled_for)"
            " values (:job_type, :start, :end, 'succeeded', 'cron', :end)",
            job_type=statements.HOURLY, start=window.start, end=window.end,
        )  # fmt: skip

    def rollups(self) -> Rollups:
        rows = self.db.rows("select * from analytics.event_aggregates where count > 0")
        return {
            (str(r["organization_id"]), str(r["date"]), r["event_type"]): (
                r["count"],
                r["unique_count"],
            )
            for r in rows
        }

    def counted(self) -> Rollups:
        contacts: dict[tuple[str, str, str], list[UUID]] = {}
        for _, organization, contact, kind, occurred, _ in self.events.values():
            contacts.setdefault((str(organization), str(occurred.date()), kind), []).append(contact)
        return {key: (len(seen), len(set(seen))) for key, seen in contacts.items()}
