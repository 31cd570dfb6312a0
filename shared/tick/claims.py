"""A tick's changes to the ledger, in one transaction and a fixed number of statements."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.jobs import WindowJob
from shared.ledger.ledger import INVOCATION_MAX, LEASE, patience
from shared.messages import Shard
from shared.ports import Backlog, Ports, Row
from shared.sql.statements import SQL
from shared.tick.due import Due, beyond_reach, candidates
from shared.windows import CATCH_UP_AGE_MAX, CATCH_UP_WINDOWS_MAX, Schedule, Window

SHARDS_MAX = 256  # missing shards that a tick sends again; the next tick sends more
# The allowed difference between two machines' clocks, and between the times of a message and its
# row.
CLOCKS_DIFFER = timedelta(minutes=2)

Scheduled = dict[str, tuple[WindowJob, Schedule]]


@dataclass(frozen=True)
class Claim:
    """The messages and findings of a tick: newly overdue windows, skipped windows, recovered
    schedules. `at` is the time of its rows. `is_first_of_hour`: no tick has examined these jobs
    since the hour began.
    """

    at: datetime
    is_first_of_hour: bool
    due: list[Due]
    late: list[Row]
    skipped: list[Row]
    recovered: list[Row]


def claim(
    jobs: Iterable[WindowJob], tick: datetime, backlog: Backlog | None, ports: Ports
) -> Claim:
    """Claim the due windows and the missing shards, record skipped windows, mark overdue schedules:
    all or nothing.
    """
    scheduled = {job.type: (job, job.schedule) for job in jobs}
    now = max(tick, ports.clock())  # of a late tick: a lease begins when it is given
    with ports.db.transaction():
        schedules = ports.db.rows(
            SQL["open_schedules"],
            job_types=list(scheduled),
            beginnings=[schedule.beginning(tick) for _, schedule in scheduled.values()],
            now=tick,
        )
        running = [row for row in schedules if not row["paused"]]
        wanted = [
            due for row in running for due in candidates(*scheduled[row["job_type"]], row, tick)
        ]
        times = _times(scheduled, now, backlog)
        types = [row["job_type"] for row in running]
        rows = ports.db.rows(
            SQL["claim_runs"],
            **_columns(wanted),
            **times,
            running=types,
            oldest=now - CATCH_UP_AGE_MAX,
            windows_max=CATCH_UP_WINDOWS_MAX,
            shards_max=SHARDS_MAX,
        )
        skipped, recorded_until = _give_up(running, scheduled, tick, now, ports)
        late, recovered = _note_schedules(
            types, recorded_until, scheduled, skipped, tick, now, ports
        )
    due = _in_order([_due(row, scheduled) for row in rows], wanted)
    hour = tick.replace(minute=0, second=0, microsecond=0)
    is_first = all(row["recorded_until"] < hour for row in schedules)
    return Claim(now, is_first, due, late, skipped, recovered)


def release(claimed: Claim, ports: Ports) -> None:
    """Release a claim whose messages the queue refused, so that the next tick sends them."""
    columns = _columns(claimed.due)
    with ports.db.transaction():
        ports.db.execute(
            SQL["release_claims"],
            job_types=columns["job_types"],
            starts=columns["starts"],
            ends=columns["ends"],
            shards=[due.shard.key if due.shard else "" for due in claimed.due],
            now=claimed.at,
        )


def window_of(row: Row) -> Window:
    """Return the window of a ledger row."""
    return Window(row["window_start"], row["window_end"])


def _in_order(claimed: list[Due], wanted: list[Due]) -> list[Due]:
    """Return the wanted windows in their order, then older work by its window and shard."""
    order = {(due.job.type, due.window): place for place, due in enumerate(wanted)}

    def place(due: Due) -> tuple[int, datetime, str, int]:
        first = order.get((due.job.type, due.window), len(order))
        return first, due.window.start, due.job.type, due.shard.index if due.shard else 0

    return sorted(claimed, key=place)


def _due(row: Row, scheduled: Scheduled) -> Due:
    shard = Shard.model_validate(row["shard_data"]) if row["shard"] else None
    return Due(*scheduled[row["job_type"]], window_of(row), row["trigger"], shard)


def _times(scheduled: Scheduled, now: datetime, backlog: Backlog | None) -> dict[str, Any]:
    """Return the times at which a row may be sent again: after its own interval, or once its
    message is known to be gone. A message in a consumer's hands is not in every queue's backlog: no
    consumer holds one for longer than an invocation.
    """
    gone_before = None
    if backlog and backlog.count == 0:
        gone_before = now
    elif backlog and backlog.oldest_at:
        gone_before = backlog.oldest_at - CLOCKS_DIFFER
    return {
        "now": now,
        "settled": now - INVOCATION_MAX,
        "gone_before": gone_before,
        **patience(
            [job_type for job_type, (_, schedule) in scheduled.items() if schedule.is_about_now]
        ),
    }


def _give_up(
    running: list[Row], scheduled: Scheduled, tick: datetime, now: datetime, ports: Ports
) -> tuple[list[Row], list[datetime]]:
    """Record windows beyond the limits of catching up. Return those to report, without those of
    jobs that act on the current state, and each schedule's watermark after them.
    """
    unrecorded: list[Due] = []
    recorded_until: list[datetime] = []
    for row in running:
        due, until = beyond_reach(*scheduled[row["job_type"]], row["recorded_until"], tick)
        unrecorded += due
        recorded_until.append(until)
    types = [row["job_type"] for row in running]
    skipped = ports.db.rows(
        SQL["give_up_windows"],
        **_columns(unrecorded),
        running=types,
        bounds=[scheduled[job_type][1].catch_up_start(tick) for job_type in types],
        about_now=[job_type for job_type in types if scheduled[job_type][1].is_about_now],
        now=now,
        settled=now - LEASE,
        oldest=now - CATCH_UP_AGE_MAX,
    )
    reported = [row for row in skipped if not scheduled[row["job_type"]][1].is_about_now]
    return reported, recorded_until


def _note_schedules(
    types: list[str],
    recorded_until: list[datetime],
    scheduled: Scheduled,
    skipped: list[Row],
    tick: datetime,
    now: datetime,
    ports: Ports,
) -> tuple[list[Row], list[Row]]:
    """Return the windows that have exceeded their grace since the last tick, each once, and the
    recovered schedules.
    """
    schedules = [scheduled[job_type][1] for job_type in types]
    missed = Counter(row["job_type"] for row in skipped)
    rows = ports.db.rows(
        SQL["note_schedules"],
        job_types=types,
        recorded=recorded_until,
        planned_until=[tick - schedule.grace for schedule in schedules],
        bounds=[
            now - CATCH_UP_AGE_MAX if schedule.is_about_now else schedule.catch_up_start(tick)
            for schedule in schedules
        ],
        newest=[schedule.newest_due(tick - schedule.grace).start for schedule in schedules],
        skipped=[missed[job_type] for job_type in types],
        now=now,
    )
    return (
        [row for row in rows if not row["overdue_since"]],
        [row for row in rows if row["overdue_since"]],
    )


def _columns(due: Iterable[Due]) -> dict[str, list[Any]]:
    """Return the windows as the arrays that the statements unnest."""
    rows = list(due)
    return {
        "job_types": [due.job.type for due in rows],
        "starts": [due.window.start for due in rows],
        "ends": [due.window.end for due in rows],
        "planned": [due.planned for due in rows],
        "triggers": [due.trigger for due in rows],
    }
