"""The counters that limit senders to their caps, with all faults of R2.

The real R2 is tested with concurrent senders in tests/e2e/test_faults.py.
"""

from __future__ import annotations

import asyncio
import random
from datetime import date, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import StorageError
from shared.warmup.caps import COUNTER_KEY, cap
from shared.warmup.counters import Content, Slot, WarmingDomain, WarmupCounters
from tests.fake_r2 import FakeR2, Fault, run_virtually, virtual_clock
from tests.workers.analytics.reservations import booked, granted_to_many

TODAY = date(2026, 3, 10)


def domain_on_day(warmup_day: int, today: date = TODAY) -> WarmingDomain:
    created = datetime.fromisoformat(f"{today - timedelta(days=warmup_day - 1)}T23:59:59+00:00")
    return WarmingDomain(UUID(int=1), "news.example", created)


def test_the_first_day_is_the_calendar_day_of_creation() -> None:
    domain = domain_on_day(1)
    assert (domain.cap(TODAY), domain.cap(TODAY + timedelta(days=1))) == (50, 100)
    assert domain.cap(TODAY + timedelta(days=29)) == 50_000
    assert domain.cap(TODAY + timedelta(days=30)) is None


@pytest.mark.parametrize(("warmup_day", "sizes"), [(1, [7] * 60), (4, [30] * 100), (7, [100] * 60)])
def test_many_at_once_get_the_whole_cap_and_no_more(warmup_day: int, sizes: list[int]) -> None:
    async def check() -> None:
        clock = virtual_clock()
        bucket = FakeR2(clock, latency=lambda: random.uniform(0.005, 0.05))
        domain = domain_on_day(warmup_day)
        granted = await granted_to_many(bucket, clock, domain, sizes, patience_s=300)
        assert sum(granted) == cap(warmup_day) == await booked(bucket, clock, domain)

    run_virtually(check())


@pytest.mark.parametrize("settled_by", ["recognized", "given_up", "doubtful", "settle"])
def test_what_was_settled_is_not_given_back_by_a_later_refusal(settled_by: str) -> None:
    """A write with a lost answer is resolved once; the next one, refused, was never done."""
    slot = Slot("k", 50, unanswered={"n": 2}, lost=True)
    settled = {
        "recognized": lambda: slot.recognized(Content(2, ("n",))),
        "given_up": slot.given_up,
        "doubtful": slot.doubtful,
        "settle": slot.settle,
    }[settled_by]()
    assert settled == (None if settled_by == "settle" else 2)
    assert (slot.unanswered, slot.lost) == ({}, False)
    slot.unanswered["m"] = 3  # refused: kept until the counter is read again
    assert slot.given_up() == 0
    assert slot.closed is (settled_by in ("given_up", "doubtful"))


def test_a_batch_is_one_conditional_write() -> None:
    async def check() -> None:
        clock = virtual_clock()
        bucket = FakeR2(clock)
        assert await granted_to_many(bucket, clock, domain_on_day(7), [100]) == [100]
        assert [operation for operation, _ in bucket.calls] == ["get", "put"]

    run_virtually(check())


def test_no_key_is_written_more_than_once_a_second() -> None:
    async def check() -> None:
        clock = virtual_clock()
        bucket = FakeR2(clock)
        counters = WarmupCounters(bucket, clock, lambda: 0.0)
        for _ in range(6):  # one sender after the other, all beginning with the same slice
            assert await counters.reserve(domain_on_day(3), TODAY, 20) == 20
        assert bucket.refusals == 0

    run_virtually(check())


def test_what_is_released_may_be_reserved_again() -> None:
    async def check() -> None:
        clock = virtual_clock()
        counters = WarmupCounters(FakeR2(clock), clock, random.random)
        domain = domain_on_day(1)
        assert await counters.reserve(domain, TODAY, 60) == 50
        assert await counters.reserve(domain, TODAY, 1) == 0
        assert await counters.release(domain, TODAY, 20) == 20
        assert await counters.sent_today(domain, TODAY) == 30
        assert await counters.reserve(domain, TODAY, 60) == 20
        assert await counters.release(domain, TODAY, 99) == 50

    run_virtually(check())


def test_after_the_warm_up_nothing_is_counted() -> None:
    async def check() -> None:
        clock = virtual_clock()
        bucket = FakeR2(clock)
        counters = WarmupCounters(bucket, clock, random.random)
        assert await counters.reserve(domain_on_day(31), TODAY, 10**6) == 10**6
        assert await counters.release(domain_on_day(31), TODAY, 10) == 0
        assert (await counters.sent_today(domain_on_day(31), TODAY), bucket.calls) == (0, [])

    run_virtually(check())


def test_a_day_that_is_over_gives_nothing() -> None:
    async def check() -> None:
        clock = virtual_clock()
        counters = WarmupCounters(FakeR2(clock), clock, random.random)
        assert await counters.reserve(domain_on_day(5), TODAY - timedelta(days=1), 10) == 0

    run_virtually(check())


def test_a_new_day_begins_at_zero_without_any_reset() -> None:
    async def check() -> None:
        clock = virtual_clock()
        counters = WarmupCounters(FakeR2(clock), clock, random.random)
        assert await counters.reserve(domain_on_day(1), TODAY, 50) == 50
        assert await counters.reserve(domain_on_day(1), TODAY + timedelta(days=1), 100) == 100

    run_virtually(check())


@pytest.mark.parametrize("fault", ["lost", "none"])
def test_a_lost_answer_is_found_by_its_nonce(fault: Fault) -> None:
    """The write was done: the reservation gets it, and it is counted once."""

    async def check() -> None:
        clock = virtual_clock()
        faults = iter([fault])
        bucket = FakeR2(
            clock, lambda operation, key: next(faults, None) if operation == "put" else None
        )
        counters = WarmupCounters(bucket, clock, random.random)
        assert await counters.reserve(domain_on_day(1), TODAY, 30) == 30
        assert await counters.sent_today(domain_on_day(1), TODAY) == 30
        assert [operation for operation, _ in bucket.calls] == ["get", "put", "get", "get"]

    run_virtually(check())


@pytest.mark.parametrize("status", ["429", "500"])
def test_counters_that_cannot_be_written_are_an_error_and_not_a_zero(status: Fault) -> None:
    async def check() -> None:
        clock = virtual_clock()
        bucket = FakeR2(clock, lambda operation, key: status if operation == "put" else None)
        with pytest.raises(StorageError) as raised:
            await WarmupCounters(bucket, clock, random.random).reserve(domain_on_day(1), TODAY, 30)
        assert raised.value.status in (429, 500)

    run_virtually(check())


def test_what_may_have_been_given_back_is_not_given_back_twice() -> None:
    """The write is done long after its answer was an error, and the slice is busy until then."""

    async def check() -> None:
        clock = virtual_clock()
        faults: list[Fault] = []
        bucket = FakeR2(
            clock, lambda called, _: faults.pop(0) if faults and called == "put" else None
        )
        counters = WarmupCounters(bucket, clock, random.random)
        domain = domain_on_day(3)
        assert await counters.reserve(domain, TODAY, 250) == 250
        await asyncio.sleep(5)
        faults += ["late", "429"]
        assert await counters.release(domain, TODAY, 50) == 50
        await asyncio.sleep(5)
        assert await counters.sent_today(domain, TODAY) >= 200

    run_virtually(check())


@pytest.mark.parametrize("fault", ["lost", "none"])
@pytest.mark.parametrize("silence", ["429", "500"])
def test_what_was_given_back_unanswered_is_not_given_by_another_slice(
    fault: Fault, silence: Fault
) -> None:
    """The write is done, its answer is lost, and so is the answer to the read after it."""

    async def check() -> None:
        clock = virtual_clock()
        faults: list[Fault] = []
        has_begun = False

        def fail(called: str, _: str) -> Fault | None:
            nonlocal has_begun
            has_begun = has_begun or called == "put"
            return faults.pop(0) if faults and has_begun else None

        bucket = FakeR2(clock, fail)
        counters = WarmupCounters(bucket, clock, lambda: 0.0)
        domain = domain_on_day(3)
        assert await counters.reserve(domain, TODAY, 250) == 250
        await asyncio.sleep(5)
        faults, has_begun = [fault, silence], False
        assert await counters.release(domain, TODAY, 50) == 50
        await asyncio.sleep(5)
        assert await counters.sent_today(domain, TODAY) == 200

    run_virtually(check())


def test_slow_senders_do_not_overwrite_each_other() -> None:
    """More than the second in which R2 would refuse passes between reading and writing."""

    async def check() -> None:
        clock, rng = virtual_clock(), random.Random(3)
        bucket = FakeR2(clock, latency=lambda: rng.uniform(0.5, 3))
        granted = await granted_to_many(bucket, clock, domain_on_day(2), [9] * 30, patience_s=600)
        assert sum(granted) == 100 == await booked(bucket, clock, domain_on_day(2))

    run_virtually(check())


FAULTS: st.SearchStrategy[list[Fault | None]] = st.lists(
    st.sampled_from([None, None, None, "429", "500", "lost", "late", "none"]), max_size=60
)


@settings(max_examples=150, deadline=None)
@given(
    warmup_day=st.integers(1, 7),
    sizes=st.lists(
        st.tuples(st.integers(1, 120), st.integers(0, 40), st.integers(0, 3)),
        min_size=1,
        max_size=25,
    ),
    faults=FAULTS,
    latency_max_s=st.sampled_from([0.01, 0.3, 3.0]),
    seed=st.integers(0, 2**32),
)
def test_whatever_fails_the_cap_is_never_passed(
    warmup_day: int,
    sizes: list[tuple[int, int, int]],
    faults: list[Fault | None],
    latency_max_s: float,
    seed: int,
) -> None:
    """Senders reserve, release a part, and send the rest: never more than the cap."""

    async def check() -> None:
        clock, rng = virtual_clock(), random.Random(seed)
        queue = iter(faults)
        bucket = FakeR2(clock, lambda *_: next(queue, None), lambda: rng.uniform(0, latency_max_s))
        domain, most = domain_on_day(warmup_day), cap(warmup_day) or 0
        out = 0

        async def send(n: int, back: int, wait_s: int) -> None:
            nonlocal out
            counters = WarmupCounters(bucket, clock, rng.random, patience_s=20)
            await asyncio.sleep(wait_s)
            try:
                granted = await counters.reserve(domain, TODAY, n)
                assert granted <= n
                out += granted
                assert out <= most
                out -= min(back, granted)  # from here on they will not be sent
                await counters.release(domain, TODAY, min(back, granted))
            except StorageError:
                pass

        await asyncio.gather(*(send(*size) for size in sizes))
        await asyncio.sleep(10)
        assert out <= await booked(bucket, clock, domain) <= most

    run_virtually(check())


def test_the_keys_are_those_that_the_reset_job_reads() -> None:
    for slot in domain_on_day(7).slots(TODAY):
        match = COUNTER_KEY.fullmatch(slot.key)
        assert match
        assert (match["day"], match["organization"], match["domain"]) == (
            "2026-03-10", "00000000-0000-0000-0000-000000000001", "news.example",
        )  # fmt: skip
