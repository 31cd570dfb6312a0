"""Claims of `redrive` and `backfill`: no row is locked during a call to the vendor, and a command
that is killed at any step can be repeated.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.worker import WORKER
from mauntic.database.url import connect
from mauntic.operations import ledger_queries
from mauntic.operations.backfill import Backfill, Only, plan
from mauntic.operations.dead_letters import redrive_letters
from mauntic.operations.ledger_queries import CLAIM, DeadLetterFilter
from mauntic.operations.system import Advance, QueueState, ignored
from mauntic.operations.vendor.api import VendorRefused
from shared.adapters.postgres.client import Postgres
from shared.ledger.ledger import LEASE
from tests.mauntic.harness import HOURLY, QUEUE
from tests.thorough import examples

JOB = WORKER.by_type[HOURLY]
SCHEDULE = JOB.schedule
assert SCHEDULE is not None
DAY = datetime(2026, 3, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)

OnSend = Callable[[list[Any]], None]


class Box:
    """A System that calls `on_send` with the bodies, and records sent messages in a file."""

    def __init__(self, file: Path, on_send: OnSend = lambda bodies: None) -> None:
        self._file = file
        self._on_send = on_send
        file.touch()

    def send(self, queue: str, bodies: Any, delay_s: int = 0, advance: Advance = ignored) -> None:
        self._on_send(list(bodies))
        with self._file.open("a") as lines:
            lines.writelines(f"{name_of(body)}\n" for body in bodies)

    @property
    def sent(self) -> list[str]:
        return self._file.read_text().split()

    def queue_states(self, names: Any) -> list[QueueState]:
        return []

    def set_paused(self, queue: str, paused: bool) -> None: ...

    def loads(self, since: Any, queue: Any) -> list[Any]:
        return []

    def verdicts(self, since: Any) -> list[Any]:
        return []

    def gauges(self, since: Any) -> list[Any]:
        return []


def name_of(body: Any) -> Any:
    return body.get("redrivenFrom") or body["scheduledFor"]


class Dying(Box):
    """Kills the whole process, before or after the message is sent."""

    def __init__(self, file: Path, point: str) -> None:
        super().__init__(file)
        self._point = point

    def send(self, queue: str, bodies: Any, delay_s: int = 0, advance: Advance = ignored) -> None:
        if self._point == "before send":
            die()
        super().send(queue, bodies, delay_s, advance)
        if self._point == "after send":
            die()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def redrive(db: Postgres, box: Box, now: datetime, *, dies_after_mark: bool = False) -> int:
    """Redrive all dead letters, two at a time; return the number sent."""
    found = redrive_letters(
        db, box, ledger_queries.dead_letters(db, DeadLetterFilter()), rate=2, by="x", note=None,
        sleep=lambda seconds: None, advance=ignored, clock=lambda: now,
    )  # fmt: skip
    done = 0
    for ids in found:
        done += len(ids)
        if dies_after_mark:
            die()
    return done


def backfill_of(
    db: Postgres, box: Box, hours: int, now: datetime, only: Only = "missing"
) -> Backfill:
    assert SCHEDULE is not None
    one = Backfill(db, box, QUEUE, JOB, SCHEDULE, only, hours, lambda: now)
    one.begin(plan(db, JOB, SCHEDULE.between(DAY, DAY + hours * HOUR), only, now))
    return one


def redrive_and_die(url: str, file: Path, point: str, now: datetime) -> None:
    with closing(Postgres(lambda: connect(url))) as db:
        redrive(db, Dying(file, point), now, dies_after_mark=point == "after mark")


def backfill_and_die(url: str, file: Path, point: str, now: datetime) -> None:
    with closing(Postgres(lambda: connect(url))) as db:
        backfill_of(db, Dying(file, point), 4, now).step()


def killed(work: Callable[..., None], *arguments: Any) -> None:
    """Run it in a process of its own, which has to end by SIGKILL."""
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    process.close()


def bury(db: Postgres, count: int) -> set[int]:
    rows = db.rows(
        "insert into ops.dead_letters"
        " (queue, message_id, job_type, body, reason, attempts, dead_at)"
        " select :queue, 'm' || n, 'a.b', jsonb_build_object('type', 'a.b'), 'failed', 1, now()"
        " from generate_series(1, :count) as n returning id",
        queue=QUEUE, count=count,
    )  # fmt: skip
    return {row["id"] for row in rows}


def statuses(db: Postgres) -> dict[int, str]:
    return {row["id"]: row["status"] for row in db.rows("select id, status from ops.dead_letters")}


@pytest.mark.parametrize(
    ("point", "sent_before", "marked_before"),
    [("before send", 0, 0), ("after send", 2, 0), ("after mark", 2, 2)],
)
def test_a_redrive_that_is_killed_can_be_repeated(
    db: Postgres, database: str, tmp_path: Path, point: str, sent_before: int, marked_before: int
) -> None:
    """Five dead letters, two at a time. The claims of the killed process are free later."""
    numbers, file, now = bury(db, 5), tmp_path / "sent", datetime.now(UTC)
    killed(redrive_and_die, database, file, point, now)
    box = Box(file)
    assert len(box.sent) == sent_before
    assert sum(status == "redriven" for status in statuses(db).values()) == marked_before
    claimed = 2 - marked_before
    assert redrive(db, box, now + CLAIM / 2) == 3
    assert redrive(db, box, now + CLAIM + SECOND) == claimed
    assert set(statuses(db).values()) == {"redriven"}
    assert {int(number) for number in box.sent} == numbers
    assert len(box.sent) == 5 + (2 if point == "after send" else 0)


@pytest.mark.parametrize(("point", "sent_before"), [("before send", 0), ("after send", 4)])
def test_a_backfill_that_is_killed_can_be_repeated(
    db: Postgres, database: str, tmp_path: Path, point: str, sent_before: int
) -> None:
    file, now = tmp_path / "sent", datetime.now(UTC)
    killed(backfill_and_die, database, file, point, now)
    box = Box(file)
    assert len(box.sent) == sent_before
    too_early = backfill_of(db, box, 4, now + LEASE / 2)
    too_early.step()
    assert (len(too_early.summary.busy), len(box.sent)) == (4, sent_before)
    again = backfill_of(db, box, 4, now + LEASE + SECOND)
    again.step()
    assert (again.in_flight, len(box.sent)) == (4, sent_before + 4)
    assert len(set(box.sent)) == 4


def expect_unlocked(url: str, table: str) -> OnSend:
    """Fails if a row of the table is locked during the send."""

    def look(bodies: list[Any]) -> None:
        with closing(connect(url)) as other:
            assert other.run(f"select 1 from {table} for update nowait")

    return look


def test_no_row_is_locked_while_the_vendor_is_asked(
    db: Postgres, database: str, tmp_path: Path
) -> None:
    """The vendor may delay a command for minutes. A tick that needs a row must not wait."""
    bury(db, 3)
    letters = Box(tmp_path / "letters", expect_unlocked(database, "ops.dead_letters"))
    assert redrive(db, letters, datetime.now(UTC)) == 3
    windows = Box(tmp_path / "windows", expect_unlocked(database, "ops.job_runs"))
    backfill_of(db, windows, 3, datetime.now(UTC)).step()
    assert len(windows.sent) == 3


def test_a_letter_on_its_way_is_not_discarded(db: Postgres, tmp_path: Path) -> None:
    numbers, now = sorted(bury(db, 2)), datetime.now(UTC)
    gone: list[int] = []

    def discard(bodies: list[Any]) -> None:
        gone.extend(ledger_queries.discard_dead_letters(db, numbers, by="y", note="no", now=now))

    assert redrive(db, Box(tmp_path / "sent", discard), now) == 2
    assert (gone, set(statuses(db).values())) == ([], {"redriven"})


def refuse(bodies: list[Any]) -> None:
    raise VendorRefused("broken")


def test_a_redrive_that_fails_gives_its_letters_back(db: Postgres, tmp_path: Path) -> None:
    bury(db, 2)
    look = "select * from ops.dead_letters order by id"
    before = db.rows(look)
    with pytest.raises(VendorRefused):
        redrive(db, Box(tmp_path / "sent", refuse), datetime.now(UTC))
    assert db.rows(look) == before


@settings(
    max_examples=examples(25),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    states=st.lists(
        st.sampled_from(["missing", "succeeded", "dead", "skipped", "queued", "failed"]),
        min_size=1,
        max_size=6,
    ),
    only=st.sampled_from(["missing", "failed", "all"]),
)
def test_a_backfill_whose_send_fails_leaves_the_ledger_as_it_was(
    db: Postgres, tmp_path: Path, states: list[str], only: Only
) -> None:
    db.execute("delete from ops.job_runs")
    now = datetime.now(UTC)
    for hour, state in enumerate(states):
        if state != "missing":
            db.execute(
                "insert into ops.job_runs (job_type, window_start, window_end, status, trigger,"
                " scheduled_for, lease_until, queued_at)"
                " values (:job, :start, :end, :status, 'cron', :end, :lease, :end)",
                job=HOURLY, start=DAY + hour * HOUR, end=DAY + (hour + 1) * HOUR, status=state,
                lease=now - HOUR if state in ("queued", "failed") else None,
            )  # fmt: skip
    look = "select * from ops.job_runs order by window_start"
    before = db.rows(look)
    one = backfill_of(db, Box(tmp_path / "sent", refuse), len(states), now, only)
    first = one.oldest_open
    with suppress(VendorRefused):
        one.step()
    assert db.rows(look) == before
    assert one.oldest_open == first, "the same command goes on from there"
