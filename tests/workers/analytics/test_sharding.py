"""Where a window is cut, and that the parts are the whole."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics import sharding, store
from analytics.sharding import SHARD_EVENTS_TARGET, SHARDS_MAX, Size, bounds, plan
from shared.messages import Shard
from shared.windows import Window
from tests.fakes import World
from tests.workers.analytics.history import DAY, History, deliver, deliver_shards, org

SIZES = st.dictionaries(st.uuids(), st.integers(1, 2 * SHARD_EVENTS_TARGET), max_size=40).map(
    lambda counts: [Size(key, counts[key]) for key in sorted(counts)]
)


def test_what_one_run_can_do_is_not_cut() -> None:
    assert plan([]) == ()
    assert plan([Size(org(1), SHARD_EVENTS_TARGET)]) == ()


def test_one_organisation_is_never_cut() -> None:
    assert plan([Size(org(1), 5 * SHARD_EVENTS_TARGET)]) == ()


def test_shards_follow_the_counted_rows() -> None:
    sizes = [Size(org(n), SHARD_EVENTS_TARGET // 2) for n in range(1, 6)]
    cuts = [(shard["firstOrganization"], shard["untilOrganization"]) for shard in plan(sizes)]
    assert cuts == [(None, org(3)), (org(3), org(5)), (org(5), None)]


@given(sizes=SIZES, stranger=st.uuids())
def test_every_organisation_is_in_one_shard(sizes: list[Size], stranger: UUID) -> None:
    shards = [Shard.model_validate(shard) for shard in plan(sizes)]
    if not shards:
        return
    assert [(shard.index, shard.of) for shard in shards] == [
        (n, len(shards)) for n in range(1, len(shards) + 1)
    ]
    for one in [stranger, *(size.organization_id for size in sizes)]:
        assert sum(_holds(bounds(shard), one) for shard in shards) == 1
    assert all(a.until_organization == b.first_organization for a, b in pairwise(shards))


def _holds(part: dict[str, UUID | None], one: UUID) -> bool:
    first, last = part["first_organization"], part["last_organization"]
    return (first is None or first <= one) and (last is None or one <= last)


@given(st.integers(65, 1_000))
def test_there_are_never_too_many_shards(count: int) -> None:
    sizes = [Size(org(n), SHARD_EVENTS_TARGET) for n in range(count)]
    assert len(plan(sizes)) <= SHARDS_MAX


@pytest.fixture
def history(database: str) -> Iterator[History]:
    history = History(database)
    with closing(history.db):
        yield history


def test_a_shard_books_its_own_organisations_alone(history: History) -> None:
    for organization in (1, 2, 3):
        history.add(organization, 1, "email_sent", None, DAY + timedelta(hours=9.5))
    part = {"index": 2, "of": 3, "firstOrganization": org(2), "untilOrganization": org(3)}
    hour = Window(DAY + timedelta(hours=9), DAY + timedelta(hours=10))
    for _ in range(2):
        with history.db.transaction():
            booked = store.book_hour(history.db, hour, shard=Shard.model_validate(part))
        assert booked.rows_read == 1
    for table in ("hourly_cells", "event_aggregates"):
        rows = history.all(f"analytics.{table}")
        assert [row["organization_id"] for row in rows] == [org(2)]


def test_a_large_hour_is_split_and_its_shards_make_the_same_rows(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Late events of other days are in the split, and the organisations' days come out exact."""
    monkeypatch.setattr(sharding, "SHARD_EVENTS_TARGET", 6)
    for organization in range(1, 5):
        for contact, hours in ((1, 9.1), (1, 9.2), (2, 9.9), (1, -20.0), (2, -20.1)):
            occurred = DAY + timedelta(hours=hours)
            history.add(organization, contact, "email_opened", None, occurred)
    history.db.execute(
        "update analytics.contact_activity set created_at = :at", at=DAY + timedelta(hours=9.95)
    )
    world = World(history.url, now=datetime(2026, 3, 10, 10, 0, 5, tzinfo=UTC))
    body = {"type": "analytics.aggregate-hourly"}

    async def both() -> int:
        await deliver(world, body, "message-1")
        return await deliver_shards(world)

    assert asyncio.run(both()) == 4
    rows = history.db.rows("select * from analytics.event_aggregates")
    found = {
        (r["organization_id"].int, str(r["date"])): (r["count"], r["unique_count"]) for r in rows
    }
    assert found == {
        (n, day): figures
        for n in range(1, 5)
        for day, figures in (("2026-03-10", (3, 2)), ("2026-03-09", (2, 2)))
    }
    [row] = history.db.rows("select * from ops.job_runs where shard = ''")
    assert (row["status"], row["rows_read"]) == ("succeeded", 20)
    monkeypatch.setattr(sharding, "SHARD_EVENTS_TARGET", 10**6)
    asyncio.run(deliver(world, body, "message-2"))
    [row] = history.db.rows("select * from ops.job_runs where shard = ''")
    assert (row["status"], row["rows_written"]) == ("succeeded", 0)
