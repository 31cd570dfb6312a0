"""Split points of a tenant of any size: ranges of contacts with similar numbers of events."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from uuid import UUID

import pytest

from analytics.store import sampled_shards
from analytics.store.sampled_shards import shards_of
from analytics.store.statements import SQL
from shared.ledger import shards as planner
from shared.messages import Shard
from shared.windows import Window
from tests.workers.analytics.history import DAY, History, day_window, org

MONTH = Window(DAY, DAY + timedelta(days=31))


@pytest.fixture
def history(database: str) -> Iterator[History]:
    history = History(database)
    with closing(history.db):
        yield history


def fill(history: History, organization: int, counts: list[int], days: int = 1) -> None:
    """This many events of each of some contacts with random ids, spread over the days."""
    ids = [UUID(int=history.rng.getrandbits(128)) for _ in counts]
    events = [contact for contact, count in zip(ids, counts, strict=True) for _ in range(count)]
    random.Random(5).shuffle(events)
    step = timedelta(days=days) / len(events)
    history.db.execute(
        "insert into analytics.contact_activity"
        " (organization_id, contact_id, event_type, event_source, occurred_at, created_at)"
        " select :organization, contact, 'email_opened', :campaign, at, at"
        " from unnest(cast(:contacts as uuid[]), cast(:times as timestamptz[]))"
        " as event (contact, at)",
        organization=org(organization), campaign=str(org(77)), contacts=events,
        times=[DAY + n * step for n in range(len(events))],
    )  # fmt: skip


def events_of(history: History, shard: Shard, span: Window) -> int:
    asked = planner.contact_bounds(shard)
    [row] = history.db.rows(
        "select count(*) as count from analytics.contact_activity"
        " where occurred_at >= :start and occurred_at < :end"
        " and (cast(:day as date) is null or cast(occurred_at at time zone 'UTC' as date) = :day)"
        f" and {SQL.part('within_contacts')}",
        start=span.start, end=span.end, day=shard.day, **asked,
    )  # fmt: skip
    return int(row["count"])


def cut(history: History, span: Window, by_day: bool = False) -> list[Shard]:
    return [Shard.model_validate(shard) for shard in shards_of(history.db, span, by_day)]


def test_pieces_of_a_tenant_are_about_as_large_as_each_other(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planner, "SHARD_EVENTS_TARGET", 300)
    fill(history, 1, [1] * 50)
    fill(history, 2, [random.Random(n).choice([1, 1, 2, 9]) for n in range(600)])
    fill(history, 3, [1] * 70)
    shards = cut(history, MONTH)
    sizes = [events_of(history, shard, MONTH) for shard in shards if shard.pieces]
    assert len(sizes) == shards[1].pieces == -(-sum(sizes) // 300)
    assert max(sizes) <= 330
    assert sum(events_of(history, shard, MONTH) for shard in shards) == sum(sizes) + 120


def test_a_contact_is_in_one_piece(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner, "SHARD_EVENTS_TARGET", 10)
    fill(history, 1, [100])
    fill(history, 2, [3, 100, 3])
    shards = cut(history, MONTH)
    assert sum(events_of(history, shard, MONTH) for shard in shards) == 206
    assert max(events_of(history, shard, MONTH) for shard in shards) >= 100


def test_each_day_is_cut_alone(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """A day without events also has its shard: it may have rows."""
    monkeypatch.setattr(planner, "SHARD_EVENTS_TARGET", 100)
    fill(history, 1, [1] * 500, days=2)
    span = Window(day_window(-1).start, day_window(1).end)
    shards = cut(history, span, by_day=True)
    days = [shard.day for shard in shards if shard.day]
    assert days == sorted(days)
    assert len(days) == len(shards)
    assert len(set(days)) == 3
    assert sum(events_of(history, shard, span) for shard in shards) == 500
    assert max(events_of(history, shard, span) for shard in shards) <= 110


def test_a_large_table_is_sampled_and_every_event_is_in_one_shard(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(history, 1, [1] * 20_000, days=31)
    fill(history, 2, [1] * 5_000, days=31)
    monkeypatch.setattr(planner, "SHARD_EVENTS_TARGET", 5_000)
    monkeypatch.setattr(sampled_shards, "SAMPLE_BYTES", 1_000_000)
    [table] = history.db.rows("select pg_relation_size('analytics.contact_activity') as bytes")
    [sample] = history.db.rows(SQL["sample_percent"], bytes=sampled_shards.SAMPLE_BYTES)
    assert table["bytes"] > 2 * sampled_shards.SAMPLE_BYTES
    assert sample["percent"] * table["bytes"] / 100 == pytest.approx(sampled_shards.SAMPLE_BYTES)
    shards = cut(history, MONTH)
    sizes = [events_of(history, shard, MONTH) for shard in shards]
    assert sum(sizes) == 25_000
    assert max(sizes) < 10_000
