"""The rows that a simulation left, what the providers saw, and the history in numbers."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from mauntic.database.url import connect
from shared.adapters.postgres.client import Postgres
from shared.ports import Database
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
    activity: list[Row] = field(default_factory=list)
    events: set[tuple[UUID, str]] = field(default_factory=set)
    unmatched: set[str] = field(default_factory=set)
    contacts: list[Row] = field(default_factory=list)
    statuses: dict[UUID, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    suppressed: list[Row] = field(default_factory=list)
    outcomes: dict[UUID, str] = field(default_factory=dict)
    outbox: list[Row] = field(default_factory=list)
    campaigns: dict[UUID, Row] = field(default_factory=dict)
    jobs: dict[UUID, Row] = field(default_factory=dict)
    of_job: dict[UUID, list[Row]] = field(default_factory=lambda: defaultdict(list))
    runs: list[Row] = field(default_factory=list)
    parts: list[Row] = field(default_factory=list)
    ends: list[Row] = field(default_factory=list)
    sent_times: dict[UUID, set[datetime]] = field(default_factory=lambda: defaultdict(set))

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
            own._read_feedback(db)
            own._read_campaigns(db)
        by_key = {row["idempotency_key"]: row["id"] for row in own.messages.values()}
        for seen in simulation.providers.seen:
            own.seen[by_key.get(seen.message_id) or UUID(seen.message_id)].append(seen)
        return own

    def _read_feedback(self, db: Database) -> None:
        self.activity = db.rows("select * from analytics.contact_activity order by event_id")
        self.activities.update(row["event_id"] for row in self.activity)
        for row in db.rows("select organization_id, event_id from delivery.delivery_events"):
            self.events.add((row["organization_id"], row["event_id"]))
        self.unmatched = {
            row["event_id"] for row in db.rows("select event_id from delivery.unmatched_events")
        }
        self.contacts = db.rows("select id, status from crm.contacts order by id")
        for row in db.rows("select * from sim.statuses order by moment"):
            self.statuses[row["contact_id"]].append((row["moment"], row["status"]))
        self.suppressed = db.rows("select * from delivery.suppressions order by id")
        self.outbox = db.rows("select * from delivery.platform_outbox order by id")
        for row in db.rows("select id, outcome from delivery.message_status"):
            self.outcomes[row["id"]] = row["outcome"]
        for change in self.changes:
            times = {change["sent_at"] or change["called_at"]} - {None}
            self.sent_times[change["message_id"]] |= times

    def _read_campaigns(self, db: Database) -> None:
        self.campaigns = {row["id"]: row for row in db.rows("select * from campaign.campaigns")}
        self.jobs = {row["id"]: row for row in db.rows("select * from delivery.delivery_jobs")}
        for row in self.messages.values():
            if row["job_id"] is not None and row["parent_id"] is None:
                self.of_job[row["job_id"]].append(row)
        self.runs = db.rows("select * from sim.runs order by moment")
        self.parts = db.rows("select * from sim.parts order by moment")
        self.ends = db.rows("select * from sim.ends order by moment")

    @property
    def manual(self) -> set[tuple[UUID, str, str, str]]:
        """The addresses that the platform has suppressed."""
        return self.simulation.platform.suppressed

    def was_deleted(self, contact_id: UUID) -> bool:
        return bool(self.simulation.platform.latest("contact", contact_id) == "deleted")

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
    runs: int
    ended: int
    reports: int
    events: int
    waiting: int
    stopped: int
    digest: str

    def __str__(self) -> str:
        states = ", ".join(f"{count} {state}" for state, count in sorted(self.states.items()))
        return (
            f"{self.messages} messages: {states}\n{self.calls} calls, {self.accepted} messages"
            f" accepted, {self.repeated} of them twice; {self.lost} references lost\n"
            f"{self.runs} runs of campaigns, {self.ended} ended; {self.reports} webhooks and clicks"
            f" taken, {self.events} events, {self.waiting} without a message,"
            f" {self.stopped} suppressions\n"
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
    noted = [
        *(f"{row['event_id']} {row['occurred_at']}" for row in own.activity),
        *(f"{row['moment']} {row['job_id']} {row['part']}" for row in own.parts),
        *sorted(body["eventId"] for body in simulation.published),
    ]
    history = json.dumps([sorted(steps, key=str), requests, noted])
    digest = hashlib.sha256(history.encode()).hexdigest()[:16]
    accepted = [len(own.accepted(message_id)) for message_id in own.messages]
    return History(
        len(own.messages),
        Counter(row["state"] for row in own.messages.values()),
        len(own.calls),
        sum(accepted),
        sum(count > 1 for count in accepted),
        simulation.broker.vanished,
        len(own.runs),
        sum(end["job_id"] is not None for end in own.ends),
        sum(len(report.received) for report in simulation.internet.reports),
        len(own.events),
        len(own.unmatched),
        len(own.suppressed),
        digest,
    )
