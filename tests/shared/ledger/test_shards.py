"""The bounds of shards, and that the shards cover the whole window."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.store.hours import Hour, book_hour
from shared.ledger import shards as planner
from shared.ledger.shards import (
    FIRST_UUID,
    LAST_UUID,
    SHARD_EVENTS_TARGET,
    SHARDS_MAX,
    KeyRange,
    Size,
    contact_pieces,
    numbered,
    part_bounds,
    plan_contacts,
    plan_days,
    plan_keys,
)
from shared.messages import Shard
from shared.windows import Window
from tests.fakes import World
from tests.thorough import examples
from tests.workers.analytics.history import DAY, History, deliver, deliver_shards, org

KEYS = st.tuples(st.uuids(), st.sampled_from(["", "", "a", "b"]))
SIZES = st.dictionaries(KEYS, st.integers(1, 2 * SHARD_EVENTS_TARGET), max_size=40).map(
    lambda counts: [Size(key[0], counts[key], key[1]) for key in sorted(counts)]
)


def plan(sizes: Sequence[Size]) -> tuple[dict[str, Any], ...]:
    """Return the shards of work on one day."""
    return numbered(plan_days([replace(size, day=DAY.date()) for size in sizes]))


def test_what_one_run_can_do_is_not_cut() -> None:
    assert plan([]) == ()
    assert plan([Size(org(1), SHARD_EVENTS_TARGET)]) == ()


def test_a_part_is_never_cut() -> None:
    assert plan([Size(org(1), 5 * SHARD_EVENTS_TARGET)]) == ()


def test_an_organization_that_is_too_large_has_shards_of_its_own_between_its_parts() -> None:
    sizes = [Size(org(0), 1_000), *(Size(org(2), SHARD_EVENTS_TARGET, part) for part in "abc")]
    shards = [Shard.model_validate(shard) for shard in plan(sizes)]
    firsts = [(shard.first_organization, shard.first_part) for shard in shards]
    untils = [(shard.until_organization, shard.until_part) for shard in shards]
    assert firsts == [(None, None), (org(2), None), (org(2), "b"), (org(2), "c"), (org(3), None)]
    assert untils == [(org(2), None), (org(2), "b"), (org(2), "c"), (org(2), None), (None, None)]


def test_an_organization_that_is_too_large_is_cut_by_its_contacts() -> None:
    sizes = [Size(org(1), 1_000), Size(org(2), SHARD_EVENTS_TARGET + 1), Size(org(3), 5)]
    assert contact_pieces(sizes) == {org(2): 2}
    boxes = plan_contacts(sizes, {org(2): [UUID(int=77)]})
    shards = [Shard.model_validate(shard) for shard in numbered(boxes)]
    assert [
        (s.first_organization, s.until_organization, s.first_contact, s.until_contact, s.pieces)
        for s in shards
    ] == [
        (None, org(2), None, None, None),
        (org(2), org(2), None, UUID(int=77), 2),
        (org(2), org(2), UUID(int=77), None, 2),
        (org(3), None, None, None, None),
    ]


def test_shards_follow_the_counted_rows() -> None:
    sizes = [Size(org(n), SHARD_EVENTS_TARGET // 2) for n in range(1, 6)]
    shards = [Shard.model_validate(shard) for shard in plan(sizes)]
    cuts = [(shard.first_organization, shard.until_organization) for shard in shards]
    assert cuts == [(None, org(3)), (org(3), org(5)), (org(5), None)]


@given(sizes=SIZES, stranger=st.uuids())
def test_every_organization_is_in_one_shard(sizes: list[Size], stranger: UUID) -> None:
    shards = [Shard.model_validate(shard) for shard in plan(sizes)]
    if not shards:
        return
    assert [(shard.index, shard.of) for shard in shards] == [
        (n, len(shards)) for n in range(1, len(shards) + 1)
    ]
    keys = [(stranger, ""), (stranger, "z"), *((size.organization_id, size.part) for size in sizes)]
    for key in keys:
        assert sum(_holds(part_bounds(shard), key) for shard in shards) == 1


def _holds(shard: dict[str, Any], key: tuple[UUID, str]) -> bool:
    first, until = shard["first_organization"], shard["until_organization"]
    if first is not None and first == until:
        below = shard["until_part"] == "" or key[1] < shard["until_part"]
        return bool(key[0] == first and shard["first_part"] <= key[1] and below)
    return (first is None or first <= key[0]) and (until is None or key[0] < until)


@given(st.integers(SHARDS_MAX - 1, 3 * SHARDS_MAX))
@settings(max_examples=20)
def test_there_are_never_too_many_shards(count: int) -> None:
    sizes = [Size(org(n), SHARD_EVENTS_TARGET) for n in range(count)]
    assert len(plan(sizes)) <= SHARDS_MAX
    assert len(plan_contacts(sizes, {})) <= SHARDS_MAX
    one = [Size(org(1), count * SHARD_EVENTS_TARGET)]
    cuts = {org(1): [UUID(int=n) for n in range(1, contact_pieces(one)[org(1)])]}
    assert len(plan_contacts(one, cuts)) <= SHARDS_MAX


@given(counts=st.lists(st.integers(1, 25), max_size=12), target=st.integers(1, 10))
def test_key_ranges_hold_every_contact_once_and_the_pieces_of_large_organizations_come_last(
    counts: list[int], target: int
) -> None:
    keys = [
        (org(2 * n + 1), UUID(int=k + 1)) for n, count in enumerate(counts) for k in range(count)
    ]
    sizes = [Size(org(2 * n + 1), count) for n, count in enumerate(counts)]
    bounds = plan_keys(sizes, target, lambda own: [c for o, c in keys if o == own][::target])
    ranges = [KeyRange.of(Shard.model_validate(shard)) for shard in numbered(bounds)]
    held = [
        [key for key in keys if own.first <= key and (own.until is None or key < own.until)]
        for own in ranges
    ]
    assert sorted(key for shard in held for key in shard) == keys
    assert all(1 <= len(shard) <= target for shard in held)
    is_piece = [counts[(shard[0][0].int - 1) // 2] > target for shard in held]
    assert is_piece == sorted(is_piece)


def test_the_last_organization_of_all_is_cut_like_any_other() -> None:
    contacts = [UUID(int=n) for n in (1, 4, 7)]
    shards = numbered(plan_keys([Size(LAST_UUID, 7)], 3, lambda _: contacts))
    assert [KeyRange.of(Shard.model_validate(shard)) for shard in shards] == [
        KeyRange((LAST_UUID, FIRST_UUID), (LAST_UUID, contacts[1])),
        KeyRange((LAST_UUID, contacts[1]), (LAST_UUID, contacts[2])),
        KeyRange((LAST_UUID, contacts[2]), None),
    ]


def test_a_piece_ends_where_the_next_organization_begins() -> None:
    shards = numbered(plan_keys([Size(org(1), 7)], 3, lambda _: [UUID(int=n) for n in (1, 4, 7)]))
    ranges = [KeyRange.of(Shard.model_validate(shard)) for shard in shards]
    assert ranges[-1] == KeyRange((org(1), UUID(int=7)), (org(2), FIRST_UUID))


def test_a_shard_in_the_form_of_earlier_releases_means_the_same() -> None:
    """Their messages may still be in the queue: every bound is given, the first UUID for none."""
    bounds = {
        "firstOrganization": org(1),
        "firstContact": UUID(int=4),
        "untilOrganization": org(2),
        "untilContact": FIRST_UUID,
    }
    shard = Shard.model_validate({"index": 1, "of": 2} | bounds)
    assert KeyRange.of(shard) == KeyRange((org(1), UUID(int=4)), (org(2), FIRST_UUID))


@pytest.fixture
def history(database: str) -> Iterator[History]:
    history = History(database)
    with closing(history.db):
        yield history


def test_a_shard_books_its_own_organizations_alone(history: History) -> None:
    for organization in (1, 2, 3):
        history.add(organization, 1, "email_sent", None, DAY + timedelta(hours=9.5))
    part = {"index": 2, "of": 3, "firstOrganization": org(2), "untilOrganization": org(3)}
    hour = Window(DAY + timedelta(hours=9), DAY + timedelta(hours=10))
    for _ in range(2):
        with history.db.transaction():
            booked = book_hour(history.db, Hour(hour, Shard.model_validate(part)))
        assert booked.rows_read == 1
    for table in ("hourly_cells", "event_aggregates"):
        rows = history.all(f"analytics.{table}")
        assert [row["organization_id"] for row in rows] == [org(2)]


def test_a_large_hour_is_split_and_its_shards_make_the_same_rows(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Late events of other days are in the split, and the organizations' days are exact."""
    monkeypatch.setattr(planner, "SHARD_EVENTS_TARGET", 6)
    for organization in range(1, 5):
        for contact, hours in ((1, 9.1), (1, 9.2), (2, 9.9), (1, -20.0), (2, -20.1)):
            occurred = DAY + timedelta(hours=hours)
            created = DAY + timedelta(hours=9.95)
            history.add(organization, contact, "email_opened", None, occurred, created)
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
    monkeypatch.setattr(planner, "SHARD_EVENTS_TARGET", 10**6)
    asyncio.run(deliver(world, body, "message-2"))
    [row] = history.db.rows("select * from ops.job_runs where shard = ''")
    assert (row["status"], row["rows_written"]) == ("succeeded", 0)


KINDS = ("email_clicked", "email_opened", "email_sent")
CAMPAIGNS = tuple(UUID(int=7_000 + n) for n in range(3))


def fill(history: History) -> None:
    """One large organization between two small ones: three kinds of events in three campaigns, and
    some in none.
    """
    for organization, contacts in ((1, 1), (2, 6), (3, 1)):
        for contact in range(contacts):
            for kind in KINDS:
                for campaign in (*CAMPAIGNS, "website"):
                    occurred = DAY + timedelta(hours=9, minutes=contact)
                    history.add(organization, contact, kind, str(campaign), occurred)
    occurred = DAY + timedelta(hours=9.9)
    history.add(2, 0, "email_sent", str(CAMPAIGNS[0]).upper(), occurred)  # the same campaign


def events_of(history: History, organization: UUID, kind: str, source: str | None) -> list[UUID]:
    """The contacts of the events, once for each event with one."""
    return [
        event.contact_id
        for event in history.events
        if (event.organization_id, event.event_type) == (organization, kind)
        and (source is None or (event.source or "").lower() == source)
    ]


async def split(world: World, job_type: str, message_id: str) -> int:
    await deliver(world, {"type": job_type}, message_id)
    return await deliver_shards(world)


@pytest.mark.parametrize("rounds", [1, 2])
def test_an_organization_too_large_for_a_shard_is_split_by_every_job(
    history: History, monkeypatch: pytest.MonkeyPatch, rounds: int
) -> None:
    fill(history)
    monkeypatch.setattr(planner, "SHARD_EVENTS_TARGET", 25)
    for number in range(rounds):
        world = World(history.url, now=datetime(2026, 3, 10, 10, 0, 5, tzinfo=UTC))
        shards = asyncio.run(split(world, "analytics.aggregate-hourly", f"m{number}"))
        assert shards > 2 if number == 0 else shards == 0  # again: little differs
        world = World(history.url, now=datetime(2026, 3, 11, 2, 0, 5, tzinfo=UTC))
        assert asyncio.run(split(world, "analytics.generate-daily-reports", f"m{number}")) > 2
        world = World(history.url, now=datetime(2026, 4, 1, 3, 0, 5, tzinfo=UTC))
        assert asyncio.run(split(world, "analytics.generate-monthly-usage", f"m{number}")) > 2
        assert_rows_are_right(history)
        runs = history.db.rows("select status, shard from ops.job_runs where shard = ''")
        assert [run["status"] for run in runs] == ["succeeded"] * 3
        history.delete(history.events[-1])


def assert_rows_are_right(history: History) -> None:
    """Every row of the day, the month and the campaigns, counted in plain Python."""
    organizations = [org(n) for n in (1, 2, 3)]
    usage = {
        (organization, prefix + kind): (len(contacts), len(set(contacts)))
        for organization in organizations
        for kind in KINDS
        for prefix in ("", "monthly:")
        for contacts in [events_of(history, organization, kind, None)]
    }
    rows = history.all("analytics.event_aggregates")
    assert usage == {
        (r["organization_id"], r["event_type"]): (r["count"], r["unique_count"]) for r in rows
    }
    reports = {
        (organization, campaign): (len(sent), len(opened), len(set(opened)), len(clicked))
        for organization in organizations
        for campaign in CAMPAIGNS
        for clicked, opened, sent in [
            [events_of(history, organization, kind, str(campaign)) for kind in KINDS]
        ]
    }
    rows = history.all("analytics.campaign_daily_stats")
    assert reports == {
        (r["organization_id"], r["campaign_id"]): (
            r["sent"], r["opened"], r["unique_opened"], r["clicked"]
        )
        for r in rows
    }  # fmt: skip


@settings(
    max_examples=examples(30),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(targets=st.lists(st.sampled_from([3, 6, 10**6]), min_size=3, max_size=3), data=st.data())
def test_an_unbooked_day_is_booked_whole_by_shards_and_windows_in_any_order(
    history: History, targets: list[int], data: st.DataObject
) -> None:
    """Another hour runs between the shards that book a day for the first time."""
    history.clear("hourly_cells", "event_aggregates", "locked_days")
    history.db.execute("delete from ops.job_runs")
    for organization in range(1, 5):
        for contact, hour in ((1, 1.5), (2, 6.5), (1, 7.5), (3, 8.5), (1, 9.5)):
            history.add(organization, contact, "email_opened", None, DAY + timedelta(hours=hour))
    world = World(history.url, now=datetime(2026, 3, 10, 10, 0, 5, tzinfo=UTC))
    waiting: list[dict[str, Any]] = [
        {"type": "analytics.aggregate-hourly", "scheduledFor": f"2026-03-10T{hour:02}:00:00Z"}
        for hour in (8, 9, 10)
    ]
    count = 0
    while waiting:
        body = waiting.pop(data.draw(st.integers(0, len(waiting) - 1)))
        target = targets[count % 3]
        with mock.patch.object(planner, "SHARD_EVENTS_TARGET", target):
            answer = asyncio.run(deliver(world, body, f"m{count}")).answer
        assert answer == "ack"
        waiting += world.queue.sent
        world.queue.sent = []
        count += 1
    rows = history.all("analytics.event_aggregates")
    found = {row["organization_id"].int: (row["count"], row["unique_count"]) for row in rows}
    assert found == dict.fromkeys(range(1, 5), (5, 3))


def late(
    history: History, organization: int, contact: int, occurred: datetime, at: datetime
) -> None:
    """An event of `occurred` that was ingested at `at`."""
    event = history.add(organization, contact, "email_opened", None, occurred)
    history.db.execute(
        "update analytics.contact_activity set created_at = :at where id = :id", at=at, id=event.id
    )


def run(world: World, target: int, **fields: Any) -> list[dict[str, Any]]:
    """Deliver a message; return the messages that it sends."""
    body = {"type": "analytics.aggregate-hourly"} | fields
    with mock.patch.object(planner, "SHARD_EVENTS_TARGET", target):
        assert asyncio.run(deliver(world, body, str(fields))).answer == "ack"
    sent, world.queue.sent = world.queue.sent, []
    return sent


def day_of(history: History, day: datetime) -> dict[int, tuple[int, int]]:
    rows = [r for r in history.all("analytics.event_aggregates") if r["date"] == day.date()]
    return {row["organization_id"].int: (row["count"], row["unique_count"]) for row in rows}


def past_midnight(history: History, but: tuple[int, float] | None = None) -> World:
    """An hour of the next day has ended. All organizations have the same events, except `but`."""
    for organization in range(1, 5):
        for hour in (1.5, 6.5, 12.5, 22.5, 23.5, 24.5):
            if (organization, hour) != but:
                occurred = DAY + timedelta(hours=hour)
                history.add(organization, int(hour), "email_opened", None, occurred)
    return World(history.url, now=datetime(2026, 3, 11, 1, 0, 5, tzinfo=UTC))


OLD_DAY = DAY - timedelta(days=5)


def add_an_old_day_and_today(history: History) -> None:
    """Two events of each organization on both days, and one more in the hour that is run."""
    for organization in range(1, 5):
        for hour in (1.5, 6.5):
            for day in (OLD_DAY, DAY):
                occurred = day + timedelta(hours=hour)
                history.add(organization, int(hour), "email_opened", None, occurred)
        history.add(organization, 7, "email_opened", None, DAY + timedelta(hours=7.5))


def test_a_day_that_shards_begin_is_whole_though_the_next_day_comes_between_them(
    history: History,
) -> None:
    """The run of the next day's first hour compares the previous hour, and so the day."""
    world = past_midnight(history)
    first, *others = run(world, 8, scheduledFor="2026-03-10T23:00:00Z")
    run(world, 8, **first)
    run(world, 10**6, scheduledFor="2026-03-11T01:00:00Z")
    for other in others:
        run(world, 8, **other)
    run(world, 10**6, scheduledFor="2026-03-11T00:00:00Z")
    assert day_of(history, DAY) == dict.fromkeys(range(1, 5), (5, 5))


def test_a_day_of_which_a_split_did_not_know_is_booked_whole_by_the_next_run(
    history: History,
) -> None:
    """Its first late event is committed when one shard is done: only the others see it."""
    add_an_old_day_and_today(history)
    world = World(history.url, now=datetime(2026, 3, 10, 10, 0, 5, tzinfo=UTC))
    first, *others = run(world, 8, scheduledFor="2026-03-10T08:00:00Z")
    run(world, 8, **first)
    late(history, 4, 77, OLD_DAY + timedelta(hours=9), DAY + timedelta(hours=7.9))
    for other in others:
        run(world, 8, **other)
    run(world, 10**6, scheduledFor="2026-03-10T09:00:00Z")
    late(history, 1, 78, OLD_DAY + timedelta(hours=9), DAY + timedelta(hours=9.5))
    run(world, 10**6, scheduledFor="2026-03-10T10:00:00Z")
    assert day_of(history, OLD_DAY) == {1: (3, 3), 4: (3, 3)}


def test_a_day_that_shards_begin_is_whole_though_shards_of_the_next_day_come_between_them(
    history: History,
) -> None:
    """The shard of organization 4 finds nothing in the hour before midnight, and so not the day."""
    world = past_midnight(history, but=(4, 23.5))
    first, *others = run(world, 12, scheduledFor="2026-03-11T00:00:00Z")
    run(world, 12, **first)
    for shard in run(world, 2, scheduledFor="2026-03-11T01:00:00Z"):
        assert run(world, 2, **shard) == []
    for other in others:
        run(world, 12, **other)
    assert day_of(history, DAY) == {1: (5, 5), 2: (5, 5), 3: (5, 5), 4: (4, 4)}


def test_a_day_that_a_split_begins_is_whole_though_what_made_it_begin_is_deleted(
    history: History,
) -> None:
    """Its only late event is deleted when the second shard examines it."""
    add_an_old_day_and_today(history)
    late(history, 1, 77, OLD_DAY + timedelta(hours=9), DAY + timedelta(hours=7.9))
    world = World(history.url, now=datetime(2026, 3, 10, 10, 0, 5, tzinfo=UTC))
    first, *others = run(world, 8, scheduledFor="2026-03-10T08:00:00Z")
    assert others
    run(world, 8, **first)
    history.delete(history.events[-1])
    for other in others:
        run(world, 8, **other)
    run(world, 10**6, scheduledFor="2026-03-10T09:00:00Z")
    late(history, 4, 78, OLD_DAY + timedelta(hours=9), DAY + timedelta(hours=9.5))
    run(world, 10**6, scheduledFor="2026-03-10T10:00:00Z")
    assert day_of(history, OLD_DAY) == {1: (2, 2), 4: (3, 3)}
