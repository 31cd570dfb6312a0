"""Dead letters, crashes at every statement, and lost, repeated and reordered messages."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from journeys.domain.messages import Advance
from journeys.jobs import advance
from journeys.store.statements import SQL
from mauntic.database.embedded.server import Server
from shared.jobs import DeadLetter
from shared.outcome import Dead
from shared.ports import Database, Row, Statement
from tests.scratch import scratch_database
from tests.thorough import examples
from tests.workers.journeys.stage import NOW, TEMPLATE, Journey, Stage, org, person

MAIL: Any = ("action", {"type": "send_email", "templateId": str(TEMPLATE)})
ALWAYS = {"reEntry": {"type": "always"}}


# -- dead letters


def broken(stage: Stage) -> Journey:
    """A journey whose second step cannot be carried out."""
    journey = stage.journey(
        {"mail": MAIL, "bad": ("exit", {})}, [("mail", "", "bad")], settings=ALWAYS
    )
    set_type(stage, journey, "webhook")
    return journey


def set_type(stage: Stage, journey: Journey, step_type: str) -> None:
    stage.db.execute("alter table journey.journey_steps disable trigger guard_steps")
    stage.db.execute(
        "update journey.journey_steps set type = :type where id = :id",
        id=journey.steps["bad"], type=step_type,
    )  # fmt: skip


def archive(stage: Stage, body: dict[str, Any], reason: str) -> None:
    """The dead letter of a message is archived."""
    message = Advance.model_validate(body)
    letter = DeadLetter(7, message, body, reason, "StepFailed: not supported", "m")
    with stage.db.transaction():
        advance.fail([letter], stage.db)


def advance_body(stage: Stage, journey: Journey) -> dict[str, Any]:
    row = stage.executions(journey)[0]
    data = {"organizationId": str(org()), "executionId": str(row["id"]), "seq": row["seq"]}
    return {"type": "journey.advance", "data": data}


def test_a_dead_letter_fails_its_execution_and_redriving_opens_it(stage: Stage) -> None:
    stage.contact()
    journey = broken(stage)
    stage.enroll(journey, 1)
    [outcome] = [own for own in stage.deliver() if isinstance(own, Dead)]
    assert outcome.reason == "step_failed"
    body = advance_body(stage, journey)
    archive(stage, body, "exhausted")
    assert stage.state(journey) == ("active", None)
    archive(stage, {**body, "data": {**body["data"], "seq": 0}}, "step_failed")
    assert stage.state(journey) == ("active", None)
    archive(stage, body, "step_failed")
    assert stage.state(journey) == ("failed", "step_failed")
    [log] = stage.db.rows("select level, code, metadata from journey.execution_logs")
    assert (log["level"], log["code"]) == ("error", "step_failed")
    assert log["metadata"] == {
        "stepId": str(journey.steps["bad"]), "error": "StepFailed: not supported",
        "deadLetterId": 7,
    }  # fmt: skip

    set_type(stage, journey, "exit")
    advance.reopen([Advance.model_validate(body)], stage.db, stage.now)
    assert stage.consume(body) != []
    assert stage.state(journey) == ("completed", "exit")
    assert stage.visits(journey) == ["mail", "bad"]
    assert stage.logs()[-1] == ("info", "reopened")


def test_redriving_does_not_open_what_the_contact_has_entered_again(stage: Stage) -> None:
    stage.contact()
    journey = broken(stage)
    stage.enroll(journey, 1)
    stage.deliver()
    body = advance_body(stage, journey)
    archive(stage, body, "step_failed")
    stage.enroll(journey, 1, request="again")
    advance.reopen([Advance.model_validate(body)], stage.db, stage.now)
    assert [row["status"] for row in stage.executions(journey)] == ["failed", "active"]


# -- crashes


class Crash(BaseException):
    """The isolate ends."""


@dataclass
class Crashing:
    """A database at whose `at`-th statement or commit the isolate ends, before or after it."""

    db: Database
    at: int
    is_after: bool
    count: int = 0
    name: str = ""

    def _around(self, name: str, work: Callable[[], Any]) -> Any:
        self.count += 1
        is_here = self.count == self.at
        if is_here:
            self.name = name
        if is_here and not self.is_after:
            raise Crash
        found = work()
        if is_here:
            raise Crash
        return found

    def rows(self, sql: str, **parameters: Any) -> list[Row]:
        found: list[Row] = self._around(_name(sql), lambda: self.db.rows(sql, **parameters))
        return found

    def execute(self, sql: str, **parameters: Any) -> int:
        found: int = self._around(_name(sql), lambda: self.db.execute(sql, **parameters))
        return found

    def together(self, *statements: Statement, commit: bool = False) -> list[list[Row]]:
        return [self.rows(sql, **parameters) for sql, parameters in statements]

    def ahead(self, sql: str) -> None:
        self.db.ahead(sql)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self.db.transaction():
            yield
            self._around("before the commit", lambda: None)
        self._around("after the commit", lambda: None)

    def open(self) -> None:
        self.db.open()

    def close(self) -> None:
        self.db.close()


def _name(sql: str) -> str:
    return next((name for name, text in SQL.blocks.items() if text == sql), "another")


WHOLE: Any = {
    "start": ("trigger", {}),
    "mail": MAIL,
    "rest": ("delay", {"duration": 2, "unit": "hours"}),
    "gate": ("gate", {"eventType": "form_submitted", "timeout": 24}),
    "text": ("action", {"type": "send_sms", "templateId": str(TEMPLATE)}),
    "task": ("action", {"type": "create_task"}),
    "done": ("exit", {}),
}
WHOLE_LINKS = [
    ("start", "", "mail"), ("mail", "", "rest"), ("rest", "", "gate"), ("gate", "yes", "text"),
    ("gate", "no", "task"), ("text", "", "done"), ("task", "", "done"),
]  # fmt: skip
EXPECTED = {
    1: ["mail", "rest", "gate:yes", "text", "done"],
    2: ["mail", "rest", "gate:no", "task", "done"],
}


def play(stage: Stage) -> None:
    """Two contacts enter by an event; one submits a form within the gate."""
    stage.event(1, "signed_up")
    stage.event(2, "signed_up")
    for _ in range(3):
        stage.tick()
        stage.outside.advance(minutes=5)
    stage.pass_time(hours=5)
    stage.event(1, "form_submitted")
    stage.pass_time(hours=30)


def check(stage: Stage, journey: Journey) -> None:
    for contact, expected in EXPECTED.items():
        assert stage.visits(journey, contact) == expected
    assert [row["status"] for row in stage.executions(journey)] == ["completed"] * 2
    keys = [row["idempotency_key"] for row in stage.messages()]
    assert len(keys) == len(set(keys)) == 3
    requested = stage.db.rows(
        "select body from journey.outbox where type = 'journey.ActionRequested'"
    )
    assert [row["body"]["contactId"] for row in requested] == [str(person(2))]
    for table in ("waits", "pending_events"):
        assert stage.db.rows(f"select * from journey.{table}") == []


def prepared(stage: Stage) -> Journey:
    for number in (1, 2):
        stage.contact(number)
    journey = stage.journey(WHOLE, WHOLE_LINKS, settings=ALWAYS)
    stage.trigger(journey, "event", eventType="signed_up")
    return journey


def statements_of_a_run(stage: Stage) -> int:
    """How many statements and commits the whole journey takes."""
    counters: list[Crashing] = []

    def counted(db: Database) -> Database:
        counters.append(Crashing(db, 0, is_after=False))
        return counters[-1]

    stage.around = counted
    journey = prepared(stage)
    play(stage)
    check(stage, journey)
    return sum(own.count for own in counters)


def crash_at(stage: Stage, at: int, *, is_after: bool) -> str:
    """Play the journey; the isolate ends at the `at`-th statement. Return the statement's name."""
    seen: list[Crashing] = []

    def crashing(db: Database) -> Database:
        before = sum(own.count for own in seen)
        seen.append(Crashing(db, at - before, is_after))
        return seen[-1]

    stage.around = crashing
    stage.survives = (Crash,)
    journey = prepared(stage)
    play(stage)
    check(stage, journey)
    return next((own.name for own in seen if own.name), "")


def test_a_crash_at_any_statement_changes_nothing_in_the_end(
    postgres: Server, migrated: str
) -> None:
    """The isolate ends before or after a statement or commit; the queue delivers again."""
    with scratch_database(postgres, migrated) as url, closing(Stage(url)) as stage:
        total = statements_of_a_run(stage)
    places = [(at, is_after) for at in range(1, total + 1) for is_after in (False, True)]
    chosen = random.Random(1).sample(places, min(len(places), examples(20)))
    names = set()
    for at, is_after in chosen:
        with scratch_database(postgres, migrated) as url, closing(Stage(url)) as stage:
            names.add(crash_at(stage, at, is_after=is_after))
    assert len(names) >= min(5, len(chosen) // 2)  # the places differ


# -- messages


@hypothesis_settings(max_examples=examples(16))
@given(data=st.data())
def test_lost_repeated_and_reordered_messages_end_in_the_same_visits(
    postgres: Server, migrated: str, data: st.DataObject
) -> None:
    """Each message may be lost, delivered twice, or delivered with any others in any order."""
    with scratch_database(postgres, migrated) as url, closing(Stage(url)) as stage:
        fates = st.sampled_from(["arrives", "lost", "twice"])
        lost = 0
        old: list[dict[str, Any]] = []

        def disturb(bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
            nonlocal lost
            found = []
            for body in bodies:
                fate = data.draw(fates)
                if fate == "lost" and lost < 6:
                    lost += 1
                    old.append(body)
                    continue
                found += [body] * (2 if fate == "twice" else 1)
                old.append(body)
            again = data.draw(st.integers(0, 2 * len(old)))  # an older one, or none
            found += old[again : again + 1]
            order: list[dict[str, Any]] = data.draw(st.permutations(found))
            return order

        stage.disturb = disturb
        journey = prepared(stage)
        play(stage)
        check(stage, journey)


@pytest.mark.parametrize("days", [14])
def test_the_time_of_an_execution_has_no_limit(stage: Stage, days: int) -> None:
    stage.contact()
    journey = stage.journey({"rest": ("delay", {"duration": days, "unit": "days"})}, [])
    stage.enroll(journey, 1)
    stage.pass_time(days=days)
    assert stage.state(journey) == ("completed", "end")
    assert stage.execution(journey)["completed_at"] == NOW + timedelta(days=days)
