"""Which executions are stale, and that no other is touched."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from journeys.jobs.stale_execution_cleanup import JOB
from shared.jobs import Run
from shared.outcome import Done, Sharded
from shared.ports import Ports
from shared.windows import day_before
from tests.workers.journeys.stage import NOW, Journey, Stage, org, person

PLANNED = datetime(2026, 3, 20, 3, tzinfo=UTC)
T = datetime(2026, 3, 20, tzinfo=UTC)
GATE: Any = {"gate": ("gate", {"eventType": "form_submitted", "timeout": 24})}


def clean_up(stage: Stage, planned: datetime = PLANNED) -> Done | Sharded:
    stage.outside.now = max(stage.now, planned)

    async def work(ports: Ports) -> Done | Sharded:
        return await JOB.handler(Run(day_before(planned), planned, None, ports, "cron"))

    found: Done | Sharded = stage.run(work)
    return found


def succeeded(stage: Stage, *days: datetime) -> None:
    for day in days:
        stage.db.execute(
            "insert into ops.job_runs (job_type, window_start, window_end, status, trigger,"
            " scheduled_for) values ('journey.wake-due', :at, :end, 'succeeded', 'cron', :at)",
            at=day, end=day + timedelta(minutes=5),
        )  # fmt: skip


DAYS = [T - timedelta(days=n, hours=-7) for n in range(1, 8)]


def set_execution(stage: Stage, **columns: Any) -> None:
    for name, value in columns.items():
        stage.db.execute(f"update journey.journey_executions set {name} = :value", value=value)


@pytest.fixture
def stuck(stage: Stage) -> Journey:
    """An execution that has lost its wake-up, in a journey that has long been active."""
    stage.contact()
    journey = stage.journey({"rest": ("delay", {"duration": 1, "unit": "days"})}, [])
    stage.enroll(journey, 1)
    stage.deliver()
    set_execution(stage, wake_at=None, wake_queued_until=None)
    stage.db.execute(
        "update journey.journeys set status_changed_at = :at", at=NOW - timedelta(days=9)
    )
    succeeded(stage, *DAYS)
    return journey


def test_a_stale_execution_is_canceled_once_and_its_contact_has_left(
    stage: Stage, stuck: Journey
) -> None:
    assert clean_up(stage) == Done(1, 1)
    row = stage.execution(stuck)
    assert (row["status"], row["exit_reason"], row["completed_at"]) == ("canceled", "stale", T)
    assert stage.visits(stuck) == ["rest (skipped)"]
    [entrant] = stage.db.rows("select active_execution_id, last_left_at from journey.entrants")
    assert entrant == {"active_execution_id": None, "last_left_at": T}
    [log] = stage.db.rows("select level, code, metadata from journey.execution_logs")
    assert (log["level"], log["code"]) == ("warn", "stale_canceled")
    assert log["metadata"] | {"journeyActiveSince": ""} == {
        "lastProgressAt": "2026-03-10T11:00:00+00:00",
        "currentStepId": str(stuck.steps["rest"]),
        "wakeAt": None,
        "wakeQueuedUntil": None,
        "journeyActiveSince": "",
        "openWaits": 0,
        "openMessages": 0,
        "daysOfWakeDue": 7,
    }
    [event] = stage.outside.named("journey.stale_canceled")
    assert (event["organization_id"], event["count"]) == (str(org()), 1)
    assert len(stage.outside.named("journey.many_stale")) == 1  # all of its executions
    assert clean_up(stage) == Done(0, 0)


def open_message(stage: Stage) -> None:
    stage.db.execute(
        "insert into delivery.messages (organization_id, idempotency_key, channel, contact_id,"
        " journey_execution_id, expires_at) select organization_id, 'k', 'email', contact_id, id,"
        " 'infinity' from journey.journey_executions"
    )


def wait_until(until: datetime | None) -> Callable[[Stage], object]:
    return lambda stage: stage.db.execute(
        "insert into journey.waits select id, seq, organization_id, contact_id, 'x', 'contact',"
        " started_at, cast(:until as timestamptz) from journey.journey_executions",
        until=until,
    )


def columns(**values: Any) -> Callable[[Stage], None]:
    return lambda stage: set_execution(stage, **values)


def active_since(at: datetime) -> Callable[[Stage], object]:
    return lambda stage: stage.db.execute(
        "update journey.journeys set status_changed_at = :at", at=at
    )


WEEK_AGO = T - timedelta(days=7)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(columns(last_progress_at=WEEK_AGO), id="it has moved"),
        pytest.param(columns(wake_at=WEEK_AGO), id="it was due within these days"),
        pytest.param(columns(wake_at=T + timedelta(days=30)), id="it waits for a time"),
        pytest.param(
            columns(wake_queued_until=PLANNED + timedelta(minutes=1)), id="a message is on its way"
        ),
        pytest.param(columns(status="completed"), id="it has ended"),
        pytest.param(wait_until(WEEK_AGO), id="it waits for an event"),
        pytest.param(wait_until(None), id="it waits for an event without a deadline"),
        pytest.param(open_message, id="a message of it is open"),
        pytest.param(active_since(WEEK_AGO), id="its journey was resumed"),
        pytest.param(
            lambda stage: stage.db.execute("update journey.journeys set status = 'paused'"),
            id="its journey is paused",
        ),
        pytest.param(
            lambda stage: stage.db.execute(
                "update ops.job_runs set status = 'dead' where window_start = :day", day=DAYS[3]
            ),
            id="nothing woke executions for a day",
        ),
    ],
)
def test_an_execution_that_may_move_is_not_touched(
    stage: Stage, stuck: Journey, change: Callable[[Stage], Any]
) -> None:
    change(stage)
    before = stage.execution(stuck)
    assert clean_up(stage) == Done(0, 0)
    assert stage.execution(stuck) == before


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(columns(wake_at=WEEK_AGO - SECOND), id="overdue for seven days"),
        pytest.param(wait_until(WEEK_AGO - SECOND), id="a deadline that nothing has read"),
        pytest.param(columns(wake_queued_until=PLANNED - SECOND), id="a message that was lost"),
    ],
)
def test_what_is_long_past_protects_no_execution(
    stage: Stage, stuck: Journey, change: Callable[[Stage], Any]
) -> None:
    change(stage)
    assert clean_up(stage) == Done(1, 1)


def test_a_few_of_many_are_no_alert(stage: Stage, stuck: Journey) -> None:
    for number in range(2, 102):
        stage.db.execute(
            "insert into journey.journey_executions"
            " (journey_id, organization_id, contact_id, wake_at)"
            " values (:journey, :org, :who, :at)",
            journey=uuid4(), org=org(), who=person(number), at=T + timedelta(days=1),
        )  # fmt: skip
    assert clean_up(stage) == Done(1, 1)
    assert stage.outside.named("journey.many_stale") == []


def test_a_journey_of_fourteen_days_survives_every_night(stage: Stage) -> None:
    """With the ticks of each day, and a cleanup each night."""
    stage.contact()
    journey = stage.journey(
        {
            "rest": ("delay", {"duration": 10, "unit": "days"}),
            "gate": ("gate", {"eventType": "form_submitted", "timeout": 96}),
        },
        [("rest", "", "gate")],
    )
    stage.db.execute(
        "update journey.journeys set status_changed_at = :at", at=NOW - timedelta(days=30)
    )
    stage.enroll(journey, 1)
    for _ in range(14):
        stage.pass_time(days=1)
        at = stage.now
        night = at.replace(hour=3) + timedelta(days=1)
        succeeded(stage, at)
        assert clean_up(stage, night) == Done(0, 0)
        stage.outside.now = at
    assert stage.visits(journey) == ["rest", "gate:no"]
