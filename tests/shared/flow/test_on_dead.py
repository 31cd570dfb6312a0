"""`on_dead`: what a job does in the transaction that archives its dead letters."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from shared import Database, DeadLetter, MessageJob, Queue, Worker
from shared.errors import DatabaseError
from shared.flow.consume import consume
from shared.flow.dead_letters import READ_TRIES, archive
from tests.fakes import FakeBatch, FakeDelivery, World
from tests.shared.toy import NOON, Single, batch, done, rows_of, world

EVE = "eve@example.com"  # a traceback has lines of the source, and must not have this value


def worker(on_dead: Any) -> Worker:
    jobs = [MessageJob(Single, done, on_dead=on_dead)]
    return Worker("toy", "toy", [Queue("toy-jobs", "TOY", 3)], "ENABLE_TOY_CRON", jobs)


def arrive(outside: World, of: Worker, *bodies: Any, attempts: int = 1) -> list[str | None]:
    """The bodies, given up by the platform, delivered from the dead-letter queue."""
    deliveries = [FakeDelivery(one, id=f"d{n}", attempts=attempts) for n, one in enumerate(bodies)]
    asyncio.run(archive(FakeBatch("toy-jobs-dlq", deliveries), of, outside.ports()))
    return [one.answer for one in deliveries]


def single(n: int) -> dict[str, Any]:
    return {"type": "toy.single", "data": {"n": n}}


def write(db: Database, n: int) -> None:
    db.execute(
        "insert into analytics.locked_days (job_type, date) values ('toy', :day)",
        day=NOON.date() + timedelta(days=n),
    )


def table(url: str, name: str) -> int:
    with rows_of(url) as look:
        return int(look(f"select count(*) as n from {name}")[0]["n"])


def test_a_job_learns_of_its_new_dead_letters_once_with_their_reasons(database: str) -> None:
    seen: list[DeadLetter[Single]] = []

    def on_dead(letters: Sequence[DeadLetter[Single]], db: Database) -> None:
        seen.extend(letters)

    outside, of = world(database), worker(on_dead)
    wrong = {"type": "toy.single", "data": {"n": "many"}}
    asyncio.run(consume(batch(FakeDelivery(wrong, id="m1")), of, outside.ports()))
    for _ in range(2):
        answers = arrive(outside, of, *outside.dlq.sent, single(7), {"type": "toy.nobody"})
        assert answers == ["ack"] * 3
    found = {one.message_id: one for one in seen}
    assert len(seen) == 2
    assert (found["m1"].reason, found["m1"].message, found["m1"].body) == ("invalid", None, wrong)
    assert "Input should be a valid integer" in str(found["m1"].error)
    assert (found["d1"].reason, found["d1"].message) == ("exhausted", Single(data={"n": 7}))
    with rows_of(database) as look:
        ids = {row["message_id"]: row["id"] for row in look("select * from ops.dead_letters")}
    assert {one.message_id: one.id for one in seen} == {"m1": ids["m1"], "d1": ids["d1"]}


def test_its_rows_and_those_of_the_letters_commit_together(database: str) -> None:
    """After an error that is retried neither row is kept, and the dead letters are delivered
    again.
    """
    tries: list[int] = []

    def on_dead(letters: Sequence[DeadLetter[Single]], db: Database) -> None:
        tries.append(len(letters))
        for letter in letters:
            write(db, letter.message.data["n"] if letter.message else 0)
        if len(tries) <= 3:  # together, then one by one
            raise DatabaseError("40001", "again")

    outside, of = world(database), worker(on_dead)
    assert arrive(outside, of, single(1), single(2)) == ["retry", "retry"]
    assert table(database, "ops.dead_letters") == table(database, "analytics.locked_days") == 0
    assert arrive(outside, of, single(1), single(2), attempts=2) == ["ack", "ack"]
    assert table(database, "ops.dead_letters") == table(database, "analytics.locked_days") == 2
    assert tries == [2, 1, 1, 2]


def test_an_error_that_is_not_worth_a_retry_loses_no_letter(database: str) -> None:
    def on_dead(letters: Sequence[DeadLetter[Single]], db: Database) -> None:
        for letter in letters:
            write(db, letter.message.data["n"] if letter.message else 0)
        if any(letter.message and letter.message.data["n"] == 2 for letter in letters):
            raise KeyError(EVE)

    outside = world(database)
    assert arrive(outside, worker(on_dead), single(1), single(2), single(3)) == ["ack"] * 3
    assert table(database, "ops.dead_letters") == 3
    assert table(database, "analytics.locked_days") == 2
    [line] = outside.named("dead_letter.on_dead_failed")
    assert (line["type"], line["message_id"], line["error_class"]) == (
        "toy.single",
        "d1",
        "KeyError",
    )
    assert EVE not in str(outside.events)


def test_a_letter_that_was_written_unread_first_reaches_its_job(database: str) -> None:
    seen: list[int] = []

    def on_dead(letters: Sequence[DeadLetter[Single]], db: Database) -> None:
        seen.extend(one.message.data["n"] for one in letters if one.message)

    outside = world(database)
    assert arrive(outside, worker(on_dead), single(5), attempts=READ_TRIES + 1) == ["ack"]
    assert (seen, table(database, "ops.dead_letters")) == ([5], 1)
