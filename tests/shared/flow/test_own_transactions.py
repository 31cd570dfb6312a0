"""Jobs with `transaction=False`: the handler opens its own transactions."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from shared import BatchJob, Done, MessageJob, Ports, Queue, Run, Schedule, WindowJob, Worker
from shared import hour_before as before
from shared.flow.consume import consume
from tests.fakes import FakeDelivery, World
from tests.shared.toy import (
    NOON,
    Hourly,
    Listed,
    Single,
    batch,
    done,
    hour_message,
    rows_of,
    runs,
    world,
)

HOURLY = Schedule("0 * * * *", before, timedelta(minutes=30))
WRITE = "insert into analytics.locked_days (job_type, date) values ('toy', :day)"


def worker(*jobs: WindowJob | MessageJob[Single] | BatchJob[Listed]) -> Worker:
    return Worker("toy", "toy", [Queue("toy-jobs", "TOY", 3)], "ENABLE_TOY_CRON", jobs)


def deliver(outside: World, job: Worker, *deliveries: FakeDelivery) -> list[str | None]:
    asyncio.run(consume(batch(*deliveries), job, outside.ports()))
    return [delivery.answer for delivery in deliveries]


def write(ports: Ports, n: int = 0) -> None:
    ports.db.execute(WRITE, day=NOON.date() + timedelta(days=n))


def written(url: str) -> int:
    with rows_of(url) as look:
        return int(look("select count(*) as n from analytics.locked_days")[0]["n"])


def is_in_transaction(ports: Ports) -> bool:
    """Two statements of one transaction have the same id."""
    ids = {ports.db.rows("select pg_current_xact_id() as id")[0]["id"] for _ in range(2)}
    return len(ids) == 1


def test_a_message_handler_runs_in_a_transaction_unless_its_job_opens_its_own(
    database: str,
) -> None:
    seen: list[bool] = []

    async def handler(message: Single, ports: Ports) -> Done:
        seen.append(is_in_transaction(ports))
        write(ports)
        raise TimeoutError("the provider is slow")

    rows = []
    for own in (True, False):
        job = MessageJob(Single, handler, transaction=own)
        assert deliver(world(database), worker(job), FakeDelivery({"type": "toy.single"})) == [
            "retry"
        ]
        rows.append(written(database))
    assert (seen, rows) == ([True, False], [0, 1])


def test_a_batch_that_opens_its_own_transactions_is_not_tried_message_by_message(
    database: str,
) -> None:
    sizes: list[int] = []

    async def handler(messages: Sequence[Listed], ports: Ports) -> list[Done]:
        sizes.append(len(messages))
        with ports.db.transaction():
            write(ports)
        raise TimeoutError("the provider is slow")

    outside = world(database)
    job = worker(BatchJob(Listed, handler, transaction=False))
    letters = [FakeDelivery({"type": "toy.listed"}, id=f"m{n}") for n in range(3)]
    assert deliver(outside, job, *letters) == ["retry"] * 3
    assert (sizes, written(database)) == ([3], 1)
    assert {one["error_class"] for one in outside.named("queue.metric")} == {"TimeoutError"}


def test_a_window_that_fails_halfway_keeps_what_it_committed_and_runs_again(database: str) -> None:
    tries: list[bool] = []

    async def handler(run: Run) -> Done:
        tries.append(is_in_transaction(run.ports))
        write(run.ports, len(tries))
        if len(tries) == 1:
            raise TimeoutError("slow")
        return Done(rows_written=2)

    outside = world(database)
    job = worker(WindowJob(Hourly, handler, HOURLY, transaction=False))
    assert deliver(outside, job, FakeDelivery(hour_message(), id="m")) == ["retry"]
    assert written(database) == 1
    again = FakeDelivery(hour_message(), id="m", attempts=2)
    assert deliver(outside, job, again) == ["ack"]
    assert (tries, written(database)) == ([False, False], 2)
    assert list(runs(database).values()) == ["succeeded"]


def test_a_window_that_was_taken_over_does_not_finish(database: str) -> None:
    """Its rows stand, and the ledger has the end of the newer run."""
    newer = FakeDelivery(hour_message(), id="newer")

    async def slow(run: Run) -> Done:
        write(run.ports)
        outside.advance(minutes=17)
        await consume(batch(newer), worker(WindowJob(Hourly, done, HOURLY)), outside.ports())
        return Done(rows_written=99)

    outside = world(database)
    job = worker(WindowJob(Hourly, slow, HOURLY, transaction=False))
    assert deliver(outside, job, FakeDelivery(hour_message(), id="older")) == ["retry"]
    assert newer.answer == "ack"
    with rows_of(database) as look:
        [row] = look("select status, rows_written from ops.job_runs")
    assert (row["status"], row["rows_written"], written(database)) == ("succeeded", 1, 1)
