"""Personal data that errors quote stays out of logs, metrics and alerts."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from shared.flow.consume import consume
from shared.jobs import Run, Worker
from shared.messages import Message
from shared.outcome import Done, Outcome
from shared.ports import Ports
from shared.queues import Queue
from shared.telemetry.redaction import describe_error, safe_traceback
from shared.tick.dispatch import dispatch
from tests.fakes import FakeDelivery
from tests.shared.toy import NOON, batch, hour_message, toy, world

EVE = "eve@example.org"
CONTACT = (
    "insert into crm.contacts (id, organization_id, email) values (cast(:id as uuid), :id, :eve)"
)
ID = "00000000-0000-0000-0000-000000000001"


class Person(BaseModel):
    age: int


def quoting(kind: str, ports: Ports) -> None:
    """Fail with an error that quotes Eve, each in another way."""
    run = ports.db.execute
    match kind:
        case "the key of a row that is there":
            run("create unique index one_eve on crm.contacts (email)")
            for number in (1, 2):
                run(CONTACT, id=ID.replace("1", str(number)), eve=EVE)
        case "the row that a check refuses":
            run("update crm.contacts set status = email")
            row = "insert into crm.contacts (organization_id, status) values (:id, :eve)"
            run(row, id=ID, eve=EVE)
        case "a value of another type":
            run("select cast(cast(:eve as text) as uuid)", eve=EVE)
        case "a date that is none":
            run("select cast(cast(:eve as text) as date)", eve=EVE)
        case "a function's own words":
            run(f"do $$ begin raise exception 'no contact {EVE}'; end $$")
        case "a number":
            float(EVE)
        case "a key":
            {}[EVE]  # type: ignore[index]
        case "a model":
            Person.model_validate({"age": EVE})
        case "a chain":
            try:
                raise ValueError(EVE)
            except ValueError as error:
                raise LookupError(f"nobody is {EVE}") from error
        case "a note":
            noted = TypeError("no such type")
            noted.add_note(EVE)
            raise noted


KINDS = [
    "the key of a row that is there", "the row that a check refuses", "a value of another type",
    "a date that is none", "a function's own words", "a number", "a key", "a model", "a chain",
    "a note",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_what_an_error_quotes_is_not_logged(database: str, kind: str) -> None:
    async def single(message: Message, ports: Ports) -> Outcome:
        quoting(kind, ports)
        return Done()

    async def hourly(run: Run) -> Outcome:
        quoting(kind, run.ports)
        return Done()

    outside = world(database)
    outside.secrets["ALERT_WEBHOOK_URL"] = "https://alerts.example.org"
    worker = toy(single=single, hourly=hourly)
    asyncio.run(dispatch(worker, "0 * * * *", NOON, outside.ports()))
    deliveries = [FakeDelivery({"type": "toy.single"}), FakeDelivery(hour_message(), id="m2")]
    asyncio.run(consume(batch(*deliveries), worker, outside.ports()))
    outside.now = NOON + timedelta(hours=1)
    asyncio.run(dispatch(worker, "0 * * * *", outside.now, outside.ports()))
    assert len(outside.named("job.crashed")) == len(outside.dlq.sent) == 2
    assert "in quoting" in outside.named("job.crashed")[0]["traceback"]
    assert [one["type"] for one in outside.named("job.overdue")] == ["toy.hourly"]
    assert EVE not in json.dumps([outside.events, outside.points, outside.http.posts], default=str)


def test_what_an_error_said_stands_in_the_dead_letter(database: str) -> None:
    """The body is there too: an operator needs both for the fix."""

    async def single(message: Message, ports: Ports) -> Outcome:
        raise ValueError(f"no {EVE}")

    outside = world(database)
    delivery = FakeDelivery({"type": "toy.single"})
    asyncio.run(consume(batch(delivery), toy(single=single), outside.ports()))
    [letter] = outside.dlq.sent
    assert letter["deadLetter"]["error"] == f"ValueError: no {EVE}"
    assert outside.named("queue.metric")[0].get("error") is None


@pytest.mark.parametrize(
    ("body", "output"),
    [
        ({"type": "toy.single", "data": {EVE: "x"}}, "data.…: Input should be a valid integer"),
        ({"type": "toy.single", "data": {"n": EVE}}, "data.…: Input should be a valid integer"),
        ({"type": EVE}, "toy has no job of this type"),
        (f'{{"type": "{EVE}"', "Expecting ',' delimiter: line 1 column 27 (char 26)"),
        ({"type": "toy.single", "scheduledFor": EVE}, "scheduledFor: Value error, a time is text"),
    ],
)
def test_an_invalid_message_is_reported_without_its_content(
    database: str, body: Any, output: str
) -> None:
    outside = world(database)
    asyncio.run(consume(batch(FakeDelivery(body)), toy(), outside.ports()))
    [line] = outside.named("queue.metric")
    assert line["error"].startswith(output)
    assert EVE not in json.dumps([outside.events, outside.points], default=str)


def test_what_the_work_after_a_batch_quotes_is_not_logged(database: str) -> None:
    async def after(_: Queue, ports: Ports) -> None:
        raise LookupError(EVE)

    worker = toy()
    worker = Worker(worker.name, worker.env, worker.queues, worker.gate, worker.jobs, after)
    outside = world(database)
    asyncio.run(consume(batch(FakeDelivery({"type": "toy.single"})), worker, outside.ports()))
    [line] = outside.named("batch.after_hook_failed")
    assert (line["error_class"], line["error"]) == ("LookupError", "LookupError")


def test_a_traceback_goes_through_what_an_error_was_raised_for() -> None:
    try:
        try:
            raise ValueError(EVE)
        except ValueError as error:
            raise AttributeError("'str' has no attribute 'x'") from error
    except AttributeError as error:
        lines = safe_traceback(error).splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [
        "Traceback (most recent call last):",
        "ValueError",
        "",
        "Traceback (most recent call last):",
        "AttributeError: 'str' has no attribute 'x'",
    ]


def test_what_an_error_says_steers_no_terminal() -> None:
    """In a log line, an alert and a metric."""
    error = OSError("a\x1b]52;c;eA==\x07\x9b\u202e\u2066b")
    assert describe_error(error) == r"OSError: a\x1b]52;c;eA==\x07\x9b\u202e\u2066b"
    assert r"\x1b" in safe_traceback(error)
    assert "\x1b" not in safe_traceback(error)
