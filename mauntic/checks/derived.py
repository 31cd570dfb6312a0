"""Recount every derived table and compare it with its source.

Each problem names the command that corrects it. Days and months before an organization's retained
period are skipped: their source is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from mauntic.checks import Problem
from mauntic.operations.statements import SQL
from mauntic.project.printable import count_of
from shared.ports import Database, Row
from shared.windows import Schedule, Window, day_before, month_before

DAY = timedelta(days=1)
CONTACTS = 50_000  # per statement that computes scores
ORGANIZATIONS_NAMED = 3  # for more, the remedy recomputes all scores
# Copies of the jobs' schedules. The jobs are not imported: a worker that cannot be imported must
# not end the command.
DAILY = Schedule("0 2 * * *", window_of=day_before, grace=timedelta(hours=2))
MONTHLY = Schedule("0 3 1 * *", window_of=month_before, grace=timedelta(hours=6))


@dataclass(frozen=True)
class Derived:
    """A derived table: the JSON name of its differences, the statement, and the remedy."""

    name: str
    subject: str
    row: str
    source: str
    statement: str
    remedy: Callable[[Sequence[Row]], str]

    def problem(self, rows: Sequence[Row]) -> Problem:
        """Describe all differing rows in one sentence."""
        days = {row["date"] for row in rows if "date" in row}
        of_days = f" of {count_of(len(days), 'day')}" if days else ""
        verb, whose = ("differs", "its") if len(rows) == 1 else ("differ", "their")
        sentence = f"{count_of(len(rows), self.row)}{of_days} {verb} from {whose} {self.source}"
        return Problem(AREAS[self.name], self.subject, f"{sentence}: {self.remedy(rows)}")


def days_again(job: str) -> Callable[[Sequence[Row]], str]:
    """Return the command that reruns a job's windows from the first day to the last."""

    def remedy(rows: Sequence[Row]) -> str:
        first, last = _span(rows)
        return f"mauntic backfill {job} --from {first} --to {last + DAY} --only all"

    return remedy


def months_again(rows: Sequence[Row]) -> str:
    """Return the command that sums the months again."""
    first, last = _span(rows)
    until = (last + timedelta(days=32)).replace(day=1)
    job = "analytics.generate-monthly-usage"
    return f"mauntic backfill {job} --from {first} --to {until} --only all"


def scores_again(rows: Sequence[Row]) -> str:
    """Return the commands that recompute the scores."""
    organizations = sorted({str(row["organization_id"]) for row in rows})
    commands = [f"mauntic scores recompute --organization {id_}" for id_ in organizations]
    if len(organizations) > ORGANIZATIONS_NAMED:
        commands = ["mauntic scores recompute --all --yes"]
    return " && ".join([*commands, "mauntic jobs run scoring.BatchRecompute"])


def _span(rows: Sequence[Row]) -> tuple[date, date]:
    return min(row["date"] for row in rows), max(row["date"] for row in rows)


ROLLUPS = Derived(
    "differences", "analytics.event_aggregates", "rollup", "events",
    "rollup_differences", days_again("analytics.aggregate-hourly"),
)  # fmt: skip
CAMPAIGNS = Derived(
    "campaigns", "analytics.campaign_daily_stats", "figure", "events",
    "campaign_differences", days_again("analytics.generate-daily-reports"),
)  # fmt: skip
USAGE = Derived(
    "usage", "analytics.event_aggregates", "monthly row", "events",
    "usage_differences", months_again,
)  # fmt: skip
SCORES = Derived(
    "scores", "scoring.lead_scores", "score", "contacts, signals and events",
    "score_differences", scores_again,
)  # fmt: skip
TABLES = (ROLLUPS, CAMPAIGNS, USAGE, SCORES)
AREAS = {table.name: table.name for table in TABLES} | {ROLLUPS.name: "rollups"}
EQUAL = "equal_events"

Found = dict[str, list[Row]]


def differences(
    db: Database,
    start: datetime,
    end: datetime,
    now: datetime,
    advance: Callable[[int], None] = lambda days: None,
) -> Found:
    """Return the differing rows of each table for the days from `start` to `end`, both midnights.

    Compares campaigns of days whose report is due, usage of months that ended in these days and are
    due, and all scores. Runs one statement per day, month or portion of contacts, so that no
    statement grows with the range.
    """
    found: Found = {name: [] for name in (*AREAS, EQUAL)}
    day = start
    while day < end:
        span = {"start": day, "end": day + DAY}
        found[ROLLUPS.name] += db.rows(SQL[ROLLUPS.statement], **span)
        if is_due(DAILY, Window(day, day + DAY), now):
            found[CAMPAIGNS.name] += db.rows(SQL[CAMPAIGNS.statement], **span)
        found[EQUAL] += db.rows(SQL[EQUAL], **span)
        advance(1)
        day += DAY
    for month in MONTHLY.between(start.replace(day=1), end):
        if is_due(MONTHLY, month, now):
            span = {"start": month.start, "end": month.end}
            found[USAGE.name] += db.rows(SQL[USAGE.statement], **span)
    found[SCORES.name] += _score_differences(db)
    return found


def count_problems(db: Database, today: datetime, days: int) -> Iterator[Problem]:
    """Compare the event counts of rollups before yesterday with their events.

    Cheap, because distinct contacts are not counted.
    """
    rows: list[Row] = []
    for age in range(2, days + 1):
        day = today - age * DAY
        settled = today - DAY  # the hourly job has had a day for what came before
        span = {"start": day, "end": day + DAY, "settled": settled}
        rows += db.rows(SQL["count_differences"], **span)
    if rows:
        yield ROLLUPS.problem(rows)


def problems(found: Found) -> Iterator[Problem]:
    """Yield a problem per table with differences, in the order of correction."""
    for table in TABLES:
        if rows := found.get(table.name):
            yield table.problem(rows)
    if rows := found.get(EQUAL):
        surplus = count_of(sum(row["surplus"] for row in rows), "event")
        yield Problem(
            "events",
            "analytics.contact_activity",
            f"{surplus} with the contact, type, time and source of another event but a different"
            " id: if they were ingested twice, delete them; an event_id prevents it",
        )


def is_due(schedule: Schedule, window: Window, now: datetime) -> bool:
    """Return whether the window should have run by now."""
    return schedule.planned_for(window) + schedule.grace <= now


def _score_differences(db: Database) -> Iterator[Row]:
    organization = contact = UUID(int=0)
    while portion := db.rows(
        SQL[SCORES.statement], organization=organization, contact=contact, most=CONTACTS
    ):
        yield from (row for row in portion if row.pop("differs"))
        organization, contact = portion[-1]["organization_id"], portion[-1]["contact_id"]
