"""The formulas, computed by hand, and the SQL compared with the Python that explains a score."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scoring.reference.decay import decay
from scoring.reference.score import (
    FACTORS,
    Contact,
    Event,
    FactorConfig,
    Score,
    Settings,
    Signal,
    SignalConfig,
    score,
)
from shared.errors import DatabaseError
from tests.thorough import examples
from tests.workers.scoring.stage import HOUR, NOON, Stage

EMPTY_CONTACT = Contact()


def only(
    contact: Contact = EMPTY_CONTACT, events: Sequence[Event] = (), signals: Sequence[Signal] = ()
) -> Score:
    return score(contact, events, signals, Settings(), NOON)


def test_fit_is_the_sum_of_what_is_known_of_the_contact() -> None:
    custom = {"direct_phone": "+49 30", "company_size": "enterprise", "seniority": "c_level"}
    assert only(Contact("a@b.example", "+49", custom)).fit == 10 + 15 + 10 + 15 + 20
    assert only(Contact(" ", "", {"company_size": "huge", "seniority": 5})).fit == 0


@pytest.mark.parametrize(("visits", "points"), [(2, 0), (3, 10), (9, 10), (10, 15)])
def test_engagement_counts_the_thirty_days_before(visits: int, points: int) -> None:
    recent = [Event("page_visited", NOON - timedelta(days=30))] * visits
    old = [
        Event("page_visited", NOON - timedelta(days=30, seconds=1)),
        Event("page_visited", NOON),
    ] * 9
    assert only(events=recent + old).engagement == points


def test_a_download_counts_once() -> None:
    assert only(events=[Event("content_download", NOON - HOUR)] * 3).engagement == 10


@pytest.mark.parametrize(
    ("model", "age", "left"),
    [
        ("linear", 0, 1),
        ("linear", 42, 0.75),
        ("linear", 168, 0),
        ("linear", -1, 0),
        ("exponential", 0, 1),
        ("exponential", 56, 0.36787944117144233),
        ("exponential", 168, 0),
        ("step", 83, 1),
        ("step", 84, 0.5),
        ("step", 125, 0.5),
        ("step", 126, 0.25),
        ("step", 168, 0),
    ],
)
def test_decay_by_hand(model: str, age: float, left: float) -> None:
    assert decay(model, age, 168) == pytest.approx(left)


def test_intent_is_the_rounded_sum_and_a_half_goes_up() -> None:
    signals = [
        Signal("CONTACT_REQUEST", NOON - 84 * HOUR),
        Signal("WEBSITE_VISIT", NOON - 84 * HOUR),
    ]
    assert only(signals=signals).intent == 13  # 10 and 2.5
    assert only(signals=signals).components["WEBSITE_VISIT"] == 2.5


@pytest.mark.parametrize(
    ("total", "grade"), [(80, "A"), (79, "B"), (60, "B"), (40, "C"), (20, "D"), (19, "F")]
)
def test_grades(total: int, grade: str) -> None:
    assert Score(fit=total, engagement=0, intent=0, components={}).grade == grade


def test_the_total_stays_between_0_and_100() -> None:
    assert Score(fit=70, engagement=25, intent=90, components={}).total == 100
    assert Score(fit=0, engagement=0, intent=-5, components={}).total == 0


def test_the_five_largest_contribute() -> None:
    components = {"a": 1.0, "b": 5.0, "c": 5.0, "d": 9.5, "e": 0.0, "f": 2.0, "g": 3.0}
    made = Score(fit=0, engagement=0, intent=0, components=components)
    assert made.top_contributors == [("d", 9.5), ("b", 5.0), ("c", 5.0), ("g", 3.0), ("f", 2.0)]


def test_a_signal_with_the_name_of_a_factor_is_shown_next_to_it(stage: Stage) -> None:
    stage.add_contact((1, 1), email="a@b.example")
    stage.add_signal((1, 1), Signal("has_email", NOON, 40, "step"))
    stage.batch()
    assert stage.row((1, 1))["top_contributors"] == [
        {"factor": "intent:has_email", "points": 40},
        {"factor": "has_email", "points": 10},
    ]


def test_settings_of_the_nil_organization_apply_to_no_other(stage: Stage) -> None:
    stage.set_factor(0, "fit", "has_email", FactorConfig(77))
    stage.set_signal(0, "DEMO_REQUEST", SignalConfig(weight=99))
    stage.add_contact((1, 1), email="a@b.example")
    stage.add_signal((1, 1), Signal("DEMO_REQUEST", NOON, decay_model="step"))
    stage.batch()
    assert stage.row((1, 1))["total_score"] == 40


def test_the_usual_points_are_those_of_the_table(stage: Stage) -> None:
    rows = stage.db.rows("select * from scoring.factors where points is not null")
    table = {(row["category"], row["factor"]): row["points"] for row in rows}
    assert table == {
        (c, factor): points for c, usual in FACTORS.items() for factor, points in usual.items()
    }


@pytest.mark.parametrize("factor", ["shoe_size", "PRICING_PAGE", ""])
def test_an_unknown_factor_is_refused_when_it_is_written(stage: Stage, factor: str) -> None:
    with pytest.raises(DatabaseError) as refused:
        stage.set_factor(1, "fit", factor, FactorConfig(5))
    assert refused.value.sqlstate == "23503"


@pytest.mark.parametrize("weight", ["NaN", "1000"])
def test_a_weight_that_is_no_number_is_refused_when_it_is_written(
    stage: Stage, weight: str
) -> None:
    with pytest.raises(DatabaseError):
        stage.db.execute(
            "insert into scoring.intent_signals (organization_id, contact_id, signal_type, weight)"
            " values (gen_random_uuid(), gen_random_uuid(), 'X', cast(:weight as numeric))",
            weight=weight,
        )


ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("abc \"'", max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=2)
    ),
    max_leaves=4,
)
FIELD = (
    st.sampled_from(
        ["vp", "c_level", "director", "manager", "smb", "mid", "enterprise", "VP", " ", "+1"]
    )
    | ANYTHING
)
CUSTOM = (
    st.fixed_dictionaries(
        {}, optional={"direct_phone": FIELD, "company_size": FIELD, "seniority": FIELD}
    )
    | ANYTHING
)
TEXT = st.sampled_from([None, "", " ", "a@b.example"])
KINDS = st.sampled_from(
    ["PRICING_PAGE", "DEMO_REQUEST", "EMAIL_OPEN", "HOMEMADE", "has_email", "content_download"]
)
# Quarters of an hour hit the edges of decay; odd microseconds hit everything between.
MOMENTS = st.builds(
    lambda quarters, odd: NOON - timedelta(minutes=15 * quarters, microseconds=odd),
    st.integers(-8, 4 * 200) | st.sampled_from([4 * 24, 4 * 12, 4 * 18]),
    st.sampled_from([0, 0, 1, 123_457]),
)
SIGNALS = st.builds(
    Signal,
    type=KINDS,
    detected_at=MOMENTS,
    weight=st.none() | st.decimals(-20, 99, places=2).map(float),
    decay_model=st.sampled_from(["linear", "exponential", "step"]),
    decay_hours=st.none() | st.sampled_from([1, 24, 100, 168]),
    expires_at=st.none() | MOMENTS,
)
EVENTS = st.builds(
    Event,
    type=st.sampled_from(["email_opened", "page_visited", "content_download", "email_sent"]),
    occurred_at=st.builds(
        lambda q: NOON - timedelta(hours=q), st.integers(-2, 31 * 24) | st.just(720)
    ),
)
FACTOR_CONFIGS = st.dictionaries(
    st.sampled_from(
        [
            ("fit", "has_email"),
            ("fit", "seniority"),
            ("fit", "seniority_vp"),
            ("fit", "company_size_mid"),
            ("engagement", "recent_activity"),
            ("engagement", "content_download"),
            ("intent", "PRICING_PAGE"),
        ]
    ),
    st.builds(FactorConfig, weight=st.none() | st.integers(-10, 40), enabled=st.booleans()),
    max_size=4,
)
SIGNAL_CONFIGS = st.dictionaries(
    KINDS,
    st.builds(
        SignalConfig,
        weight=st.none() | st.decimals(0, 40, places=2).map(float),
        decay_hours=st.none() | st.sampled_from([2, 48]),
        enabled=st.sampled_from([True, True, False]),
    ),
    max_size=3,
)
PEOPLE = st.tuples(TEXT, TEXT, CUSTOM, st.lists(EVENTS, max_size=14), st.lists(SIGNALS, max_size=5))


def stored(stage: Stage, key: tuple[int, int]) -> dict[str, Any]:
    row = stage.row(key)
    return {
        "numbers": (
            row["total_score"],
            row["fit_score"],
            row["engagement_score"],
            row["intent_score"],
        ),
        "grade": row["grade"],
        "components": row["components"],
        "top": [(one["factor"], one["points"]) for one in row["top_contributors"]],
    }


def explained(made: Score) -> dict[str, Any]:
    return {
        "numbers": (made.total, made.fit, made.engagement, made.intent),
        "grade": made.grade,
        "components": made.components,
        "top": made.top_contributors,
    }


@settings(max_examples=examples(40), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    people=st.lists(PEOPLE, min_size=1, max_size=4),
    factors=FACTOR_CONFIGS,
    kinds=SIGNAL_CONFIGS,
    t=st.sampled_from([NOON, NOON - HOUR, NOON + 5 * HOUR, NOON + timedelta(seconds=0.1)]),
)
def test_the_statement_and_the_explanation_agree(
    stage: Stage, people: list[Any], factors: Any, kinds: Any, t: datetime
) -> None:
    with stage.undone():
        for (category, factor), points in factors.items():
            stage.set_factor(1, category, factor, points)
        for kind, config in kinds.items():
            stage.set_signal(1, kind, config)
        for number, (email, phone, custom, events, signals) in enumerate(people):
            key = (1 + number % 2, number)  # one of the two organizations has settings
            stage.add_contact(key, email, phone, custom)
            for event in events:
                stage.add_event(key, event)
            for signal in signals:
                stage.add_signal(key, signal)
        stage.batch(t)
        for key in stage.contacts:
            assert stored(stage, key) == explained(stage.expected(key, t))
