"""Alerts that new signals open, compared with the rules in plain Python."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scoring.reference.score import Signal, SignalConfig
from scoring.store import statements
from tests.thorough import examples
from tests.workers.scoring.stage import HOUR, NOON, Stage, locked, no_lock_met, org, person

MINUTE = timedelta(minutes=1)
SLA = {"critical": 1 * HOUR, "high": 4 * HOUR, "medium": 24 * HOUR, "low": 72 * HOUR}


@dataclass(frozen=True)
class Alert:
    contact: int
    kind: str
    priority: str
    opened_at: datetime
    status: str = "open"

    @property
    def deadline(self) -> datetime:
        return self.opened_at + SLA[self.priority]


class Oracle:
    """Apply the rules, one signal after the other."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []

    def expire(self, t: datetime, *only: object) -> None:
        self.alerts = [
            replace(one, status="expired")
            if one.status == "open"
            and one.deadline <= t
            and (not only or (one.contact, one.kind) in only)
            else one
            for one in self.alerts
        ]

    def fold(self, new: list[tuple[int, str, str, datetime]], t: datetime) -> None:
        """New signals: contact, type, tier, detected_at."""
        groups = itertools.groupby(sorted(new), key=lambda one: one[:2])
        for (contact, kind), group in groups:
            *_, (_, _, tier, newest) = sorted(group, key=lambda one: one[3])
            self.expire(t, (contact, kind))
            has_open = any(
                (one.contact, one.kind, one.status) == (contact, kind, "open")
                for one in self.alerts
            )
            if not has_open and newest + SLA[tier] > t:
                self.alerts.append(Alert(contact, kind, tier, newest))


def alerts(stage: Stage) -> list[Alert]:
    rows = stage.db.rows("select * from scoring.signal_alerts order by created_at")
    for row in rows:
        assert row["deadline"] == row["created_at"] + SLA[row["priority"]]
        assert row["expired_at"] == (row["deadline"] if row["status"] == "expired" else None)
    return [
        Alert(
            row["contact_id"].int - 1_000,
            row["signal_type"],
            row["priority"],
            row["created_at"],
            row["status"],
        )
        for row in rows
    ]


def ask(stage: Stage, at: datetime, contact: int = 1, priority: str = "critical") -> UUID | None:
    [row] = stage.db.rows(
        "select scoring.open_alert(:o, :c, 'X', :priority, :at) as id",
        o=org(1),
        c=person(contact),
        at=at,
        priority=priority,
    )
    found: UUID | None = row["id"]
    return found


def at(clock: str) -> datetime:
    hours, minutes = clock.split(":")
    return NOON.replace(hour=int(hours), minute=int(minutes))


def test_each_tier_has_its_time_from_when_the_signal_was_detected(stage: Stage) -> None:
    for kind, tier in zip("ABCD", SLA, strict=True):
        stage.set_signal(1, kind, SignalConfig(), tier=tier)
        stage.add_signal((1, 1), Signal(kind, NOON - 50 * MINUTE))
    stage.set_signal(1, "E", SignalConfig(enabled=False), tier="critical")
    stage.set_signal(1, "F", SignalConfig())
    for kind in "EFG":
        stage.add_signal((1, 1), Signal(kind, NOON))
    stage.fold()
    assert alerts(stage) == [
        Alert(1, kind, tier, NOON - 50 * MINUTE) for kind, tier in zip("ABCD", SLA, strict=True)
    ]


def test_a_signal_after_a_due_alert_that_is_not_yet_swept_opens_one(stage: Stage) -> None:
    """Critical at 10:16; again at 11:20; the expiry runs at 11:30."""
    stage.set_signal(1, "X", SignalConfig(), tier="critical")
    stage.add_signal((1, 1), Signal("X", at("10:16")))
    stage.fold(at("10:17"))
    stage.add_signal((1, 1), Signal("X", at("11:20")))
    stage.fold(at("11:21"))
    with stage.job() as db:
        statements.expire_alerts(db, at("11:30"))
    assert alerts(stage) == [
        Alert(1, "X", "critical", at("10:16"), "expired"),
        Alert(1, "X", "critical", at("11:20")),
    ]


def test_of_an_import_with_an_old_signal_the_newest_decides(stage: Stage) -> None:
    stage.set_signal(1, "X", SignalConfig(), tier="critical")
    stage.db.execute(
        "insert into scoring.intent_signals (organization_id, contact_id, signal_type, detected_at)"
        " select :o, :c, 'X', at from unnest(cast(:at as timestamptz[])) as at",
        o=org(1),
        c=person(1),
        at=[NOON - 240 * HOUR, NOON - MINUTE, NOON - HOUR / 2],
    )
    stage.add_signal((1, 2), Signal("X", NOON - 240 * HOUR))
    stage.fold()
    assert alerts(stage) == [Alert(1, "X", "critical", NOON - MINUTE)]


def test_of_several_statements_before_a_fold_the_newest_decides_too(stage: Stage) -> None:
    stage.set_signal(1, "X", SignalConfig(), tier="high")
    for minutes in (30, 5, 90):
        stage.add_signal((1, 1), Signal("X", NOON - minutes * MINUTE))
    stage.fold()
    assert alerts(stage) == [Alert(1, "X", "high", NOON - 5 * MINUTE)]


def test_a_signal_whose_time_has_passed_opens_none(stage: Stage) -> None:
    stage.set_signal(1, "X", SignalConfig(), tier="critical")
    stage.add_signal((1, 1), Signal("X", NOON - HOUR))
    stage.add_signal((1, 2), Signal("X", NOON - HOUR + MINUTE))
    stage.fold()
    assert [one.contact for one in alerts(stage)] == [2]


def test_a_change_of_an_old_signal_opens_none(stage: Stage) -> None:
    stage.add_signal((1, 1), Signal("X", NOON))
    stage.fold()
    stage.set_signal(1, "X", SignalConfig(), tier="critical")
    stage.db.execute("update scoring.intent_signals set weight = 3")
    stage.fold()
    assert alerts(stage) == []


def test_an_alert_that_is_asked_for_opens_with_the_next_fold(stage: Stage) -> None:
    first = ask(stage, NOON - 2 * MINUTE)
    assert isinstance(first, UUID)
    assert ask(stage, NOON - MINUTE) is None  # one is asked for
    stage.fold()
    assert stage.db.rows("select id from scoring.signal_alerts") == [{"id": first}]
    assert alerts(stage) == [Alert(1, "X", "critical", NOON - 2 * MINUTE)]
    assert ask(stage, NOON) is None  # one is open
    assert ask(stage, NOON + HOUR) is not None  # it is due by then
    stage.fold(NOON + HOUR)
    assert [one.status for one in alerts(stage)] == ["expired", "open"]
    assert stage.db.rows("select * from scoring.alert_requests") == []


def test_the_new_signal_waits_while_a_due_alert_is_being_acknowledged(stage: Stage) -> None:
    """The fold waits for no transaction, and the signal is not lost."""
    stage.set_signal(1, "X", SignalConfig(), tier="critical")
    for contact in (1, 2):
        stage.add_signal((1, contact), Signal("X", at("10:16")))
    stage.fold(at("10:17"))
    for contact in (1, 2):
        stage.add_signal((1, contact), Signal("X", at("11:20")))
    take_up = (
        "update scoring.signal_alerts set status = 'acknowledged', acknowledged_at = now()"
        " where contact_id = :contact"
    )
    with locked(stage, take_up, contact=person(1)), no_lock_met(stage):
        stage.fold(at("11:21"))
        opened = [(one.contact, one.opened_at) for one in alerts(stage) if one.status == "open"]
        assert sorted(opened) == [(1, at("10:16")), (2, at("11:20"))]
    stage.fold(at("11:22"))
    assert sorted((one.contact, one.status, one.opened_at) for one in alerts(stage)) == [
        (1, "acknowledged", at("10:16")),
        (1, "open", at("11:20")),
        (2, "expired", at("10:16")),
        (2, "open", at("11:20")),
    ]


def test_a_request_waits_for_a_held_alert_too(stage: Stage) -> None:
    ask(stage, at("10:16"))
    stage.fold(at("10:17"))
    second = ask(stage, at("11:20"))
    with locked(stage, "select from scoring.signal_alerts for update"):
        stage.fold(at("11:21"))
        assert len(alerts(stage)) == 1
    stage.fold(at("11:22"))
    rows = stage.db.rows("select id from scoring.signal_alerts where status = 'open'")
    assert rows == [{"id": second}]


@pytest.mark.parametrize("status", ["committed", "open"])
def test_an_alert_that_another_transaction_opens_stops_only_its_own_signal(
    stage: Stage, status: str
) -> None:
    stage.set_signal(1, "X", SignalConfig(), tier="critical")
    for contact in (1, 2, 3):
        stage.add_signal((1, contact), Signal("X", NOON))
    insert = (
        "insert into scoring.signal_alerts (organization_id, contact_id, signal_type, priority,"
        " created_at) values (:o, :c, 'X', 'critical', :at)"
    )
    with locked(stage, insert, o=org(1), c=person(2), at=NOON - MINUTE):
        if status == "open":
            stage.fold()
            assert [one.contact for one in alerts(stage)] == [1, 3]
    stage.fold()
    assert sorted(one.contact for one in alerts(stage)) == [1, 2, 3]


SIGNALS = st.tuples(
    st.just("signal"),
    st.integers(1, 2),
    st.sampled_from(["X", "Y"]),
    st.integers(-200, 20),  # minutes after the moment
)
STEPS = st.one_of(
    SIGNALS, SIGNALS, SIGNALS, st.just(("fold",)), st.just(("sweep",)), st.just(("take up",))
)


@settings(max_examples=examples(40), deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(st.tuples(STEPS, st.integers(0, 40)), max_size=25))
def test_any_history_of_alerts_is_that_of_the_rules(stage: Stage, steps: list[Any]) -> None:
    oracle, t = Oracle(), NOON
    tiers = {"X": "critical", "Y": "high"}
    new: list[tuple[int, str, str, datetime]] = []
    stage.db.execute("truncate scoring.signal_alerts, crm.contact_changes")
    with stage.undone():
        for kind, tier in tiers.items():
            stage.set_signal(1, kind, SignalConfig(), tier=tier)
        for (what, *details), minutes in [*steps, (("fold",), 1)]:
            t += minutes * MINUTE
            match what:
                case "signal":
                    contact, kind, offset = details
                    detected_at = t + offset * MINUTE + timedelta(seconds=len(new))
                    stage.add_signal((1, contact), Signal(kind, detected_at))
                    new.append((contact, kind, tiers[kind], detected_at))
                case "fold":
                    stage.fold(t)
                    oracle.fold(new, t)
                    new = []
                case "sweep":
                    with stage.job() as db:
                        statements.expire_alerts(db, t)
                    oracle.expire(t)
                case "take up":
                    stage.db.execute(
                        "update scoring.signal_alerts set status = 'acknowledged',"
                        " acknowledged_at = now() where status = 'open' and contact_id = :c",
                        c=person(1),
                    )
                    oracle.alerts = [
                        replace(one, status="acknowledged")
                        if (one.contact, one.status) == (1, "open")
                        else one
                        for one in oracle.alerts
                    ]
        found = alerts(stage)
    key = lambda one: (one.contact, one.kind, one.opened_at, one.status)  # noqa: E731
    assert sorted(found, key=key) == sorted(oracle.alerts, key=key)
