"""BatchRecompute and SignalDecay: after any events in any order, the final scores are correct."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mauntic.database.url import connect
from scoring.reference.score import Event, FactorConfig, Signal, SignalConfig
from scoring.store import statements
from scoring.store.statements import Replacement
from shared.adapters.postgres.client import Postgres
from tests.thorough import examples
from tests.workers.scoring.stage import HOUR, NOON, Stage, org, person
from tests.workers.scoring.test_formulas import EVENTS, SIGNALS

KEYS = st.tuples(st.integers(1, 2), st.integers(1, 3)).map(
    lambda key: (key[0], key[0] * 10 + key[1])
)
EVERYBODY = [
    (organization, organization * 10 + contact) for organization in (1, 2) for contact in (1, 2, 3)
]
HOURS = st.integers(-5, 60)
CHANGES = st.one_of(
    st.tuples(st.just("signal"), KEYS, SIGNALS),
    st.tuples(st.just("signal"), KEYS, SIGNALS),
    st.tuples(st.just("event"), KEYS, EVENTS),
    st.tuples(st.just("email"), KEYS, st.sampled_from([None, "a@b.example"])),
    st.tuples(
        st.just("factor"),
        st.integers(1, 2),
        st.builds(FactorConfig, st.integers(0, 50), st.booleans()),
    ),
    st.tuples(
        st.just("kind"),
        st.integers(1, 2),
        st.builds(SignalConfig, st.just(33.5), st.just(48), st.booleans()),
    ),
)
RUNS = st.tuples(st.sampled_from(["batch", "decay"]), HOURS)


def change(stage: Stage, step: Any) -> None:
    kind, where, what = step
    if kind == "signal":
        stage.add_signal(where, what)
    elif kind == "event":
        stage.add_event(where, what)
    elif kind == "email":
        stage.change_contact(where, what)
    elif kind == "factor":
        stage.set_factor(where, "fit", "has_email", what)
    else:
        stage.set_signal(where, "PRICING_PAGE", what)


def run(stage: Stage, kind: str, hour: int) -> statements.Scored:
    return getattr(stage, kind)(NOON + hour * HOUR)  # type: ignore[no-any-return]


@settings(max_examples=examples(20), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    steps=st.lists(CHANGES | RUNS, max_size=14),
    last=st.permutations(["batch", "decay", "batch", "decay"]),
)
def test_any_history_ends_as_the_facts_say(stage: Stage, steps: list[Any], last: list[str]) -> None:
    """Changes and runs mixed, including late ones: once both ran at the latest time, all is
    correct.
    """
    with stage.undone():
        for key in EVERYBODY:
            stage.add_contact(key)
        for step in steps:
            if len(step) == 2:
                run(stage, *step)
            else:
                change(stage, step)
        for kind in last:
            run(stage, kind, 61)
        assert stage.numbers() == stage.expected_numbers(NOON + 61 * HOUR)


@settings(max_examples=examples(20), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    changes=st.lists(CHANGES, max_size=10),
    gaps=st.lists(st.integers(1, 200), min_size=1, max_size=6),
)
def test_decay_alone_keeps_every_score_right(
    stage: Stage, changes: list[Any], gaps: list[int]
) -> None:
    """It examines few contacts, and the others have not changed."""
    with stage.undone():
        for key in EVERYBODY:
            stage.add_contact(key)
        for step in changes:
            change(stage, step)
        t = NOON + 3 * HOUR  # nothing is dated later than this
        stage.batch(t)
        for gap in gaps:
            t += timedelta(minutes=gap * 7)
            stage.decay(t)
            assert stage.numbers() == stage.expected_numbers(t)


@settings(max_examples=examples(12), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    changes=st.lists(CHANGES, max_size=10),
    first=HOURS,
    more=st.lists(CHANGES, max_size=4),
    second=HOURS,
)
def test_either_order_and_twice_leave_the_same_rows(
    stage: Stage, changes: list[Any], first: int, more: list[Any], second: int
) -> None:
    outcomes = []
    for order in (["batch", "decay"], ["decay", "batch"], ["decay", "batch", "decay", "batch"]):
        with stage.undone():
            for key in EVERYBODY:
                stage.add_contact(key)
            for step in changes:
                change(stage, step)
            run(stage, "batch", first)
            for step in more:
                change(stage, step)
            for kind in order:
                run(stage, kind, second)
            history = [tuple(row.values()) for row in stage.rows("score_history")]
            outcomes.append((stage.numbers(), history, stage.waiting()))
    assert outcomes[0] == outcomes[1] == outcomes[2]


def test_a_score_that_did_not_change_is_not_written(stage: Stage) -> None:
    stage.add_contact((1, 1), email="a@b.example")
    stage.add_signal((1, 1), Signal("DEMO_REQUEST", NOON - HOUR, decay_model="step"))
    assert stage.batch().rows_written == 1
    was = stage.row((1, 1))
    stage.change_contact((1, 1), "c@d.example")  # another address, worth the same
    assert stage.batch(NOON + HOUR) == statements.Scored(1, 0)
    assert stage.decay(NOON + 2 * HOUR).rows_written == 0
    assert stage.row((1, 1)) == was
    assert stage.waiting() == []


def test_a_day_keeps_its_last_score_and_midnight_belongs_to_the_day_that_ends(stage: Stage) -> None:
    stage.add_contact((1, 1))
    stage.add_signal((1, 1), Signal("DEMO_REQUEST", NOON))
    stage.batch()
    for hours in (6, 12, 18):
        stage.decay(NOON + hours * HOUR)
    history = {str(row["date"]): row["total_score"] for row in stage.rows("score_history")}
    assert history == {
        "2026-03-10": stage.expected((1, 1), NOON + 12 * HOUR).total,
        "2026-03-11": stage.expected((1, 1), NOON + 18 * HOUR).total,
    }


def test_a_late_window_does_not_take_a_score_back(stage: Stage) -> None:
    stage.add_contact((1, 1))
    stage.add_signal((1, 1), Signal("DEMO_REQUEST", NOON))
    stage.batch(NOON + 40 * HOUR)
    stage.change_contact((1, 1), "a@b.example")
    stage.batch(NOON + 20 * HOUR)
    assert stage.row((1, 1))["scored_at"] == NOON + 40 * HOUR
    assert stage.numbers() == stage.expected_numbers(NOON + 40 * HOUR)


def test_what_is_dated_later_counts_from_its_moment_on(stage: Stage) -> None:
    """It waits for that time, and not in the backlog."""
    stage.add_contact((1, 1))
    for _ in range(3):
        stage.add_event((1, 1), Event("email_opened", NOON + timedelta(hours=2, seconds=2)))
    stage.batch()
    assert stage.row((1, 1))["total_score"] == 0
    assert stage.waiting() == []
    read = [stage.decay(NOON + hours * HOUR).rows_read for hours in (1, 2, 3, 4)]
    assert stage.row((1, 1))["total_score"] == 10
    assert read == [0, 0, 1, 0]


@pytest.mark.parametrize("kind", ["event", "signal"])
def test_a_contact_dated_far_ahead_is_scored_once(stage: Stage, kind: str) -> None:
    """Not scored every hour until 2099; and in 2099 it counts."""
    there = datetime(2099, 5, 6, 7, tzinfo=UTC)
    stage.add_contact((1, 1))
    if kind == "event":
        stage.add_event((1, 1), Event("content_download", there))
    else:
        stage.add_signal((1, 1), Signal("DEMO_REQUEST", there))
    assert stage.batch() == statements.Scored(1, 1)
    for hours in range(1, 30):
        assert stage.batch(NOON + hours * HOUR) == stage.decay(NOON + hours * HOUR)
        assert stage.decay(NOON + hours * HOUR) == statements.Scored(0, 0)
    stage.decay(there + HOUR)
    assert stage.row((1, 1))["total_score"] == (10 if kind == "event" else 30)
    assert stage.numbers() == stage.expected_numbers(there + HOUR)


def test_an_entry_that_moved_is_neither_written_nor_cleared(stage: Stage) -> None:
    """The score was computed from version n; another transaction has changed the contact since."""
    stage.add_contact((1, 1), email="a@b.example")
    assert stage.waiting() == [(1, 1)]
    [entry] = stage.rows("recompute_backlog")
    key = (org(1), person(1))
    with stage.job() as db:
        assert statements.score_contacts(db, {key: entry["version"] - 1}, {}, NOON) == [key]
    assert stage.waiting() == [(1, 1)]
    assert stage.numbers() == {}


def test_a_contact_who_is_being_changed_is_scored_as_he_was_and_again(stage: Stage) -> None:
    """Without waiting for the writer, and without losing the change."""
    stage.add_contact((1, 1))
    stage.add_contact((1, 2))
    writer = Postgres(lambda: connect(stage.url))
    with closing(writer), writer.transaction():
        writer.execute("update crm.contacts set email = 'a@b.example' where id = :id", id=person(1))
        assert stage.batch() == statements.Scored(2, 2)
        assert stage.waiting() == []
    assert stage.batch() == statements.Scored(1, 1)
    assert stage.row((1, 1))["total_score"] == 10


def test_a_contact_who_is_gone_takes_his_score_along(stage: Stage) -> None:
    stage.add_contact((1, 1), email="a@b.example")
    stage.batch()
    stage.db.execute("delete from crm.contacts")
    stage.batch()
    assert (stage.rows(), stage.rows("score_history"), stage.waiting()) == ([], [], [])


def test_one_tenants_invalid_data_stops_no_other(stage: Stage) -> None:
    stage.add_contact((1, 1), email="a@b.example", custom=["not", {"an": "object"}])
    stage.add_contact(
        (2, 2), email="a@b.example", custom={"seniority": {"deep": [1]}, "direct_phone": False}
    )
    for _ in range(300):
        stage.add_signal((1, 1), Signal("X", NOON, weight=999.99, decay_hours=1))
    stage.batch()
    assert stage.numbers() == stage.expected_numbers(NOON)


def test_the_time_of_a_late_run_is_that_of_the_newest_begun(stage: Stage) -> None:
    later = NOON + 2 * HOUR
    assert statements.scoring_time(stage.worker, NOON) == NOON
    stage.db.execute(
        "insert into ops.job_runs"
        " (job_type, window_start, window_end, status, trigger, scheduled_for)"
        " values ('scoring.SignalDecay', :start, :until, 'running', 'cron', :until)",
        start=later - HOUR,
        until=later,
    )
    assert statements.scoring_time(stage.worker, NOON) == later
    assert statements.scoring_time(stage.worker, later + HOUR) == later + HOUR


@pytest.mark.parametrize("writer", ["contact", "signal", "event", "factor", "kind", "function"])
def test_every_change_of_a_score_s_input_requests_the_score(stage: Stage, writer: str) -> None:
    stage.add_contact((1, 1))
    stage.add_contact((2, 2))
    stage.add_signal((1, 1), Signal("PRICING_PAGE", NOON))
    stage.batch()
    match writer:
        case "contact":
            stage.db.execute("update crm.contacts set stage = 'lead'")  # counts nothing
            assert stage.waiting() == []
            stage.change_contact((1, 1), "a@b.example")
        case "signal":
            stage.db.execute("update scoring.intent_signals set weight = 3")
        case "event":
            stage.add_event((2, 2), Event("email_sent", NOON))  # counts nothing
            assert stage.waiting() == []
            stage.add_event((1, 1), Event("email_opened", NOON))
        case "factor":
            stage.set_factor(1, "fit", "has_email", FactorConfig(9))
        case "kind":
            stage.set_signal(1, "PRICING_PAGE", SignalConfig(9))
        case "function":
            stage.db.rows(
                "select scoring.request_recompute(array[:o]::uuid[], array[:c]::uuid[], 'x')",
                o=org(1),
                c=person(1),
            )
    assert stage.waiting() == [(1, 1)]


def test_a_message_s_context_holds_for_its_calculation(stage: Stage) -> None:
    stage.add_contact((1, 1), email="a@b.example")
    stage.add_signal((1, 1), Signal("DEMO_REQUEST", NOON - 84 * HOUR))
    key = (org(1), person(1))
    versions = stage.request((1, 1)).versions
    with stage.job() as db:
        statements.score_contacts(db, versions, {key: Replacement(fit=40, engagement=7)}, NOON)
    row = stage.row((1, 1))
    assert (row["total_score"], row["fit_score"], row["engagement_score"], row["intent_score"]) == (
        62,
        40,
        7,
        15,
    )
    assert row["components"] == {"fit": 40, "engagement": 7, "DEMO_REQUEST": 15}
    stage.batch(NOON)  # his own are due again
    assert stage.numbers() == stage.expected_numbers(NOON)


@pytest.mark.parametrize("age", [0, 83.5, 84, 125.5, 126, 167.5, 168])
@pytest.mark.parametrize("model", ["linear", "exponential", "step"])
def test_the_edges_of_decay(stage: Stage, model: str, age: float) -> None:
    stage.add_contact((1, 1))
    stage.add_signal((1, 1), Signal("DEMO_REQUEST", NOON - age * HOUR, decay_model=model))
    stage.batch()
    assert stage.numbers() == stage.expected_numbers(NOON)


def test_decay_looks_again_when_a_step_comes_and_when_a_signal_expires(stage: Stage) -> None:
    stage.add_contact((1, 1))
    stage.add_contact((1, 2))
    stage.add_signal((1, 1), Signal("DEMO_REQUEST", NOON, decay_model="step"))
    stage.add_signal((1, 2), Signal("DEMO_REQUEST", NOON, expires_at=NOON + HOUR / 2))
    stage.batch()
    for hours in (1, 84, 126, 168):
        stage.decay(NOON + hours * HOUR)
        assert stage.numbers() == stage.expected_numbers(NOON + hours * HOUR)


def test_activity_that_grows_old_counts_no_more(stage: Stage) -> None:
    stage.add_contact((1, 1))
    for hours in (1, 2, 3):
        stage.add_event((1, 1), Event("email_opened", NOON - hours * HOUR))
    stage.batch()
    late = NOON + 717 * HOUR
    assert stage.decay(late) == statements.Scored(
        1, 0
    )  # the oldest is 30 days old and still counts
    assert stage.decay(late + HOUR).rows_written == 1
    assert stage.row((1, 1))["engagement_score"] == 0


def test_the_same_score_of_other_parts_is_explained_anew(stage: Stage) -> None:
    stage.add_contact((1, 1), email="a@b.example", phone="+49")
    stage.batch()
    stage.set_factor(1, "fit", "has_email", FactorConfig(15))
    stage.set_factor(1, "fit", "has_phone", FactorConfig(10))
    stage.batch()
    row = stage.row((1, 1))
    assert (row["components"]["has_email"], row["components"]["has_phone"]) == (15, 10)
    assert row["total_score"] == 25


def test_the_same_score_that_will_change_sooner_is_looked_at_sooner(stage: Stage) -> None:
    stage.add_contact((1, 1))
    stage.add_signal((1, 1), Signal("DEMO_REQUEST", NOON, decay_model="step"))
    stage.batch()
    stage.db.execute("update scoring.intent_signals set decay_model = 'linear'")
    stage.batch()
    stage.decay(NOON + 4 * HOUR)
    assert stage.row((1, 1))["total_score"] == 29  # 30 · (1 − 4/168) = 29.3


def test_the_same_score_of_other_signals_is_explained_anew(stage: Stage) -> None:
    """Another signal, or the contact's own instead of a message's value, with equal points."""
    for contact in (1, 2):
        stage.add_contact((1, contact))
        kind = ("PRICING_PAGE", "DEMO_REQUEST")[contact - 1]
        stage.add_signal((1, contact), Signal(kind, NOON, decay_model="step"))
    key = (org(1), person(2))
    versions = stage.request((1, 2)).versions
    with stage.job() as db:
        statements.score_contacts(db, versions, {key: Replacement(intent=30)}, NOON)
    stage.batch()
    stage.db.execute(
        "update scoring.intent_signals set signal_type = 'CONTACT_REQUEST' where contact_id = :id",
        id=person(1),
    )
    stage.batch(NOON + HOUR)
    text = [stage.row((1, contact))["top_contributors"] for contact in (1, 2)]
    assert text == [
        [{"factor": "CONTACT_REQUEST", "points": 20}],
        [{"factor": "DEMO_REQUEST", "points": 30}],
    ]


@pytest.mark.parametrize("order", [("decay", "batch"), ("batch", "decay")])
def test_contacts_dated_ahead_do_not_crowd_out_those_who_decay(
    stage: Stage, order: tuple[str, str]
) -> None:
    """A contact that waits in the backlog for tomorrow does not count for SignalDecay."""
    for contact in range(1, 6):
        stage.add_contact((1, contact))
        early = NOON - 49.5 * HOUR
        stage.add_signal((1, contact), Signal("DEMO_REQUEST", early, None, "step", 100))
        stage.add_event((1, contact), Event("email_opened", NOON + 24 * HOUR))
        stage.add_contact((2, 100 + contact))
        stage.add_signal((2, 100 + contact), Signal("DEMO_REQUEST", NOON, decay_hours=24))
    stage.batch()
    for hours in range(1, 6):
        for kind in ("decay", "batch") if hours == 1 else order:
            run(stage, kind, hours)
        assert stage.numbers() == stage.expected_numbers(NOON + hours * HOUR)


def test_whoever_was_looked_at_in_vain_is_not_looked_at_every_hour(stage: Stage) -> None:
    """Activity gets old hour by hour, and enough of it remains."""
    for contact in range(10):
        stage.add_contact((1, contact))
        for hours in range(60):
            event = Event("email_opened", NOON - (715 - 12 * hours - contact) * HOUR)
            stage.add_event((1, contact), event)
    stage.batch()
    looked_at = [stage.decay(NOON + hours * HOUR).rows_read for hours in range(1, 49)]
    assert sum(looked_at[-24:]) <= 2 * 10 * 2  # each contact's oldest event leaves twice a day
    assert stage.numbers() == stage.expected_numbers(NOON + 48 * HOUR)


def test_an_open_transaction_of_the_platform_stops_nobody(stage: Stage) -> None:
    """Neither its contact nor the others: it locks nothing that a run writes."""
    for contact in (1, 2):
        stage.add_contact((1, contact))
        stage.add_signal((1, contact), Signal("DEMO_REQUEST", NOON, decay_hours=24))
    stage.batch()
    writer = Postgres(lambda: connect(stage.url))
    with closing(writer), writer.transaction():
        writer.execute("update crm.contacts set email = 'a@b.example' where id = :id", id=person(2))
        writer.execute(
            "insert into analytics.contact_activity"
            " (organization_id, contact_id, event_type, occurred_at)"
            " values (:org, :contact, 'email_opened', :at)",
            org=org(1),
            contact=person(2),
            at=NOON,
        )
        assert stage.decay(NOON + 3 * HOUR).rows_written == 2
        assert stage.request((1, 1), (1, 2)).busy == []
