"""A database with events, and the same events in plain Python, which computes the expected
results.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from analytics.worker import WORKER
from mauntic.database.url import connect
from shared.adapters.postgres.client import Postgres
from shared.flow.consume import consume
from shared.windows import Window
from tests.fakes import FakeBatch, FakeDelivery, World

DAY = datetime(2026, 3, 10, tzinfo=UTC)


def org(n: int) -> UUID:
    return UUID(int=n)


def day_window(n: int) -> Window:
    """The `n`-th day after DAY."""
    return Window(DAY + timedelta(days=n), DAY + timedelta(days=n + 1))


class Undone(Exception):
    """Raised to roll a run back after everything except its commit."""


@dataclass(frozen=True)
class Event:
    """A row of contact_activity."""

    id: UUID
    organization_id: UUID
    contact_id: UUID
    event_type: str
    source: str | None
    occurred_at: datetime


class History:
    """Events in a database and in memory."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.db = Postgres(lambda: connect(url))
        self.events: list[Event] = []
        self.rng = random.Random(11)

    def add(
        self,
        organization: int,
        contact: int,
        kind: str,
        source: str | None,
        occurred: datetime,
        created: datetime | None = None,
    ) -> Event:
        ids = UUID(int=self.rng.getrandbits(128)), org(organization), UUID(int=1_000 + contact)
        event = Event(*ids, kind, source, occurred)
        self.events.append(event)
        self.db.execute(
            "insert into analytics.contact_activity"
            " (id, organization_id, contact_id, event_type, event_source, occurred_at, created_at)"
            " values (:a, :b, :c, :d, :e, :f, :created)",
            **dict(zip("abcdef", vars(event).values(), strict=True)),
            created=created or occurred,
        )
        return event

    def delete(self, event: Event) -> None:
        self.events.remove(event)
        self.db.execute("delete from analytics.contact_activity where id = :id", id=event.id)

    def clear(self, *tables: str) -> None:
        self.events.clear()
        for table in ("contact_activity", *tables):
            self.db.execute(f"delete from analytics.{table}")

    def all(self, table: str) -> list[dict[str, Any]]:
        return self.db.rows(f"select * from {table}")


async def deliver(
    world: World, body: dict[str, Any], message_id: str, attempts: int = 1
) -> FakeDelivery:
    """Process one message completely."""
    delivery = FakeDelivery(body, id=message_id, sent_at=world.now, attempts=attempts)
    await consume(FakeBatch(WORKER.main_queue.name, [delivery]), WORKER, world.ports())
    return delivery


async def deliver_shards(world: World) -> int:
    """Run the messages that a split has sent, shard by shard; return their number."""
    sent, world.queue.sent = world.queue.sent, []
    for index, body in enumerate(sent):
        delivery = await deliver(world, body, f"shard-{index}")
        assert delivery.answer == "ack"
    return len(sent)
