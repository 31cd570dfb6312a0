"""An organization with contacts and journeys; and the worker next to it, with its queue."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4, uuid5

from journeys.jobs.segment_trigger_eval import JOB as HOURLY
from journeys.jobs.wake_due import STEPS
from journeys.worker import WORKER
from mauntic.database.url import connect
from shared.adapters.postgres.client import Postgres
from shared.jobs import BatchJob, Run
from shared.outcome import Outcome
from shared.ports import Database, Ports, Row
from shared.windows import hour_before
from tests.fakes import World

NOW = datetime(2026, 3, 10, 11, 0, 0, tzinfo=UTC)
TEMPLATE = UUID(int=77)
Link = tuple[str, str, str]  # from, label, to


def org(number: int = 1) -> UUID:
    return UUID(int=number)


def person(number: int) -> UUID:
    return UUID(int=1_000 + number)


@dataclass
class Journey:
    """A published journey; steps by name."""

    id: UUID
    version_id: UUID
    steps: dict[str, UUID]

    def name(self, step_id: UUID) -> str:
        return next(name for name, own in self.steps.items() if own == step_id)


@dataclass(order=True)
class Sent:
    """A message in the queue."""

    due_at: datetime
    number: int
    body: dict[str, Any] = field(compare=False)


@dataclass
class Stage:
    """`db` is the owner's; the worker has its own role."""

    url: str
    db: Postgres = field(init=False)
    outside: World = field(init=False)
    queue: list[Sent] = field(default_factory=list)
    around: Callable[[Database], Database] = lambda db: db
    disturb: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] = lambda bodies: bodies
    survives: tuple[type[BaseException], ...] = ()
    taken: int = 0

    def __post_init__(self) -> None:
        self.db = Postgres(lambda: connect(self.url))
        self.outside = World(self.url, now=NOW)

    def close(self) -> None:
        self.db.close()

    @property
    def now(self) -> datetime:
        return self.outside.now

    # -- the platform

    def contact(self, number: int = 1, organization: int = 1, **columns: Any) -> UUID:
        own = {"email": f"p{number}@people.example", **columns}
        names = ", ".join(own)
        values = ", ".join(f":{name}" for name in own)
        self.db.execute(
            f"insert into crm.contacts (id, organization_id, {names})"
            f" values (:id, :organization_id, {values})",
            id=person(number),
            organization_id=org(organization),
            **own,
        )
        return person(number)

    def draft(
        self,
        steps: Mapping[str, tuple[str, dict[str, Any]]],
        links: Sequence[Link],
        organization: int = 1,
        **columns: Any,
    ) -> Journey:
        """A journey with a version that is not published."""
        journey_id, version_id = uuid4(), uuid4()
        settings = json.dumps(columns.pop("settings", {}))
        status = columns.pop("status", "active")
        self.db.execute(
            "insert into journey.journeys (id, organization_id, name, status, settings)"
            " values (:id, :org, 'j', :status, cast(:settings as jsonb))",
            id=journey_id, org=org(organization), status=status, settings=settings,
        )  # fmt: skip
        self.db.execute(
            "insert into journey.journey_versions"
            " (id, journey_id, organization_id, version_number) values (:id, :journey, :org, 1)",
            id=version_id, journey=journey_id, org=org(organization),
        )  # fmt: skip
        found = Journey(journey_id, version_id, {})
        for name, (step_type, config) in steps.items():
            found.steps[name] = uuid5(version_id, name)
            self.db.execute(
                "insert into journey.journey_steps"
                " (id, journey_version_id, organization_id, type, config)"
                " values (:id, :version, :org, :type, cast(:config as jsonb))",
                id=found.steps[name], version=version_id, org=org(organization),
                type=step_type, config=json.dumps(config),
            )  # fmt: skip
        for start, label, target in links:
            self.db.execute(
                "insert into journey.journey_step_connections (from_step_id, to_step_id, label)"
                " values (:start, :target, nullif(:label, ''))",
                start=found.steps[start], target=found.steps.get(target, uuid4()), label=label,
            )  # fmt: skip
        return found

    def publish(self, journey: Journey) -> None:
        self.db.execute(
            "update journey.journey_versions set published_at = now() where id = :id",
            id=journey.version_id,
        )

    def journey(
        self,
        steps: Mapping[str, tuple[str, dict[str, Any]]],
        links: Sequence[Link],
        **columns: Any,
    ) -> Journey:
        found = self.draft(steps, links, **columns)
        self.publish(found)
        return found

    def trigger(self, journey: Journey, trigger_type: str, **config: Any) -> UUID:
        [row] = self.db.rows(
            "insert into journey.journey_triggers (journey_id, organization_id, type, config)"
            " select id, organization_id, :type, cast(:config as jsonb)"
            " from journey.journeys where id = :id returning id",
            id=journey.id, type=trigger_type, config=json.dumps(config),
        )  # fmt: skip
        return row["id"]  # type: ignore[no-any-return]

    def event(
        self, contact: int, event_type: str, at: datetime | None = None, organization: int = 1,
        **data: Any,
    ) -> UUID:  # fmt: skip
        event_id = uuid4()
        self.db.execute(
            "insert into analytics.contact_activity"
            " (id, organization_id, contact_id, event_type, event_data, occurred_at)"
            " values (:id, :org, :contact, :type, cast(:data as jsonb), :at)",
            id=event_id, org=org(organization), contact=person(contact), type=event_type,
            data=json.dumps(data), at=at or self.now,
        )  # fmt: skip
        return event_id

    def segment(self, criteria: dict[str, Any] | None = None, organization: int = 1) -> UUID:
        """A dynamic segment, or a static one; ready at the next tick."""
        segment_id = uuid4()
        self.db.execute(
            "insert into crm.segments (id, organization_id, name, type, filter_criteria)"
            " values (:id, :org, 's', :type, cast(:criteria as jsonb))",
            id=segment_id, org=org(organization), type="dynamic" if criteria else "static",
            criteria=json.dumps(criteria) if criteria else None,
        )  # fmt: skip
        return segment_id

    def set_status(self, journey: Journey, status: str) -> None:
        self.db.execute(
            "update journey.journeys set status = :status where id = :id",
            id=journey.id, status=status,
        )  # fmt: skip

    # -- the worker

    def ports(self) -> Ports:
        ports = self.outside.ports()
        return replace(ports, db=self.around(ports.db))

    def run(self, work: Callable[[Ports], Any]) -> Any:
        """Run work of the worker; what it sends arrives in the queue, also if it fails."""
        ports = self.ports()
        try:
            with closing(ports.db):
                return asyncio.run(work(ports))
        finally:
            sent, delays_s = self.outside.queue.sent, self.outside.queue.delays_s
            for body, delay_s in list(zip(sent, delays_s, strict=True))[self.taken :]:
                due_at = self.now + timedelta(seconds=delay_s)
                self.queue.append(Sent(due_at, len(self.queue), body))
            self.taken = len(sent)

    def consume(self, *bodies: dict[str, Any]) -> list[Outcome]:
        """Run the job of some messages of one type."""
        job = WORKER.by_type[bodies[0]["type"]]
        messages = [job.message.model_validate(body) for body in bodies]
        if isinstance(job, BatchJob):
            return list(self.run(lambda ports: job.handler(messages, ports)))
        return [self.run(partial(_handle, job, message)) for message in messages]

    def enroll(self, journey: Journey, *contacts: int, request: str = "r") -> Outcome:
        data = {
            "organizationId": str(org()),
            "journeyId": str(journey.id),
            "contactIds": [str(person(number)) for number in contacts],
            "requestId": request,
        }
        [outcome] = self.consume({"type": "journey.enroll", "data": data})
        return outcome

    def wake_due(self) -> None:
        """What the job does every five minutes."""

        async def steps(ports: Ports) -> None:
            for step in STEPS:
                await step(ports)

        with suppress(*self.survives):
            self.run(steps)

    def hour(self) -> None:
        """What the job does every hour: evaluate segments, and let their triggers run."""

        async def work(ports: Ports) -> None:
            window = hour_before(self.now)
            await HOURLY.handler(Run(window, window.end, None, ports, "cron"))

        self.run(work)
        self.deliver()

    def deliver(self) -> list[Outcome]:
        """Deliver the messages that are due, and what they send, until none is due."""
        outcomes: list[Outcome] = []
        while due := sorted(own for own in self.queue if own.due_at <= self.now):
            self.queue = [own for own in self.queue if own.due_at > self.now]
            outcomes += self._deliver([own.body for own in due])
        return outcomes

    def _deliver(self, bodies: list[dict[str, Any]]) -> list[Outcome]:
        """Deliver messages of any type; again if the isolate ends."""
        outcomes: list[Outcome] = []
        for message_type in sorted({body["type"] for body in bodies}):
            own = self.disturb([body for body in bodies if body["type"] == message_type])
            try:
                outcomes += self.consume(*own) if own else []
            except self.survives:
                self.queue += [Sent(self.now, len(self.queue), body) for body in own]
        return outcomes

    def later(self, **time: float) -> None:
        """Time goes on, without ticks; then the messages that are due are delivered."""
        self.outside.advance(**time)
        self.deliver()

    def pass_time(self, **time: float) -> None:
        """Time goes on to each message that is due and each wake of an execution; while one is
        overdue, to each tick.
        """
        end = self.now + timedelta(**time)
        self.tick()
        while True:
            soon = [own.due_at for own in self.queue]
            soon += [
                row["wake_at"]
                for row in self.db.rows(
                    "select wake_at from journey.journey_executions"
                    " where status = 'active' and wake_at is not null"
                )
            ]
            if any(at <= self.now for at in soon):  # a message was lost
                soon.append(self.now + timedelta(minutes=5))
            following = min((at for at in soon if at > self.now), default=end)
            if following >= end:
                break
            self.outside.now = following
            self.tick()
        self.outside.now = end
        self.tick()

    def tick(self) -> None:
        """Deliver what is due, before and after the work of a tick."""
        self.deliver()
        self.wake_due()
        self.deliver()

    # -- what has become of it

    def executions(self, journey: Journey) -> list[Row]:
        return self.db.rows(
            "select * from journey.journey_executions where journey_id = :id"
            " order by contact_id, entry_no",
            id=journey.id,
        )

    def execution(self, journey: Journey) -> Row:
        [row] = self.executions(journey)
        return row

    def state(self, journey: Journey) -> tuple[str, str | None]:
        row = self.execution(journey)
        return row["status"], row["exit_reason"]

    def visits(self, journey: Journey, contact: int = 1) -> list[str]:
        """The steps that a contact has visited, with the label that each has decided for."""
        rows = self.db.rows(
            "select visit.step_id, visit.result, visit.status, visit.seq"
            " from journey.step_executions as visit"
            " join journey.journey_executions as execution on execution.id = visit.execution_id"
            " where execution.journey_id = :id and execution.contact_id = :contact"
            " order by execution.entry_no, visit.seq",
            id=journey.id, contact=person(contact),
        )  # fmt: skip
        return [_visit(journey, row) for row in rows]

    def messages(self) -> list[Row]:
        return self.db.rows("select * from delivery.messages order by idempotency_key")

    def logs(self) -> list[tuple[str, str]]:
        return [
            (row["level"], row["code"])
            for row in self.db.rows(
                "select level, code from journey.execution_logs order by created_at, code"
            )
        ]

    def entries(self, journey: Journey) -> dict[tuple[UUID, str], tuple[str, str | None]]:
        return {
            (row["contact_id"], row["occasion"]): (row["outcome"], row["reason"])
            for row in self.db.rows(
                "select * from journey.trigger_entries where journey_id = :id", id=journey.id
            )
        }


async def _handle(job: Any, message: Any, ports: Ports) -> Outcome:
    with ports.db.transaction() if job.transaction else nullcontext():
        outcome: Outcome = await job.handler(message, ports)
        return outcome


def _visit(journey: Journey, row: Row) -> str:
    label = (row["result"] or {}).get("label")
    text = journey.name(row["step_id"]) + (f":{label}" if label else "")
    return text if row["status"] == "completed" else f"{text} ({row['status']})"
