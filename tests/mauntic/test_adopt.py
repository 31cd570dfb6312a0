"""An older database with invalid rows, changed to the schema of the migrations."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pg8000.exceptions import DatabaseError

from mauntic.adopt import keys, run, shape
from mauntic.adopt.catalogue import Catalogue, template
from mauntic.adopt.steps import Scene
from mauntic.database import migrations
from mauntic.database.embedded.server import Server
from mauntic.database.url import connect
from mauntic.errors import OperatorError
from tests.scratch import scratch_database
from tests.thorough import examples

OLD = (Path(__file__).parent / "old_platform.sql").read_text()
DAY = datetime(2026, 3, 10, 9)
ACTIVITY = "analytics.contact_activity"


def uid(number: int) -> UUID:
    return UUID(int=number)


class Platform:
    """The old database, and the adoption of it."""

    def __init__(self, url: str, scene: Scene) -> None:
        self.url, self.scene, self.db = url, scene, scene.db

    def insert(self, table: str, *rows: dict[str, Any]) -> None:
        for row in rows:
            names = ", ".join(row)
            marks = ", ".join(f":{name}" for name in row)
            self.db.execute(f"insert into {table} ({names}) values ({marks})", **row)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in self.db.rows(sql)]

    def adopt(self) -> int:
        return run.apply(self.scene, lambda step, done: None)


@pytest.fixture(scope="module")
def target_url(postgres: Server, migrated: str) -> Iterator[str]:
    with scratch_database(postgres, migrated) as url:
        yield url


@pytest.fixture
def platform(postgres: Server, target_url: str) -> Iterator[Platform]:
    with scratch_database(postgres) as url, run.open_scene(url, target_url) as scene:
        scene.db.execute(OLD)
        yield Platform(url, scene)


@pytest.fixture(scope="module")
def adopted(postgres: Server, target_url: str) -> Iterator[Platform]:
    """An adopted database with invalid rows, for inspection."""
    with scratch_database(postgres) as url, run.open_scene(url, target_url) as scene:
        scene.db.execute(OLD)
        platform = Platform(url, scene)
        dirty(platform)
        assert platform.adopt() > 40
        yield platform


def event(number: int, contact: int = 1, hour: int = 0, **more: Any) -> dict[str, Any]:
    at = DAY + timedelta(hours=hour)
    return {
        "id": uid(number),
        "organization_id": uid(1),
        "contact_id": uid(contact),
        "event_type": "email_opened",
        "occurred_at": at,
        "created_at": at,
    } | more


def dirty(platform: Platform) -> None:
    """Insert every kind of invalid row."""
    platform.insert(
        "analytics.contact_activity",
        event(1, event_data='{"a": 1}'),
        event(1, event_data='{"a":  1}'),  # the same row, ingested twice
        event(2, contact=2),
        event(2, contact=3, hour=1),  # another event under the same id
        event(3, event_id="k"),
        event(4, event_id="k", created_at=DAY + timedelta(hours=2)),  # delivered twice
        event(5, contact=5, event_id="k", created_at=DAY + timedelta(hours=3)),  # misused key
        event(6, created_at=None),
        event(7, occurred_at=None),
        event(8, organization_id=None),
        event(9, id=None, contact=9),
    )
    rollup = {
        "organization_id": uid(1),
        "date": "2026-03-10",
        "event_type": "email_opened",
        "tag": "x",
    }
    platform.insert(
        "analytics.event_aggregates",
        rollup | {"count": 8, "unique_count": 4, "updated_at": DAY},
        rollup | {"count": 4, "unique_count": 4, "updated_at": DAY + timedelta(hours=1)},
        rollup | {"date": "2026-03-11", "count": 2, "unique_count": 3, "updated_at": DAY},
        rollup | {"date": "2026-03-12", "count": 2, "unique_count": None, "updated_at": None},
    )
    stats = {"campaign_id": uid(7), "organization_id": uid(1), "date": "2026-03-10"}
    platform.insert(
        "analytics.campaign_daily_stats",
        stats | {"sent": 20, "updated_at": DAY},
        stats | {"sent": 10, "updated_at": DAY + timedelta(hours=1)},
    )
    domain = {"organization_id": uid(1), "status": "verified", "created_at": DAY}
    platform.insert(
        "delivery.sending_domains",
        domain
        | {
            "id": uid(1),
            "domain": "a.example",
            "status": "pending",
            "created_at": DAY - timedelta(9),
        },
        domain | {"id": uid(2), "domain": "A.Example", "status": "Verified"},
        domain | {"id": uid(3), "domain": " B.example", "status": None},
    )
    platform.insert(
        "crm.contacts",
        {
            "id": uid(1),
            "organization_id": uid(1),
            "email": "old",
            "updated_at": DAY,
            "status": "Active",
        },
        {"id": uid(1), "organization_id": uid(1), "email": "new", "updated_at": DAY + timedelta(1)},
        {"id": uid(2), "organization_id": uid(1), "status": None, "created_at": DAY},
    )
    dirty_scoring(platform)


def dirty_scoring(platform: Platform) -> None:
    """The same for the inputs of scores, and the scores themselves."""
    person = {"organization_id": uid(1), "contact_id": uid(1)}
    score = person | {"total_score": 61.4, "grade": "B", "scored_at": DAY}
    platform.insert(
        "scoring.lead_scores",
        score,
        score | {"total_score": 85, "grade": "B+", "scored_at": DAY + timedelta(1)},  # newer
        score | {"contact_id": uid(2), "total_score": 130, "grade": None, "scored_at": None},
        score | {"contact_id": uid(3), "total_score": -5, "scored_at": datetime(2199, 1, 1)},
        score | {"contact_id": uid(4), "total_score": None},
        score | {"contact_id": None},
    )
    day = person | {"date": DAY, "total_score": 10, "engagement_score": 10, "created_at": DAY}
    platform.insert(
        "scoring.score_history",
        day | {"total_score": 20, "created_at": DAY + timedelta(hours=5)},
        day,
        day | {"date": DAY + timedelta(1), "engagement_score": None},
    )
    signal = person | {"signal_type": "DEMO_REQUEST", "weight": 30, "detected_at": DAY}
    platform.insert(
        "scoring.intent_signals",
        signal | {"id": uid(1), "metadata": '{"a": 1}'},
        signal | {"id": uid(1), "metadata": '{"a":  1}'},  # the same row
        signal | {"id": uid(1), "signal_type": "FREE_TRIAL"},  # another signal under the same id
        signal | {"id": uid(2), "decay_model": "Step", "decay_hours": 0, "weight": 12.3456},
        signal | {"id": None},
        signal | {"id": uid(3), "detected_at": None},
    )
    kind = {"organization_id": uid(1), "signal_type": "DEMO_REQUEST", "decay_hours": 24}
    platform.insert(
        "scoring.signal_configs",
        kind | {"weight": 1, "tier": "High", "updated_at": DAY},
        kind | {"weight": 2.5, "tier": "LOW ", "updated_at": DAY + timedelta(1), "enabled": True},
    )
    factor = {"organization_id": uid(1), "category": "fit", "factor": "has_email", "weight": 5}
    platform.insert(
        "scoring.scoring_configs",
        factor,
        factor | {"category": "FIT", "weight": 7, "enabled": False},  # the later one
        factor | {"factor": "likes_cats"},
        factor | {"factor": "has_phone", "weight": 12.5},
    )
    alert = person | {"signal_type": "DEMO_REQUEST", "priority": "high", "status": "open"}
    later, soon = DAY + timedelta(hours=9), DAY + timedelta(hours=4)
    seen = {"acknowledged_at": DAY, "acknowledged_by": uid(9), "expired_at": soon}
    platform.insert(
        "scoring.signal_alerts",
        alert | {"id": uid(1), "deadline": later},
        alert | {"id": uid(2), "deadline": soon, "status": "Open"},  # the more urgent
        alert | {"id": uid(3), "deadline": soon, "expired_at": later},  # not open any more
        alert | {"id": uid(4), "deadline": soon, "status": "EXPIRED"},
        alert | {"id": uid(5), "deadline": later, "status": "acknowledged"} | seen,
        alert | {"id": uid(5), "contact_id": uid(2), "deadline": None, "created_at": DAY},
        alert | {"id": uid(6), "contact_id": uid(3), "deadline": soon, "status": None},
        alert | {"id": uid(7), "contact_id": None},
    )


def test_ends_with_the_schema_that_the_migrations_make(adopted: Platform) -> None:
    assert run.plan(adopted.scene) == []
    now, wanted = adopted.scene.now(), adopted.scene.target
    for table, columns in wanted.columns.items():
        assert {name: now.columns[table][name] for name in columns} == columns
        assert set(wanted.checks.get(table, [])) <= set(now.checks.get(table, []))
        assert set(wanted.indexes.get(table, [])) <= set(now.indexes.get(table, []))
    assert all(index.is_valid for index in now.all_indexes())


def test_a_second_adoption_does_nothing(adopted: Platform) -> None:
    before = snapshot(adopted)
    assert adopted.adopt() == 0
    assert snapshot(adopted) == before


def snapshot(platform: Platform) -> list[Any]:
    """Every table's rows with where they lie: a rewritten row is at another place."""
    tables = [*platform.scene.target.columns, "adoption.report", "adoption.set_aside"]
    return [
        platform.rows(f"select ctid, t::text from {table} as t order by 1, 2") for table in tables
    ]


def test_the_plan_writes_nothing_and_says_what_it_found(platform: Platform) -> None:
    dirty(platform)
    before = migrations.dump_schema(platform.url)
    steps = run.plan(platform.scene)
    assert migrations.dump_schema(platform.url) == before
    found: Counter[str] = Counter()
    for step in steps:
        found[step.table] += (step.found or 0) * ("first by" in step.action)
    assert found["delivery.sending_domains"] == 1
    assert found["crm.contacts"] == 1
    assert found["analytics.campaign_daily_stats"] == 1
    assert found["scoring.signal_alerts"] == 2, "one open alert too many, and an id that two have"
    aside = [
        step.action for step in steps if step.table == "scoring.scoring_configs" and step.found
    ]
    assert "category and factor that scoring.factors does not have: set aside" in aside


def test_the_plan_counts_a_row_twice_stored_before_its_column_is_there(platform: Platform) -> None:
    """The usual old table has no event_id. Its duplicate rows are no events with one id."""
    platform.db.execute(f"alter table {ACTIVITY} drop column event_id")
    for number in range(1, 51):
        platform.insert(ACTIVITY, event(number), event(number))
    platform.insert(ACTIVITY, event(60), event(60, contact=2))
    found = {
        step.action.partition(":")[0]: step.found
        for step in run.plan(platform.scene)
        if step.table == ACTIVITY and "first by" in step.action
    }
    assert found == {"the same row twice": 50, "the same id": 1}
    platform.adopt()
    assert platform.rows(f"select count(*), count(distinct id) as ids from {ACTIVITY}") == [
        (52, 52)
    ]


def test_no_event_is_lost_that_is_one(adopted: Platform) -> None:
    events = adopted.rows(
        "select contact_id, event_id, occurred_at, created_at from analytics.contact_activity"
        " order by contact_id, occurred_at, event_id nulls last"
    )
    nine, ten = datetime(2026, 3, 10, 9, tzinfo=UTC), datetime(2026, 3, 10, 10, tzinfo=UTC)
    assert events == [
        (uid(1), "k", nine, nine),
        (uid(1), None, nine, nine),  # id 1
        (uid(1), None, nine, nine),  # id 6: ingested at once, as far as we know
        (uid(1), None, nine, nine),  # id 7
        (uid(2), None, nine, nine),
        (uid(3), None, ten, ten),
        (uid(5), None, nine, nine + timedelta(hours=3)),
        (uid(9), None, nine, nine),
    ]
    ids = [row[0] for row in adopted.rows("select id from analytics.contact_activity")]
    assert len(set(ids)) == 8
    assert {uid(1), uid(2), uid(3), uid(5)} <= set(ids)


def test_what_is_taken_out_is_kept(adopted: Platform) -> None:
    aside = adopted.rows(
        "select table_name, reason, count(*) from adoption.set_aside group by 1, 2 order by 1, 2"
    )
    assert aside == [
        ("analytics.campaign_daily_stats", "the same campaign_id, organization_id, date", 1),
        ("analytics.contact_activity", "no organization_id", 1),
        ("analytics.contact_activity", "the same event twice", 1),
        ("analytics.contact_activity", "the same row twice", 1),
        ("analytics.event_aggregates", "the same organization_id, date, event_type", 1),
        ("crm.contacts", "the same id", 1),
        ("delivery.sending_domains", "the same organization_id, domain", 1),
        ("scoring.intent_signals", "no detected_at", 1),
        ("scoring.intent_signals", "the same row twice", 1),
        ("scoring.lead_scores", "no contact_id", 1),
        ("scoring.lead_scores", "no total_score", 1),
        ("scoring.lead_scores", "the same organization_id, contact_id", 1),
        ("scoring.score_history", "the same organization_id, contact_id, date", 1),
        ("scoring.scoring_configs", "category and factor that scoring.factors does not have", 1),
        ("scoring.scoring_configs", "the same organization_id, category, factor", 1),
        ("scoring.signal_alerts", "no contact_id", 1),
        ("scoring.signal_alerts", "the same organization_id, contact_id, signal_type", 1),
        ("scoring.signal_configs", "the same organization_id, signal_type", 1),
    ]
    days = {
        row["table_name"]: (row["first_date"], row["days"])
        for row in run.days_to_recompute(adopted.scene)
    }
    assert days == {
        "analytics.event_aggregates": ("2026-03-10", 1),
        "analytics.campaign_daily_stats": ("2026-03-10", 1),
    }


def test_doubles_are_merged_by_the_stated_rules(adopted: Platform) -> None:
    assert adopted.rows(
        "select date::text, count, unique_count from analytics.event_aggregates order by 1"
    ) == [
        ("2026-03-10", 4, 4),
        ("2026-03-11", 2, 2),
        ("2026-03-12", 2, 0),
    ]
    assert adopted.rows("select sent, unique_opened from analytics.campaign_daily_stats") == [
        (10, 0)
    ]
    assert adopted.rows("select id, domain, status from delivery.sending_domains order by 2") == [
        (uid(2), "a.example", "verified"),
        (uid(3), "b.example", "pending"),
    ]
    assert adopted.rows("select email, status, custom_fields from crm.contacts order by id") == [
        ("new", "active", {}),
        (None, "active", {}),
    ]


def test_scores_are_as_they_can_be_and_all_are_asked_for_or_looked_at(adopted: Platform) -> None:
    scores = adopted.rows(
        "select contact_id, total_score, grade, fit_score, scored_at, recheck_at = '-infinity'"
        " from scoring.lead_scores order by contact_id"
    )
    tomorrow = (DAY + timedelta(1)).replace(tzinfo=UTC)
    assert [row[:4] for row in scores] == [
        (uid(1), 85, "A", 0),
        (uid(2), 100, "A", 0),
        (uid(3), 0, "F", 0),
    ]
    assert scores[0][4] == tomorrow
    assert all(abs(row[4] - datetime.now(UTC)) < timedelta(minutes=9) for row in scores[1:])
    assert all(row[5] for row in scores), "SignalDecay looks at each at its next tick"
    history = adopted.rows(
        "select date::text, total_score, engagement_score from scoring.score_history order by 1"
    )
    assert history == [("2026-03-10", 20, 10), ("2026-03-11", 10, 0)]


def test_no_signal_is_lost_whose_age_is_known(adopted: Platform) -> None:
    signals = adopted.rows(
        "select signal_type, weight, decay_model, decay_hours, detected_at"
        " from scoring.intent_signals order by signal_type, weight desc, metadata"
    )
    nine = DAY.replace(tzinfo=UTC)
    assert [(kind, float(weight), *rest) for kind, weight, *rest in signals] == [
        ("DEMO_REQUEST", 30, "linear", None, nine),
        ("DEMO_REQUEST", 30, "linear", None, nine),
        ("DEMO_REQUEST", 12.35, "step", 1, nine),
        ("FREE_TRIAL", 30, "linear", None, nine),
    ]
    [[distinct]] = adopted.rows("select count(distinct id) from scoring.intent_signals")
    assert distinct == 4


def test_an_organizations_settings_are_the_last_ones(adopted: Platform) -> None:
    kinds = adopted.rows("select weight, tier, enabled from scoring.signal_configs")
    assert [(float(weight), *rest) for weight, *rest in kinds] == [(2.5, "low", True)]
    assert adopted.rows(
        "select category, factor, weight, enabled from scoring.scoring_configs order by 2"
    ) == [("fit", "has_email", 7, False), ("fit", "has_phone", 13, True)]


def test_one_open_alert_stays_the_most_urgent_and_closed_ones_are_history(
    adopted: Platform,
) -> None:
    four, nine = (DAY.replace(tzinfo=UTC) + timedelta(hours=hours) for hours in (4, 9))
    alerts = adopted.rows(
        "select contact_id, status, deadline, expired_at, acknowledged_by"
        " from scoring.signal_alerts order by contact_id, status, expired_at"
    )
    assert alerts == [
        (uid(1), "acknowledged", nine, None, str(uid(9))),
        (uid(1), "expired", four, four, None),
        (uid(1), "expired", four, nine, None),
        (uid(1), "open", four, None, None),
        (uid(2), "open", four, None, None),  # high: four hours
        (uid(3), "open", four, None, None),
    ]
    [[distinct]] = adopted.rows("select count(distinct id) from scoring.signal_alerts")
    assert distinct == 6


def test_what_the_platform_had_beside_ours_stays(adopted: Platform) -> None:
    now = adopted.scene.now()
    assert "ip_address" in now.columns["analytics.contact_activity"]
    names = {index.name for index in now.all_indexes()}
    assert "activity_of_yesterday" in names, "an index that only the platform has comes back"
    assert {"contact_activity_contact_before", "event_aggregates_pkey_before"} <= names
    assert "activity_by_time" not in names, "ours does the same under its own name"
    adopted.insert(
        "analytics.event_aggregates",
        {
            "organization_id": uid(2),
            "date": "2026-03-10",
            "event_type": "x",
            "count": 1,
            "unique_count": 1,
        },
    )


def test_changing_a_time_to_one_with_zone_writes_no_table_anew(platform: Platform) -> None:
    platform.insert("analytics.contact_activity", event(1))
    file = "select pg_relation_filenode('analytics.contact_activity')"
    before = platform.rows(file)
    for step in shape.retype(platform.scene):
        if step.table == "analytics.contact_activity" and "catalog only" in step.action:
            step.take()
    assert platform.rows(file) == before
    [kind] = platform.rows(
        "select pg_typeof(occurred_at)::text, occurred_at from analytics.contact_activity limit 1"
    )
    assert kind == ("timestamp with time zone", DAY.replace(tzinfo=UTC))


def test_a_later_migration_goes_on_from_there(platform: Platform, tmp_path: Path) -> None:
    platform.adopt()
    assert "Pending: 0" in migrations.status(platform.url)
    for file in migrations.DIRECTORY.glob("*.sql"):
        (tmp_path / file.name).write_text(file.read_text())
    (tmp_path / "9999_later.sql").write_text(
        "-- migrate:up\nalter table crm.contacts add column later int;\n"
    )
    assert "9999_later.sql" in migrations.migrate(platform.url, tmp_path)


def test_an_empty_database_is_adopted_by_making_everything(
    postgres: Server, target_url: str
) -> None:
    with scratch_database(postgres) as url, run.open_scene(url, target_url) as scene:
        run.apply(scene, lambda step, done: None)
        scene.db.execute("drop schema adoption cascade")
        assert migrations.dump_schema(url) == migrations.dump_schema(target_url)


def test_a_migrated_database_has_nothing_to_adopt(target_url: str) -> None:
    with run.open_scene(target_url, target_url) as scene:
        assert run.plan(scene) == []


class Interrupted(Exception):
    """Like a closed laptop."""


def test_the_retained_period_begins_with_an_organizations_oldest_event(platform: Platform) -> None:
    """One with rollups and no event has nothing to count before today. Declared once."""
    platform.insert(ACTIVITY, event(1), event(2, hour=30), event(3) | {"organization_id": uid(2)})
    platform.db.execute(f"update {ACTIVITY} set occurred_at = 'infinity' where id = :id", id=uid(3))
    platform.insert(
        "analytics.event_aggregates",
        {"organization_id": uid(3), "date": DAY.date(), "event_type": "a", "tag": ""},
    )
    platform.adopt()
    periods = "select organization_id, retained_since from ops.retention order by 1"
    today = datetime.now(UTC).date()
    assert platform.rows(periods) == [
        (uid(1), DAY.date()), (uid(2), today), (uid(3), today)
    ]  # fmt: skip
    platform.insert(ACTIVITY, event(4) | {"organization_id": uid(4)})
    assert platform.adopt() == 0


def test_an_interrupted_adoption_is_taken_up_again(platform: Platform) -> None:
    dirty(platform)
    fate = random.Random(7)
    left = fate.randrange(1, 200)

    def tell(*_: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            left = fate.randrange(1, 200)
            raise Interrupted

    for _ in range(100):
        try:
            run.apply(platform.scene, tell)
            break
        except Interrupted:
            continue
    assert run.plan(platform.scene) == []
    assert platform.rows("select count(*) from analytics.contact_activity") == [(8,)]
    assert platform.rows("select count(*) from adoption.set_aside") == [(18,)]
    assert "activity_of_yesterday" in {index.name for index in platform.scene.now().all_indexes()}


def test_doubles_that_come_between_are_merged_before_the_key_stands(
    postgres: Server, target_url: str
) -> None:
    with scratch_database(postgres) as url, run.open_scene(url, target_url) as scene:
        scene.db.execute(OLD)
        platform = Platform(url, only(ACTIVITY, scene))
        scene.db.execute(template("make_room"))
        for phase in run.PHASES:
            if phase is keys.complete:
                twice = event(1, event_id="k"), event(2, event_id="k"), event(1, contact=2)
                platform.insert(ACTIVITY, *twice)
            for step in phase(platform.scene):
                step.take()
        kept = platform.rows(f"select contact_id, event_id from {ACTIVITY} order by 1")
        assert kept == [(uid(1), "k"), (uid(2), None)]


def only(table: str, scene: Scene) -> Scene:
    """The same with one table to adopt: a tenth of the steps."""
    wanted = scene.target
    target = Catalogue({table: wanted.columns[table]}, {table: wanted.indexes[table]}, {})
    needed = (table, "FUNCTION analytics.")  # an index may be over a function
    statements = [one for one in scene.statements if any(name in one for name in needed)]
    statements = [one for one in statements if "TRIGGER" not in one]
    return replace(scene, target=target, statements=statements)


ROWS = st.lists(
    st.tuples(
        st.integers(1, 3),  # id
        st.integers(1, 2),  # organization
        st.integers(1, 2),  # contact
        st.integers(0, 1),  # hour
        st.sampled_from([None, "k", "l"]),  # the producer's key
        st.sampled_from([0, 0, 5]),  # hours until it was ingested
    ),
    max_size=12,
)


@settings(max_examples=examples(5), deadline=None)
@given(rows=ROWS)
def test_whatever_events_there_are_each_stays_once_and_none_is_lost(
    postgres: Server, target_url: str, rows: list[Any]
) -> None:
    with scratch_database(postgres) as url, run.open_scene(url, target_url) as scene:
        scene.db.execute(OLD)
        platform = Platform(url, only(ACTIVITY, scene))
        for number, organization, contact, hour, key, lag in rows:
            times = {"hour": hour, "created_at": DAY + timedelta(hours=hour + lag)}
            who = {"organization_id": uid(organization), "contact": contact}
            platform.insert(ACTIVITY, event(number, event_id=key, **who, **times))
        platform.adopt()
        kept = platform.rows(
            f"select organization_id, contact_id, occurred_at, event_id, id from {ACTIVITY}"
        )
        aside = platform.rows("select content from adoption.set_aside")
        assert len(kept) + len(aside) == len(rows)
        happened = {(row[1], row[2], row[3]) for row in rows}
        assert {(o.int, c.int, at.hour - DAY.hour) for o, c, at, _, _ in kept} == happened
        assert len({row[4] for row in kept}) == len(kept)
        keyed = [(row[0], row[3]) for row in kept if row[3]]
        assert len(set(keyed)) == len(keyed)
        assert set(keyed) == {(uid(row[1]), row[4]) for row in rows if row[4]}
        assert platform.adopt() == 0


def test_a_row_that_no_rule_mends_stops_it_before_anything_is_done(platform: Platform) -> None:
    platform.insert("crm.contacts", {"id": uid(1), "organization_id": uid(1), "status": "asleep"})
    [blocked] = [step.blocked for step in run.plan(platform.scene) if step.blocked]
    assert blocked == "1 rows break it: correct them first"
    before = migrations.dump_schema(platform.url)
    with pytest.raises(OperatorError, match=r"crm\.contacts"):
        platform.adopt()
    assert migrations.dump_schema(platform.url) == before


def test_a_status_that_tidying_does_not_make_lawful_stops_it_too(platform: Platform) -> None:
    platform.insert("crm.contacts", {"id": uid(1), "organization_id": uid(1), "status": "Asleep"})
    [blocked] = [step.blocked for step in run.plan(platform.scene) if step.blocked]
    assert blocked == "1 rows break it: correct them first"


def test_a_value_that_is_unlawful_only_in_its_new_type_stops_it_too(platform: Platform) -> None:
    """Weights are doubles there, and become numbers of two places: what those make lawful is."""
    kind = {"organization_id": uid(1), "signal_type": "DEMO_REQUEST"}
    platform.insert("scoring.signal_configs", kind | {"weight": 999.994})
    assert [step for step in run.plan(platform.scene) if step.blocked] == []
    platform.insert("scoring.signal_configs", kind | {"weight": float("nan")})
    before = migrations.dump_schema(platform.url)
    with pytest.raises(
        OperatorError, match=r"signal_configs: .* 1 rows break it: correct them first"
    ):
        platform.adopt()
    assert migrations.dump_schema(platform.url) == before


def test_one_id_of_two_people_needs_a_decision(platform: Platform) -> None:
    """Their events refer to the id: merging loses one, separating loses its history."""
    for organization in (1, 2):
        person = {"id": uid(1), "organization_id": uid(organization), "status": "active"}
        platform.insert("crm.contacts", person)
    with pytest.raises(
        OperatorError, match=r"crm\.contacts: one organization_id per id: 1 ids have rows with"
    ):
        platform.adopt()
    assert platform.rows("select count(*) from crm.contacts") == [(2,)]


def test_domains_of_one_id_are_two_domains(platform: Platform) -> None:
    platform.db.execute("alter table delivery.sending_domains drop constraint domains_key")
    domain = {"id": uid(1), "organization_id": uid(1), "status": "verified"}
    platform.insert("delivery.sending_domains", domain | {"domain": "a.example"})
    platform.insert("delivery.sending_domains", domain | {"domain": "b.example"})
    platform.adopt()
    [[ids, domains]] = platform.rows(
        "select count(distinct id), array_agg(domain order by domain) from delivery.sending_domains"
    )
    assert (ids, domains) == (2, ["a.example", "b.example"])


@pytest.mark.parametrize(
    ("table", "row", "output"),
    [
        (ACTIVITY, event(1, event_data=r'{"a": "\u0000"}'), "1 rows cannot be read as jsonb"),
        ("scoring.intent_signals", {"weight": 12_345}, r"1 rows cannot be read as numeric\(5,2\)"),
    ],
)
def test_a_value_that_the_new_type_refuses_stops_it_before_anything_is_done(
    platform: Platform, table: str, row: dict[str, Any], output: str
) -> None:
    platform.insert(table, row)
    before = migrations.dump_schema(platform.url)
    with pytest.raises(OperatorError, match=output):
        platform.adopt()
    assert migrations.dump_schema(platform.url) == before


@pytest.mark.parametrize(
    ("column", "kind", "value", "output"),
    [
        ("decay_hours", "bigint", 2**40, "integer out of range"),
        ("weight", "boolean", True, "cannot cast type boolean to numeric"),
    ],
)
def test_a_value_or_type_without_a_cast_stops_it_before_anything_is_done(
    platform: Platform, column: str, kind: str, value: Any, output: str
) -> None:
    table = "scoring.signal_configs"
    platform.db.execute(
        f"alter table {table} drop column {column}; alter table {table} add {column} {kind}"
    )
    platform.insert(table, {"organization_id": uid(1), "signal_type": "X", column: value})
    before = migrations.dump_schema(platform.url)
    with pytest.raises(OperatorError, match=output):
        platform.adopt()
    assert migrations.dump_schema(platform.url) == before


def test_a_view_over_a_column_that_changes_is_named(platform: Platform) -> None:
    platform.db.execute("create view crm.recent as select last_activity_at from crm.contacts")
    with pytest.raises(OperatorError, match=r"drop crm\.recent first"):
        platform.adopt()


PARTITIONED = """
alter table analytics.contact_activity rename to old_activity;
create table analytics.contact_activity (like analytics.old_activity)
    partition by range (occurred_at);
create table analytics.activity_2026 partition of analytics.contact_activity
    for values from ('2026-01-01') to ('2027-01-01');
create index on analytics.contact_activity (occurred_at);
"""
A_PARTITION = """
alter table analytics.contact_activity rename to old_activity;
create table analytics.everything (like analytics.old_activity) partition by range (occurred_at);
create table analytics.contact_activity partition of analytics.everything
    for values from ('2026-01-01') to ('2027-01-01');
"""
FOREIGN = """
alter table crm.contacts rename to old_contacts;
create foreign data wrapper nothing;
create server elsewhere foreign data wrapper nothing;
create foreign table crm.contacts (id uuid) server elsewhere;
"""


@pytest.mark.parametrize(
    ("change", "output"),
    [
        (PARTITIONED, r"contact_activity: .* a partitioned table: rename it, and copy its rows"),
        (A_PARTITION, r"contact_activity: .* a part of analytics\.everything"),
        ("create table crm.vips () inherits (crm.contacts)", "other tables inherit from it"),
        (
            "create table crm.people (id uuid); alter table crm.contacts inherit crm.people",
            r"contacts: .* a part of crm\.people",
        ),
        (FOREIGN, r"contacts: .* a foreign table"),
        (
            "alter table crm.contacts rename to people;"
            " create view crm.contacts as select * from crm.people",
            r"contacts: .* is a view: rename it",
        ),
        (
            "create materialized view analytics.hourly_cells as select 1 as one",
            r"hourly_cells: .* a materialized view",
        ),
        ("create table analytics.daily_aggregates (id int)", "must be a view: it is a table"),
    ],
)
def test_what_is_no_plain_table_of_ours_stops_it_before_anything_is_done(
    platform: Platform, change: str, output: str
) -> None:
    platform.db.execute(change)
    before = platform.rows("select relname, relkind from pg_class order by oid")
    steps = run.plan(platform.scene)
    assert steps
    assert all(step.blocked for step in steps)
    with pytest.raises(OperatorError, match=output):
        platform.adopt()
    assert platform.rows("select relname, relkind from pg_class order by oid") == before


def test_a_table_of_another_role_stops_it_before_anything_is_done(platform: Platform) -> None:
    platform.db.execute(
        "set role pg_read_all_data"  # not the owner, and can read all that the plan looks at
    )
    with pytest.raises(OperatorError, match="it belongs to the role mauntic: adopt as that role"):
        platform.adopt()
    platform.db.execute("reset role")
    assert platform.rows("select 1 from pg_namespace where nspname = 'adoption'") == []


def test_a_text_that_is_too_long_is_not_cut(platform: Platform) -> None:
    platform.insert("analytics.contact_activity", event(1, event_source="x" * 101))
    with pytest.raises(OperatorError, match="1 rows are longer"):
        platform.adopt()


def test_others_read_and_write_all_the_while(platform: Platform) -> None:
    """A writer of the old kind, with its duplicates, is never delayed for long."""
    dirty(platform)
    stop, written = Event(), [0]
    refused: list[str] = []
    writer = Thread(target=lambda: _write_until(stop, platform.url, refused, written))
    writer.start()
    try:
        platform.adopt()
    finally:
        stop.set()
        writer.join()
    assert written[0] > 20
    assert refused == []
    contacts = platform.rows(
        "select count(distinct contact_id) from analytics.contact_activity where event_type = 'w'"
    )
    assert contacts == [(written[0],)]


def _write_until(stop: Event, url: str, refused: list[str], written: list[int]) -> None:
    """Insert row after row. The server refuses one that waits longer than 3 s for a lock; a
    separate clock would measure how busy the machine is.
    """
    with closing(connect(url)) as connection:
        connection.run("set lock_timeout = '3s'")
        while not stop.wait(0.005):
            try:
                connection.run(
                    "insert into analytics.contact_activity"
                    " (id, organization_id, contact_id, event_type, occurred_at)"
                    " values (gen_random_uuid(), cast(:o as uuid), gen_random_uuid(), 'w',"
                    " now() at time zone 'UTC')",
                    o=str(uid(1)),
                )
            except DatabaseError as error:
                refused.append(str(error))
                return
            written[0] += 1


HOSTILE_NAMES = [
    "it's",
    "a','');alter role app superuser;--",
    'a"; alter role app superuser; --',
    "a ON b; alter role app superuser; --",
    'a" ON b.c; alter role app superuser; --',
    ":name {table} $$ %s",
]


def test_the_name_of_an_index_is_a_name_and_no_statement(platform: Platform) -> None:
    """The owner of a table names its indexes; adoption runs with the rights of another role."""
    platform.db.execute("drop role if exists app")
    platform.db.execute("create role app")
    try:
        for name in HOSTILE_NAMES:
            quoted = '"' + name.replace('"', '""') + '"'
            platform.db.execute(f"create index {quoted} on {ACTIVITY} (occurred_at, contact_id)")
        platform.adopt()
        found = platform.rows("select rolsuper from pg_roles where rolname = 'app'")
        assert found == [(False,)]
        for name in HOSTILE_NAMES:
            indexes = platform.rows(f"select relname from pg_class where relname = '{quote(name)}'")
            assert indexes == [(name,)], "it is back"
        assert platform.rows("select * from adoption.indexes") == []
    finally:
        platform.db.execute("drop role app")


def test_a_key_whose_name_needs_quotes_is_kept_beside_ours(platform: Platform) -> None:
    platform.db.execute('create index "idx_Odd ""one""" on crm.contacts (created_at)')
    platform.adopt()
    assert platform.rows("select 1 from pg_class where relname = 'idx_Odd \"one\"'") == [(1,)]


def test_an_index_that_an_earlier_version_kept_comes_back(platform: Platform) -> None:
    """Its record has no schema for the name, and its definition may be anything."""
    platform.adopt()
    definition = f'CREATE INDEX "a ON b" ON {ACTIVITY} USING btree (contact_id, occurred_at)'
    note = "insert into adoption.indexes (name, definition) values (:name, :definition)"
    platform.db.execute(note, name='"a ON b"', definition=definition)
    platform.adopt()
    assert platform.rows("select 1 from pg_class where relname = 'a ON b'") == [(1,)]
    evil = "CREATE INDEX x ON b; alter role app superuser; --"
    platform.db.execute(note, name="x", definition=evil)
    with pytest.raises(OperatorError, match=r"adoption\.indexes has an invalid definition"):
        platform.adopt()


def quote(text: str) -> str:
    return text.replace("'", "''")
