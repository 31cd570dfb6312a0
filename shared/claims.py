"""What a tick does to the ledger, in one transaction and a fixed number of statements."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.due import Due, beyond_reach, candidates
from shared.jobs import Job
from shared.ledger import INVOCATION_MAX, LEASE, patience
from shared.messages import Shard
from shared.ports import Backlog, Ports, Row
from shared.statements import SQL
from shared.windows import CATCH_UP_AGE_MAX, CATCH_UP_WINDOWS_MAX, Schedule, Window

SHARDS_MAX = 256  # missing shards that a tick sends again; the next tick sends more
# By so much two machines' clocks may differ, and a message's time from that of its row.
CLOCKS_DIFFER = timedelta(minutes=2)

Scheduled = dict[str, tuple[Job, Schedule]]


@dataclass(frozen=True)
class Claim:
    """What a tick has to send, and to report: windows newly overdue, windows skipped, schedules
    that have recovered. `at` is when it was made, as its rows have it."""

    at: datetime
    due: list[Due]
    late: list[Row]
    skipped: list[Row]
    recovered: list[Row]


def claim(jobs: Iterable[Job], tick: datetime, backlog: Backlog | None, ports: Ports) -> Claim:
    """Claim the due windows and the missing shards, record what is skipped, mark what is overdue:
    all of it or nothing."""
    known = {job.type: (job, job.schedule) for job in jobs if job.schedule}
    now = max(tick, ports.clock())  # a tick may come late: a lease lasts from when it is given
    with ports.db.transaction():
        schedules = ports.db.rows(
            SQL["open_schedules"],
            job_types=list(known),
            beginnings=[schedule.beginning(tick) for _, schedule in known.values()],
            now=tick,
        )
        running = [row for row in schedules if not row["paused"]]
        wanted = [due for row in running for due in candidates(*known[row["job_type"]], row, tick)]
        times = _times(known, now, backlog)
        types = [row["job_type"] for row in running]
        windows = ports.db.rows(
            SQL["claim_windows"],
            **_columns(wanted),
            **times,
            running=types,
            most=CATCH_UP_WINDOWS_MAX,
        )
        shards = ports.db.rows(
            SQL["claim_shards"],
            **times,
            running=types,
            oldest=now - CATCH_UP_AGE_MAX,
            most=SHARDS_MAX,
        )
        skipped = _skip(running, known, tick, now, ports)
        late = _mark_overdue(types, known, skipped, tick, now, ports)
        recovered = _note_recovered(types, known, tick, now, ports)
    order = {(due.job.type, due.window): place for place, due in enumerate(wanted)}
    due = [_due(row, known) for row in windows + shards]
    due.sort(key=lambda one: order.get((one.job.type, one.window), len(order)))
    return Claim(now, due, late, skipped, recovered)


def release(claimed: Claim, ports: Ports) -> None:
    """Give up a claim whose messages the queue refused, so that the next tick sends them."""
    columns = _columns(claimed.due)
    with ports.db.transaction():
        ports.db.execute(
            SQL["release_claims"],
            job_types=columns["job_types"],
            starts=columns["starts"],
            ends=columns["ends"],
            shards=[one.shard.key if one.shard else "" for one in claimed.due],
            now=claimed.at,
        )


def window_of(row: Row) -> Window:
    """The window of a row of the ledger."""
    return Window(row["window_start"], row["window_end"])


def _due(row: Row, known: Scheduled) -> Due:
    shard = Shard.model_validate(row["shard_data"]) if row["shard"] else None
    return Due(*known[row["job_type"]], window_of(row), row["trigger"], shard)


def _times(known: Scheduled, now: datetime, backlog: Backlog | None) -> dict[str, Any]:
    """When a row may be sent again: after its own interval, or once its message is known to be
    gone. A message that some consumer holds is not in every queue's backlog: no consumer holds one
    for longer than an invocation."""
    gone_before = None
    if backlog and backlog.count == 0:
        gone_before = now
    elif backlog and backlog.oldest_at:
        gone_before = backlog.oldest_at - CLOCKS_DIFFER
    return {
        "now": now,
        "settled": now - INVOCATION_MAX,
        "gone_before": gone_before,
        **patience([kind for kind, (_, schedule) in known.items() if schedule.is_about_now]),
    }


def _skip(
    running: list[Row], known: Scheduled, tick: datetime, now: datetime, ports: Ports
) -> list[Row]:
    """Give windows too many or too old to catch up a row that says so. Those to report: not those
    of a job that acts on what there is now."""
    skipped: list[Due] = []
    recorded_until: list[datetime] = []
    for row in running:
        due, until = beyond_reach(*known[row["job_type"]], row["recorded_until"], tick)
        skipped += due
        recorded_until.append(until)
    types = [row["job_type"] for row in running]
    recorded = ports.db.rows(SQL["record_skipped"], **_columns(skipped), now=now)
    abandoned = ports.db.rows(
        SQL["abandon_windows"],
        job_types=types,
        bounds=[known[kind][1].catch_up_start(tick) for kind in types],
        about_now=[kind for kind in types if known[kind][1].is_about_now],
        now=now,
        settled=now - LEASE,
        oldest=now - CATCH_UP_AGE_MAX,
    )
    ports.db.execute(SQL["advance_watermarks"], job_types=types, recorded=recorded_until)
    return [row for row in recorded + abandoned if not known[row["job_type"]][1].is_about_now]


def _mark_overdue(
    types: list[str],
    known: Scheduled,
    skipped: list[Row],
    tick: datetime,
    now: datetime,
    ports: Ports,
) -> list[Row]:
    """The windows that are past their grace since the last tick, each once."""
    schedules = [known[kind][1] for kind in types]
    missed = Counter(row["job_type"] for row in skipped)
    return ports.db.rows(
        SQL["mark_overdue"],
        job_types=types,
        planned_until=[tick - schedule.grace for schedule in schedules],
        bounds=[
            now - CATCH_UP_AGE_MAX if schedule.is_about_now else schedule.catch_up_start(tick)
            for schedule in schedules
        ],
        skipped=[missed[kind] for kind in types],
        now=now,
    )


def _note_recovered(
    types: list[str], known: Scheduled, tick: datetime, now: datetime, ports: Ports
) -> list[Row]:
    schedules = [known[kind][1] for kind in types]
    return ports.db.rows(
        SQL["note_recovered"],
        job_types=types,
        newest=[schedule.newest_due(tick - schedule.grace).start for schedule in schedules],
        now=now,
    )


def _columns(due: Iterable[Due]) -> dict[str, list[Any]]:
    """The windows as the arrays that the statements unnest."""
    rows = list(due)
    return {
        "job_types": [one.job.type for one in rows],
        "starts": [one.window.start for one in rows],
        "ends": [one.window.end for one in rows],
        "planned": [one.planned for one in rows],
        "triggers": [one.trigger for one in rows],
    }
