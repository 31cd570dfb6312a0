"""The deletion of warm-up counters, compared with a rule in plain Python, with all faults of R2."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mauntic.database.url import connect
from shared.adapters.postgres.client import Postgres
from shared.warmup.counters import WarmingDomain, WarmupCounters
from tests.fake_r2 import FakeR2, Fault, Faults, run_virtually
from tests.fakes import FakeDelivery, World
from tests.thorough import examples
from tests.workers.analytics.history import deliver, org

TODAY = date(2026, 3, 10)
BODY = {"type": "analytics.reset-warmup-daily", "scheduledFor": "2026-03-10T00:00:00Z"}


class Setting:
    """Domains in a database, and counters in a bucket."""

    def __init__(self, url: str) -> None:
        self.db = Postgres(lambda: connect(url))
        self.world = World(url, now=datetime(2026, 3, 10, 0, 0, 5, tzinfo=UTC))
        self.start()

    def start(self, faults: Faults = lambda operation, key: None) -> None:
        self.bucket = FakeR2(lambda: self.world.now, faults)
        self.world.buckets["WARMUP_R2"] = self.bucket
        self.db.execute("delete from delivery.sending_domains")

    def domain(self, organization: int, name: str, age_days: int, status: str = "verified") -> None:
        """`age_days` 0 is created today, at noon."""
        created = datetime(2026, 3, 10, 12, tzinfo=UTC) - timedelta(days=age_days)
        self.db.execute(
            "insert into delivery.sending_domains (organization_id, domain, status, created_at)"
            " values (:a, :b, :c, :d)",
            a=org(organization), b=name, c=status, d=created,
        )  # fmt: skip

    def put(self, *keys: str) -> None:
        """Objects that were last written yesterday."""
        for key in keys:
            self.bucket.objects[key] = ("{}", "etag")
            self.bucket.written_at[key] = datetime(2026, 3, 9, 12, tzinfo=UTC)

    async def run(self, message_id: str = "message-1") -> FakeDelivery:
        return await deliver(self.world, BODY, message_id)

    def left(self) -> list[str]:
        return sorted(self.bucket.objects)


@pytest.fixture
def setting(database: str) -> Iterator[Setting]:
    setting = Setting(database)
    with closing(setting.db):
        yield setting


def dated(days_ago: int, organization: int, name: str, slot: int = 0) -> str:
    return f"warmup/daily/{TODAY - timedelta(days=days_ago)}/{org(organization)}/{name}/{slot:02}"


def undated(organization: int, name: str) -> str:
    return f"warmup/daily/{org(organization)}/{name}"


def test_days_that_are_over_are_cleared_and_today_is_not(setting: Setting) -> None:
    setting.domain(1, "a.example", age_days=5)
    setting.put(
        *(dated(days, 1, "a.example", slot) for days in (-1, 0, 1, 2, 9) for slot in (0, 1))
    )
    setting.put(undated(1, "a.example"))
    assert asyncio.run(setting.run()).answer == "ack"
    assert setting.left() == [dated(d, 1, "a.example", s) for d in (0, -1) for s in (0, 1)]


async def write(setting: Setting, key: str, hours: float) -> None:
    """A sender writes an object this many hours after the window's end."""
    setting.world.now = datetime(2026, 3, 10, tzinfo=UTC) + timedelta(hours=hours)
    assert await setting.bucket.put(key, '{"used": 240}')


@pytest.mark.parametrize("hours", [0, 9, 30])
def test_what_a_sender_has_written_since_the_end_of_the_window_stays(
    setting: Setting, hours: float
) -> None:
    """The run is at midnight, late, and repeated manually: each leaves the day's own counter."""
    setting.domain(1, "a.example", age_days=5)
    setting.put(undated(1, "a.example"), undated(1, "b.example"))
    asyncio.run(setting.run())
    assert setting.left() == []
    asyncio.run(write(setting, undated(1, "a.example"), hours))
    asyncio.run(write(setting, undated(1, "gone.example"), hours))
    for number in range(2):
        asyncio.run(deliver(setting.world, BODY, f"again-{number}"))
        assert setting.left() == [undated(1, "a.example"), undated(1, "gone.example")]


def test_what_was_written_before_the_end_of_the_window_goes_in_the_next_run(
    setting: Setting,
) -> None:
    setting.domain(1, "a.example", age_days=5)
    asyncio.run(write(setting, undated(1, "a.example"), -0.01))
    asyncio.run(write(setting, undated(1, "b.example"), 0.01))
    setting.world.now = datetime(2026, 3, 10, 1, tzinfo=UTC)
    asyncio.run(setting.run())
    assert setting.left() == [undated(1, "b.example")]


def test_domains_that_are_gone_are_cleared(setting: Setting) -> None:
    setting.domain(1, "a.example", age_days=5)
    setting.put(dated(1, 2, "a.example"), dated(1, 1, "b.example"), undated(3, "c.example"))
    setting.put(dated(0, 3, "c.example"))
    asyncio.run(setting.run())
    assert setting.left() == [dated(0, 3, "c.example")]


@pytest.mark.parametrize(
    ("age_days", "status", "days_ago", "kept"),
    [
        (30, "verified", 1, False),  # yesterday was its 30th day
        (31, "verified", 1, True),  # yesterday was its 31st
        (31, "verified", 2, False),  # missed yesterday: still no litter
        (90, "verified", 70, False),
        (5, "pending", 1, True),
        (5, "failed", 1, True),
        (90, "verified", 1, True),
    ],
)
def test_counters_of_a_verified_domain_s_first_days_go(
    setting: Setting, age_days: int, status: str, days_ago: int, kept: bool
) -> None:
    setting.domain(1, "a.example", age_days, status)
    setting.put(dated(days_ago, 1, "a.example"))
    asyncio.run(setting.run())
    assert bool(setting.left()) is kept


def test_what_is_no_counter_is_left_and_reported(setting: Setting) -> None:
    strange = [
        "warmup/daily/readme",
        "warmup/daily/2026-13-45/x",
        f"warmup/daily/2026-02-31/{org(1)}/a/0",
        "warmup/daily/not-an-id/a.example",
        f"warmup/other/{org(1)}/a.example",
        f"warmup/daily/2026-03-01/{org(1)}/a\0b/0",  # no text for a database
    ]
    setting.put(*strange)
    asyncio.run(setting.run())
    assert setting.left() == sorted(strange)
    assert [event["count"] for event in setting.world.named("warmup.unrecognized_keys")] == [5]


def test_thousands_of_keys_go_a_thousand_a_call(setting: Setting) -> None:
    setting.domain(1, "kept.example", age_days=2)
    setting.put(*(dated(1, 2, f"{n}.example") for n in range(2_400)))
    setting.put(*(dated(0, 1, "kept.example", slot) for slot in range(16)))
    asyncio.run(setting.run())
    assert len(setting.left()) == 16
    assert [call for call in setting.bucket.calls if call[0] == "delete"] == [
        ("delete", 1_000), ("delete", 1_000), ("delete", 400),
    ]  # fmt: skip


@pytest.mark.parametrize("operation", ["list", "delete"])
@pytest.mark.parametrize("fault", ["429", "500"])
def test_an_error_of_r2_fails_the_run_and_the_retry_finishes_it(
    setting: Setting, operation: str, fault: Fault
) -> None:
    faults = iter([fault])
    setting.start(lambda called, key: next(faults, None) if called == operation else None)
    setting.put(dated(1, 1, "a.example"))
    assert asyncio.run(setting.run()).answer == "retry"
    [row] = setting.db.rows("select * from ops.job_runs")
    assert (row["status"], row["error_class"]) == ("failed", f"StorageError:{fault}")
    assert asyncio.run(setting.run()).answer == "ack"
    assert setting.left() == []


def test_the_counters_of_the_store_are_what_it_clears(setting: Setting) -> None:
    """A missed reset blocks no sender, and the next one clears two days."""
    setting.domain(1, "a.example", age_days=3)
    created = datetime(2026, 3, 7, 12, tzinfo=UTC)
    domain = WarmingDomain(UUID(int=1), "A.example", created)

    async def days() -> int:
        sent = 0
        for hours in (-40, -20, 0):
            now = datetime(2026, 3, 10, tzinfo=UTC) + timedelta(hours=hours)
            counters = WarmupCounters(setting.bucket, lambda now=now: now, random.random)  # type: ignore[misc]
            sent += await counters.reserve(domain, now.date(), 10_000)
        await setting.run()
        return sent

    assert run_virtually(days()) == 100 + 250 + 500
    assert {key.split("/")[2] for key in setting.left()} == {"2026-03-10"}


def test_the_alias_and_a_manual_message_mean_the_last_day(setting: Setting) -> None:
    setting.put(dated(1, 1, "a.example"), dated(0, 1, "a.example"))
    asyncio.run(deliver(setting.world, {"type": "analytics.warmup-daily-reset"}, "message-1"))
    assert setting.left() == [dated(0, 1, "a.example")]


NAMES = ["a.example", "b.example", "c.example"]
DOMAINS = st.dictionaries(
    st.tuples(st.integers(1, 2), st.sampled_from(NAMES)),
    st.tuples(st.integers(0, 40), st.sampled_from(["verified", "pending", "failed"])),
)
COUNTERS = st.lists(
    st.tuples(st.none() | st.integers(-2, 35), st.integers(1, 2), st.sampled_from(NAMES)),
    max_size=30,
)
FAULTS: st.SearchStrategy[list[Fault | None]] = st.lists(
    st.sampled_from([None, "429", "500"]), max_size=4
)


@settings(
    max_examples=examples(50),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(domains=DOMAINS, counters=COUNTERS, faults=FAULTS, repeats=st.integers(1, 2))
def test_any_bucket_ends_as_the_rule_says(
    setting: Setting, domains: Any, counters: Any, faults: list[Fault | None], repeats: int
) -> None:
    """Failed and finished runs are repeated: what remains is what the rule keeps."""
    setting.db.execute("delete from ops.job_runs")
    queue = iter(faults)
    setting.start(lambda *_: next(queue, None))
    for (organization, name), (age_days, status) in domains.items():
        setting.domain(organization, name, age_days, status)
    kept = set()
    for days_ago, organization, name in counters:
        key = (
            undated(organization, name) if days_ago is None else dated(days_ago, organization, name)
        )
        setting.put(key)
        age_days, status = domains.get((organization, name), (None, None))
        over = days_ago is None or days_ago > 0
        on_day = None if age_days is None else age_days - (days_ago or 1) + 1  # its day of warm-up
        if not over or (on_day is not None and (status != "verified" or on_day > 30)):
            kept.add(key)
    for attempt in range(len(faults) + repeats):
        asyncio.run(setting.run(f"message-{attempt}"))
    assert setting.left() == sorted(kept)
