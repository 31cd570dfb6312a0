"""Whether every table that the jobs derive holds what its source says, counted again.

Each finding names the command that corrects it. Days and months before an organization's retained
period are left out: their source is gone.
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
CONTACTS = 50_000  # whose scores are computed in one statement
ORGANIZATIONS_NAMED = 3  # in one command; of more, all scores are computed
# As the jobs declare them. Those are not imported here: a worker that cannot be imported is a
# finding, and must not end the command.
DAILY = Schedule("0 2 * * *", window_of=day_before, grace=timedelta(hours=2))
MONTHLY = Schedule("0 3 1 * *", window_of=month_before, grace=timedelta(hours=6))


@dataclass(frozen=True)
class Derived:
    """A derived table: the name of its differing rows in the answer as JSON, the statement that
    finds them, and the command that corrects them."""

    name: str
    subject: str
    row: str
    source: str
    statement: str
    remedy: Callable[[Sequence[Row]], str]

    def problem(self, rows: Sequence[Row]) -> Problem:
        """One sentence about all rows that differ."""
        days = {row["date"] for row in rows if "date" in row}
        of_days = f" of {count_of(len(days), 'day')}" if days else ""
        verb, whose = ("differs", "its") if len(rows) == 1 else ("differ", "their")
        sentence = f"{count_of(len(rows), self.row)}{of_days} {verb} from {whose} {self.source}"
        return Problem(AREAS[self.name], self.subject, f"{sentence}: {self.remedy(rows)}")


def days_again(job: str) -> Callable[[Sequence[Row]], str]:
    """The command that runs a job's windows again, from the first of the days to the last."""

    def remedy(rows: Sequence[Row]) -> str:
        first, last = _span(rows)
        return f"mauntic backfill {job} --from {first} --to {last + DAY} --only all"

    return remedy


def months_again(rows: Sequence[Row]) -> str:
    """The command that sums the months again."""
    first, last = _span(rows)
    until = (last + timedelta(days=32)).replace(day=1)
    job = "analytics.generate-monthly-usage"
    return f"mauntic backfill {job} --from {first} --to {until} --only all"


def scores_again(rows: Sequence[Row]) -> str:
    """The commands that compute the scores again."""
    organizations = sorted({str(row["organization_id"]) for row in rows})
    asked = [f"mauntic scores recompute --organization {one}" for one in organizations]
    if len(organizations) > ORGANIZATIONS_NAMED:
        asked = ["mauntic scores recompute --all --yes"]
    return " && ".join([*asked, "mauntic jobs run scoring.BatchRecompute"])


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
    """The rows of each table that differ, of the days from `start` up to `end`, both midnights.

    Of campaigns the days whose report is due, of usage the months that ended in these days and are
    due; of scores all. One statement a day, a month or a portion of contacts, so that none grows
    with the range.
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
    """A problem where the counts of rollups are not those of their events, of the days before
    yesterday. It is cheap: the distinct contacts are not counted."""
    rows: list[Row] = []
    for age in range(2, days + 1):
        day = today - age * DAY
        settled = today - DAY  # the hourly job has had a day for what came before
        span = {"start": day, "end": day + DAY, "settled": settled}
        rows += db.rows(SQL["count_differences"], **span)
    if rows:
        yield ROLLUPS.problem(rows)


def problems(found: Found) -> Iterator[Problem]:
    """A problem for each table with rows that differ, in the order in which to correct them."""
    for table in TABLES:
        if rows := found.get(table.name):
            yield table.problem(rows)
    if rows := found.get(EQUAL):
        surplus = count_of(sum(row["surplus"] for row in rows), "event")
        yield Problem(
            "events",
            "analytics.contact_activity",
            f"{surplus} of the same contact, type, time and source as another, under an id of its"
            " own: if they were ingested twice, delete them; an event_id refuses the second",
        )


def is_due(schedule: Schedule, window: Window, now: datetime) -> bool:
    """Whether a window should have been run by now."""
    return schedule.planned_for(window) + schedule.grace <= now


def _score_differences(db: Database) -> Iterator[Row]:
    organization = contact = UUID(int=0)
    while portion := db.rows(
        SQL[SCORES.statement], organization=organization, contact=contact, most=CONTACTS
    ):
        yield from (row for row in portion if row.pop("differs"))
        organization, contact = portion[-1]["organization_id"], portion[-1]["contact_id"]
