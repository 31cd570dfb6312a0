"""The rows that a simulation left, what the providers saw, and the history in numbers."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from mauntic.database.url import connect
from shared.adapters.postgres.client import Postgres
from tests.sim.deliveries.provider import Seen
from tests.sim.deliveries.simulation import Simulation

Row = dict[str, Any]


@dataclass
class Evidence:
    """The rows, and what the providers saw, by message."""

    simulation: Simulation
    messages: dict[UUID, Row] = field(default_factory=dict)
    changes: list[Row] = field(default_factory=list)
    attempts: dict[UUID, list[Row]] = field(default_factory=lambda: defaultdict(list))
    calls: list[Row] = field(default_factory=list)
    suppressions: list[Row] = field(default_factory=list)
    seen: dict[UUID, list[Seen]] = field(default_factory=lambda: defaultdict(list))
    dead: set[str] = field(default_factory=set)
    activities: Counter[str] = field(default_factory=Counter)

    @classmethod
    def read(cls, simulation: Simulation) -> Evidence:
        own = cls(simulation)
        with closing(Postgres(lambda: connect(simulation.url))) as db:
            own.messages = {row["id"]: row for row in db.rows("select * from delivery.messages")}
            own.changes = db.rows("select * from sim.changes order by id")
            own.calls = db.rows("select * from delivery.calls")
            own.suppressions = db.rows("select * from sim.suppressions")
            for row in db.rows("select * from delivery.attempts order by attempt"):
                own.attempts[row["message_id"]].append(row)
            for row in db.rows("select body from ops.dead_letters"):
                own.dead.add(str(row["body"]))
            for row in db.rows("select event_id from analytics.contact_activity"):
                own.activities[row["event_id"]] += 1
        by_key = {row["idempotency_key"]: row["id"] for row in own.messages.values()}
        for seen in simulation.providers.seen:
            own.seen[by_key.get(seen.message_id) or UUID(seen.message_id)].append(seen)
        return own

    def accepted(self, message_id: UUID) -> list[Seen]:
        return [own for own in self.seen[message_id] if own.is_accepted]

    def on_uncertain(self) -> dict[UUID, str]:
        """What each message was inserted with: an operator's decision changes it."""
        return {
            own["message_id"]: own["on_uncertain"] for own in self.changes if not own["old_state"]
        }


@dataclass(frozen=True)
class History:
    """What a seed did, in numbers, and a digest of every step of it."""

    messages: int
    states: dict[str, int]
    calls: int
    accepted: int
    repeated: int
    lost: int
    digest: str

    def __str__(self) -> str:
        states = ", ".join(f"{count} {state}" for state, count in sorted(self.states.items()))
        return (
            f"{self.messages} messages: {states}\n{self.calls} calls, {self.accepted} messages"
            f" accepted, {self.repeated} of them twice; {self.lost} references lost\n"
            f"history {self.digest}"
        )


def history_of(simulation: Simulation) -> History:
    own = Evidence.read(simulation)
    steps = [
        (
            str(row["at"]),
            row["statement"],
            str(row["message_id"]),
            row["old_state"],
            row["new_state"],
        )
        for row in own.changes
    ]
    requests = simulation.providers.requests
    digest = hashlib.sha256(json.dumps([sorted(steps, key=str), requests]).encode()).hexdigest()[
        :16
    ]
    accepted = [len(own.accepted(message_id)) for message_id in own.messages]
    return History(
        len(own.messages),
        Counter(row["state"] for row in own.messages.values()),
        len(own.calls),
        sum(accepted),
        sum(count > 1 for count in accepted),
        simulation.broker.vanished,
        digest,
    )
