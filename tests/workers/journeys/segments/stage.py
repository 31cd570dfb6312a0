"""A platform with contacts and segments, and the worker next to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from journeys.worker import WORKER
from mauntic.database.url import connect
from shared.adapters.postgres.client import Postgres
from shared.flow.consume import consume
from shared.tick.dispatch import dispatch
from tests.fakes import FakeBatch, FakeDelivery, World
from tests.workers.journeys.segments.people import ORG, T

HOURLY, FIVE_MINUTES = "0 * * * *", "*/5 * * * *"


@dataclass
class Stage:
    """`db` is the owner's: the platform. The worker has its own role."""

    url: str
    db: Postgres = field(init=False)
    outside: World = field(init=False)

    def __post_init__(self) -> None:
        self.db = Postgres(lambda: connect(self.url))
        self.outside = World(self.url, now=T)

    # -- the platform

    def segment(
        self, criteria: dict[str, Any] | None = None, *, organization_id: UUID = ORG
    ) -> UUID:
        """A dynamic segment with these criteria, or a static one."""
        segment_id = uuid4()
        self.db.execute(
            "insert into crm.segments (id, organization_id, name, type, filter_criteria)"
            " values (:id, :org, 'a segment', :type, cast(:criteria as jsonb))",
            id=segment_id,
            org=organization_id,
            type="static" if criteria is None else "dynamic",
            criteria=None if criteria is None else json.dumps(criteria),
        )
        return segment_id

    def contact(self, number: int = 1, *, organization_id: UUID = ORG, **columns: Any) -> UUID:
        own = {"custom_fields": {}, "created_at": self.outside.now, **columns}
        own["custom_fields"] = json.dumps(own["custom_fields"])
        names, values = ", ".join(own), ", ".join(f":{name}" for name in own)
        self.db.execute(
            f"insert into crm.contacts (id, organization_id, {names}) values (:id, :org, {values})",
            id=UUID(int=1_000 + number),
            org=organization_id,
            **own,
        )
        return UUID(int=1_000 + number)

    def event(self, contact_id: UUID, type_: str, at: datetime | None = None) -> None:
        self.db.execute(
            "insert into analytics.contact_activity (organization_id, contact_id, event_type,"
            " occurred_at) values (:org, :id, :type, :at)",
            org=ORG,
            id=contact_id,
            type=type_,
            at=at or self.outside.now,
        )

    # -- the worker

    def hour(self) -> None:
        """Go on to the next full hour, and evaluate."""
        hour = self.outside.now.replace(minute=0, second=0, microsecond=0)
        self.outside.now = hour + timedelta(hours=1, seconds=3)
        self.tick(HOURLY)

    def build(self) -> None:
        """Build what is new. A transaction of the server's own may delay a build."""
        for _ in range(3):
            self.five_minutes()
            if not self.db.rows("select from crm.segments where state = 'building' limit 1"):
                break

    def five_minutes(self) -> None:
        """Let five minutes pass, and begin the builds that can begin."""
        minutes = self.outside.now.minute // 5 * 5
        start = self.outside.now.replace(minute=minutes, second=0, microsecond=0)
        self.outside.now = start + timedelta(minutes=5, seconds=3)
        self.tick(FIVE_MINUTES)

    def tick(self, cron: str) -> None:
        """Send what is due, and consume all that follows from it."""
        planned = self.outside.now.replace(second=0, microsecond=0)
        before = len(self.outside.queue.sent)
        self._run(dispatch(WORKER, cron, planned, self._ports()))
        while len(self.outside.queue.sent) > before:
            bodies = self.outside.queue.sent[before:]
            before = len(self.outside.queue.sent)
            self.deliver(bodies)

    def deliver(self, bodies: list[dict[str, Any]]) -> list[str | None]:
        """Deliver queue messages; return the answers."""
        deliveries = [FakeDelivery(body, sent_at=self.outside.now) for body in bodies]
        batch = FakeBatch(WORKER.main_queue.name, deliveries)
        self._run(consume(batch, WORKER, self._ports()))
        return [delivery.answer for delivery in deliveries]

    def _ports(self) -> Any:
        return self.outside.ports()

    def _run(self, work: Any) -> None:
        asyncio.run(work)

    # -- what has become of it

    def members(self, segment_id: UUID) -> set[int]:
        """The numbers of the members."""
        rows = self.db.rows(
            "select contact_id from crm.segment_contacts where segment_id = :id", id=segment_id
        )
        return {row["contact_id"].int - 1_000 for row in rows}

    def state(self, segment_id: UUID) -> dict[str, Any]:
        """The segment's row."""
        [row] = self.db.rows("select * from crm.segments where id = :id", id=segment_id)
        return row

    def changes(self, segment_id: UUID) -> list[tuple[int, str, int]]:
        """The numbered changes: number, kind, contact."""
        rows = self.db.rows(
            "select change_no, kind, contact_id from crm.segment_changes where segment_id = :id"
            " order by change_no",
            id=segment_id,
        )
        return [(row["change_no"], row["kind"], row["contact_id"].int - 1_000) for row in rows]

    def waiting(self) -> int:
        """The number of entries of the backlog."""
        return int(self.db.rows("select count(*) as count from crm.segment_backlog")[0]["count"])


@contextmanager
def opened(url: str) -> Iterator[Stage]:
    stage = Stage(url)
    with closing(stage.db):
        yield stage
