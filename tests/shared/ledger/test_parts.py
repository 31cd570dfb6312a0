"""Split work without a window: done once despite repetition, loss and overlap."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mauntic.database.url import connect
from shared.adapters.postgres.client import Postgres
from shared.errors import SubjectChanged
from shared.ledger import parts
from shared.ledger.parts import Part, Subject
from shared.ledger.shards import Bounds, KeyRange, Size, numbered, plan_keys
from shared.messages import Shard
from tests.thorough import examples

NOW = datetime(2026, 3, 10, 9, tzinfo=UTC)
SEGMENT = UUID(int=7)
BUILD = Subject("segment.build", SEGMENT, 1)
THREE: list[Bounds] = [{"first": 0}, {"first": 10}, {"first": 20}]
QUARTER = timedelta(minutes=15)


class Work:
    """A job that splits its work: it writes a row for each part, and one when it is complete."""

    def __init__(self, url: str) -> None:
        self.db = Postgres(lambda: connect(url))

    def prepare(self) -> None:
        self.db.execute("drop table if exists public.subject, public.written, public.completed")
        self.db.execute(
            "create table public.subject (id uuid primary key, version bigint not null)"
        )
        self.db.execute("create table public.written (version bigint, first integer)")
        self.db.execute("create table public.completed (version bigint)")
        self.db.execute("insert into public.subject values (:id, 1)", id=SEGMENT)
        self.db.execute("delete from ops.parts")

    def lock_subject(self) -> int | None:
        rows = self.db.rows(
            "select version from public.subject where id = :id for update", id=SEGMENT
        )
        return rows[0]["version"] if rows else None

    def write(self, part: Part) -> None:
        self.db.execute(
            "insert into public.written values (:version, :first)",
            version=part.subject.version,
            first=part.bounds["first"],
        )

    def finish(self, part: Part) -> bool:
        is_last = parts.finish(self.db, part, NOW, self.lock_subject)
        if is_last:
            self.db.execute("insert into public.completed values (:v)", v=part.subject.version)
        return is_last

    def run(self, number: int, subject: Subject = BUILD) -> bool | None:
        """Handle a part's message: return None without work, else whether it was the last part."""
        with self.db.transaction():
            part = parts.claim(self.db, subject, number)
            if part is None:
                return None
            self.write(part)
            return self.finish(part)

    def written(self) -> list[int]:
        rows = self.db.rows("select first from public.written order by first")
        return [row["first"] for row in rows]

    def completions(self) -> int:
        return int(self.db.rows("select count(*) as count from public.completed")[0]["count"])


@pytest.fixture
def work(database: str) -> Iterator[Work]:
    work = Work(database)
    with closing(work.db):
        work.prepare()
        yield work


@pytest.fixture
def other(database: str) -> Iterator[Work]:
    other = Work(database)
    with closing(other.db):
        yield other


def numbers(planned: list[Part]) -> list[int]:
    return [part.number for part in planned]


def test_each_part_is_done_once_and_the_last_completes_the_work(work: Work) -> None:
    planned = parts.plan(work.db, BUILD, THREE, NOW)
    assert [(part.number, part.of, part.bounds) for part in planned] == [
        (1, 3, {"first": 0}), (2, 3, {"first": 10}), (3, 3, {"first": 20}),
    ]  # fmt: skip
    assert [work.run(number) for number in (2, 1, 2, 3, 1, 3)] == [
        False, False, None, True, None, None,
    ]  # fmt: skip
    assert (work.written(), work.completions()) == ([0, 10, 20], 1)


def test_a_repeated_plan_changes_nothing_and_returns_what_is_open(work: Work) -> None:
    parts.plan(work.db, BUILD, THREE, NOW)
    work.run(1)
    assert numbers(parts.plan(work.db, BUILD, [{"first": 99}], NOW + QUARTER)) == [2, 3]
    assert [work.run(2), work.run(3)] == [False, True]
    assert work.written() == [0, 10, 20]
    assert parts.plan(work.db, BUILD, THREE, NOW) == []


def test_work_that_is_not_cut_is_one_part(work: Work) -> None:
    [part] = parts.plan(work.db, BUILD, [], NOW)
    assert (part.number, part.of, part.bounds) == (1, 1, {})


def test_the_planner_of_windows_plans_parts_too(work: Work) -> None:
    sizes = [Size(UUID(int=n), 40) for n in (1, 2, 3)]
    bounds = plan_keys(sizes, 80, lambda _: [])
    planned = parts.plan(work.db, BUILD, bounds, NOW)
    read = [KeyRange.of(Shard.model_validate({"index": 1, "of": 1} | p.bounds)) for p in planned]
    assert read == [KeyRange.of(Shard.model_validate(shard)) for shard in numbered(bounds)]
    assert len(read) == 2


def test_a_part_that_a_run_holds_is_taken_by_no_other(work: Work, other: Work) -> None:
    parts.plan(work.db, BUILD, THREE, NOW)
    with work.db.transaction():
        assert parts.claim(work.db, BUILD, 1)
        assert other.run(1) is None
        assert numbers(parts.requeue(other.db, BUILD.kind, NOW + QUARTER)) == [2, 3]


def test_a_part_whose_run_crashed_is_enqueued_again_after_a_quarter_of_an_hour(work: Work) -> None:
    parts.plan(work.db, BUILD, THREE, NOW)
    with held(work, 2) as part:
        assert part
        work.finish(part)
    assert work.written() == []
    work.run(1)
    assert parts.requeue(work.db, BUILD.kind, NOW + QUARTER - timedelta(seconds=1)) == []
    again = parts.requeue(work.db, BUILD.kind, NOW + QUARTER)
    assert sorted(numbers(again)) == [2, 3]
    assert all(part.bounds == THREE[part.number - 1] for part in again)
    assert parts.requeue(work.db, BUILD.kind, NOW + QUARTER) == []
    assert parts.requeue(work.db, "campaign.fan-out", NOW + 9 * QUARTER) == []
    assert [work.run(2), work.run(3)] == [False, True]


def test_a_changed_subject_rolls_the_part_back_and_its_next_plan_voids_the_others(
    work: Work,
) -> None:
    parts.plan(work.db, BUILD, THREE, NOW)
    work.run(1)
    work.db.execute("update public.subject set version = 2")
    with pytest.raises(SubjectChanged):
        work.run(2)
    assert work.written() == [0]
    newer = Subject(BUILD.kind, SEGMENT, 2)
    assert numbers(parts.plan(work.db, newer, THREE[:1], NOW)) == [1]
    assert (work.run(2), work.run(3)) == (None, None)
    assert work.run(1, newer) is True
    work.db.execute("delete from public.subject")
    parts.plan(work.db, Subject(BUILD.kind, SEGMENT, 3), THREE, NOW)
    with pytest.raises(SubjectChanged):
        work.run(1, Subject(BUILD.kind, SEGMENT, 3))


def test_of_two_parts_that_finish_at_once_one_is_the_last(work: Work, other: Work) -> None:
    parts.plan(work.db, BUILD, THREE[:2], NOW)
    with ThreadPoolExecutor(1) as pool:
        with work.db.transaction():
            first = parts.claim(work.db, BUILD, 1)
            assert first
            assert work.finish(first) is False
            second = pool.submit(other.run, 2)
            wait_until_blocked(work.db)
        assert second.result(30) is True
    assert work.completions() == 1


@pytest.mark.parametrize("commits", [True, False])
def test_of_two_plans_at_once_one_stands_whole(work: Work, other: Work, commits: bool) -> None:
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(KeyError) if not commits else ExitStack(), work.db.transaction():
            parts.plan(work.db, BUILD, THREE, NOW)
            second = pool.submit(parts.plan, other.db, BUILD, [{"first": 99}], NOW)
            wait_until_blocked(work.db)
            if not commits:
                raise KeyError
        planned = second.result(30)
    expected = THREE if commits else [{"first": 99}]
    assert [part.bounds for part in planned] == expected
    stored = work.db.rows("select bounds from ops.parts order by part")
    assert [row["bounds"] for row in stored] == expected


def wait_until_blocked(db: Postgres) -> None:
    end = monotonic() + 30
    blocked = (
        "select count(*) as count from pg_locks as own join pg_stat_activity using (pid)"
        " where not own.granted and datname = current_database()"
    )
    while db.rows(blocked)[0]["count"] == 0:
        assert monotonic() < end
        sleep(0.02)


@contextmanager
def held(work: Work, number: int) -> Iterator[Part | None]:
    """A run that has claimed its part and has written, and crashes at the end of the block."""
    try:
        with work.db.transaction():
            part = parts.claim(work.db, BUILD, number)
            if part:
                work.write(part)
            yield part
            raise KeyError
    except KeyError:
        pass


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["plan", "run", "run", "crash", "overlap", "requeue"]),
        st.integers(1, 4),
        st.integers(1, 4),
    ),
    max_size=12,
)


@settings(
    max_examples=examples(25),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS, count=st.integers(1, 4))
def test_whatever_is_repeated_crashes_or_overlaps_the_work_is_complete_once(
    work: Work, other: Work, steps: list[tuple[str, int, int]], count: int
) -> None:
    """At the end only the five-minute job continues, which completes the work."""
    work.prepare()
    bounds: list[Bounds] = [{"first": 10 * n} for n in range(count)]
    now, last = NOW, 0
    parts.plan(work.db, BUILD, bounds, now)
    for action, first, second in steps:
        if action == "plan":
            parts.plan(work.db, BUILD, [*bounds, {"first": 99}], now)
        elif action == "run":
            last += work.run(first) is True
        elif action == "requeue":
            now += QUARTER
            last += sum(work.run(p.number) is True for p in parts.requeue(work.db, BUILD.kind, now))
        else:
            with held(work, first):
                if action == "overlap":
                    last += other.run(second) is True
                    if second == first:
                        assert other.run(first) is None
    now += QUARTER
    for part in parts.requeue(work.db, BUILD.kind, now):
        last += work.run(part.number) is True
    assert (work.written(), work.completions(), last) == ([10 * n for n in range(count)], 1, 1)
    assert parts.requeue(work.db, BUILD.kind, now + QUARTER) == []
