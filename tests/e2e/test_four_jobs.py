"""The four jobs on the real runtime: by cron, by hand, by backfill, after three days' outage."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from tests.clock import pass_the_hour
from tests.e2e import oracle
from tests.e2e.oracle import Counts, between
from tests.e2e.sabotage import Sabotaged
from tests.e2e.system import HOURLY, System
from tests.mauntic.harness import Answer, Cli
from tests.workers.analytics.history import History

pytestmark = pytest.mark.e2e

AGGREGATE, REPORT = "analytics.aggregate-hourly", "analytics.generate-daily-reports"
USAGE, RESET = "analytics.generate-monthly-usage", "analytics.reset-warmup-daily"
CRONS = {RESET: "0 0 * * *", REPORT: "0 2 * * *", USAGE: "0 3 1 * *"}

MARCH, APRIL = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CAMPAIGNS = [str(UUID(int=70 + n)) for n in range(2)]
KINDS = [f"email_{name}" for name in oracle.COUNTED]
GONE = "00000000-0000-0000-0000-000000000009/gone.example/00"  # a domain that does not exist


def counter(day: datetime) -> str:
    return f"warmup/daily/{day.date()}/{GONE}"


@pytest.fixture
def history(system: System) -> Iterator[History]:
    history = History(system.server.url)
    with closing(history.db):
        yield history


def happen(history: History, start: datetime, end: datetime, count: int) -> None:
    """Events at random times: two organizations, few contacts, valid and invalid sources."""
    rng = random.Random(20260401)
    sources = [*CAMPAIGNS, None, "newsletter"]
    for _ in range(count):
        when = start + rng.random() * (end - start)
        history.add(
            rng.randint(1, 2), rng.randrange(4), rng.choice(KINDS), rng.choice(sources), when
        )


def rollups(system: System) -> Counts:
    found = system.rows("select * from analytics.daily_aggregates")
    return {
        (row["organization_id"], row["date"], row["event_type"]): (
            row["count"],
            row["unique_count"],
        )
        for row in found
    }


def usage(system: System) -> Counts:
    found = system.rows(
        "select * from analytics.event_aggregates where event_type like 'monthly:%'"
        " and channel = 'monthly_summary'"
    )
    return {
        (row["organization_id"], row["date"], row["event_type"].removeprefix("monthly:")): (
            row["count"],
            row["unique_count"],
        )
        for row in found
    }


def reports(system: System) -> Counts:
    found = system.rows("select * from analytics.campaign_daily_stats")
    return {
        (row["campaign_id"], row["organization_id"], row["date"]): oracle.figures(row)
        for row in found
    }


def runs(system: System) -> set[tuple[str, str, str]]:
    """Return which jobs have run, with trigger and result."""
    found = system.rows("select distinct job_type, trigger, status from ops.job_runs")
    return {(row["job_type"], row["trigger"], row["status"]) for row in found}


def all_jobs(trigger: str) -> set[tuple[str, str, str]]:
    return {(job, trigger, "succeeded") for job in (AGGREGATE, REPORT, USAGE, RESET)}


def test_by_cron(system: System, history: History) -> None:
    """Fire every tick of the night at the end of a month."""
    start, end = APRIL - 4 * HOUR, APRIL + 3 * HOUR
    happen(history, start, end, 80)
    system.put(counter(APRIL - DAY), counter(APRIL))
    for hour in range(8):
        tick = start + hour * HOUR
        system.tick(tick, HOURLY)
        for cron in [cron for cron in CRONS.values() if int(cron.split()[1]) == tick.hour]:
            system.tick(tick, cron)
        system.settle()
    assert rollups(system) == oracle.rollups(history.events)
    assert reports(system) == oracle.reports(between(history.events, MARCH, APRIL))
    assert usage(system) == oracle.usage(between(history.events, MARCH, APRIL))
    assert system.keys() == [counter(APRIL)]
    assert runs(system) == all_jobs("cron")
    assert len(system.rows("select 1 from ops.job_runs where job_type = :t", t=AGGREGATE)) == 8


def test_by_hand(system: System, history: History) -> None:
    """A message with only a type means the last complete window before it was sent."""
    pass_the_hour(margin_s=120)
    now = datetime.now(UTC)
    past_month = (now.replace(day=1) - DAY).replace(day=10, hour=5, minute=0, second=0)
    for contact in (1, 1, 2):
        history.add(1, contact, "email_opened", None, past_month + HOUR / 2)
    for ago, contact in ((0 * HOUR, 1), (HOUR, 1), (HOUR, 1), (HOUR, 2)):
        history.add(1, contact, "page_visited", None, now - ago)
    for _ in range(2):
        history.add(1, 3, "email_clicked", CAMPAIGNS[0], now - DAY)
    undated = f"warmup/daily/{GONE.removesuffix('/00')}"  # written today, so it counts today
    system.put(counter(now - DAY), counter(now + DAY), undated)
    system.send({"type": AGGREGATE, "scheduledFor": (past_month + HOUR).isoformat()})
    system.settle()
    system.send({"type": AGGREGATE}, {"type": REPORT}, {"type": "analytics.monthly-usage-summary"})
    system.send({"type": "analytics.warmup-daily-reset"})
    system.settle()
    hours = windows(system, AGGREGATE)
    assert now - HOUR < hours[-1][1] <= datetime.now(UTC)
    assert rollups(system) == oracle.rollups(
        one
        for start, end in hours  # each the first of its day, which is booked from its midnight
        for one in between(history.events, start.replace(hour=0), end)
    )
    [(_, day_end)] = windows(system, REPORT)
    assert reports(system) == oracle.reports(between(history.events, day_end - 3 * DAY, day_end))
    assert reports(system) != {}
    opened = {key: counts for key, counts in usage(system).items() if key[2] == "email_opened"}
    assert opened == {(UUID(int=1), past_month.date().replace(day=1), "email_opened"): (3, 2)}
    assert system.keys() == [undated, counter(now + DAY)]
    assert runs(system) == all_jobs("manual")


def windows(system: System, job: str, status: str = "succeeded") -> list[tuple[datetime, datetime]]:
    """Return the job's windows with that status, oldest first."""
    found = system.rows(
        "select window_start, window_end from ops.job_runs"
        " where job_type = :job and status = :status order by window_start",
        job=job,
        status=status,
    )
    return [(row["window_start"], row["window_end"]) for row in found]


class Operator:
    """A person at a terminal, with that running system."""

    def __init__(self, system: System, cli: Cli, patch: pytest.MonkeyPatch) -> None:
        self._cli = cli
        patch.setenv("DATABASE_URL", system.server.url)
        patch.setenv("MAUNTIC_CONTROL_URL", system.control.url)
        patch.setenv("MAUNTIC_CONTROL_TOKEN", system.control.token)

    def backfill(self, job: str, start: datetime, end: datetime, *more: str) -> Answer:
        span = ("--from", start.isoformat(), "--to", end.isoformat())
        answer = self._cli("backfill", job, *span, "--json", *more)
        assert answer.code == 0, answer
        return answer


def test_by_backfill(
    system: System,
    history: History,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    operator = Operator(system, Cli(monkeypatch, capsys), monkeypatch)
    day = APRIL - DAY
    happen(history, day, APRIL, 80)
    system.put(counter(day), counter(APRIL))
    assert operator.backfill(AGGREGATE, day, APRIL).json["succeeded"] == 24
    for job, start in ((REPORT, day), (RESET, day), (USAGE, MARCH)):
        assert operator.backfill(job, start, APRIL).json["succeeded"] == 1
    assert rollups(system) == oracle.rollups(history.events)
    assert reports(system) == oracle.reports(history.events)
    assert usage(system) == oracle.usage(history.events)
    assert system.keys() == [counter(APRIL)]
    assert runs(system) == all_jobs("backfill")


def test_after_an_outage_of_three_days(
    sabotaged: Sabotaged, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One tick catches up what is within the limits and reports the rest, which a backfill runs.
    (Nothing is sabotaged: this system's retries wait a second at most.)
    """
    system = sabotaged.system
    before, after = APRIL - 28 * HOUR, APRIL + 46 * HOUR
    history = History(system.server.url)
    happen(history, before - HOUR, after, 150)
    system.put(*(counter(APRIL + n * DAY) for n in (-2, -1, 0, 1)))
    system.tick(before)
    system.settle()
    system.tick(after)
    system.settle()
    hours = windows(system, AGGREGATE)
    assert [end for _, end in hours] == [before, *(after - n * HOUR for n in range(47, -1, -1))]
    [reported] = system.logged("dispatch.skipped")
    assert (reported["type"], reported["count"]) == (AGGREGATE, 26)
    skipped = windows(system, AGGREGATE, "skipped")
    assert [start for start, _ in skipped] == [before + n * HOUR for n in range(26)]
    assert [len(windows(system, job)) for job in (REPORT, RESET, USAGE)] == [3, 3, 1]
    assert reports(system) == oracle.reports(between(history.events, MARCH, APRIL + DAY))
    assert system.keys() == [counter(APRIL + DAY)]

    operator = Operator(system, Cli(monkeypatch, capsys), monkeypatch)
    assert operator.backfill(AGGREGATE, before, after).json["succeeded"] == 26
    assert operator.backfill(USAGE, MARCH, APRIL, "--only", "all").json["succeeded"] == 1
    assert rollups(system) == oracle.rollups(history.events)
    assert usage(system) == oracle.usage(between(history.events, MARCH, APRIL))
    history.db.close()
