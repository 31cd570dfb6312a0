-- name: job_states
-- The state of each schedule: its last success, and the status of the newest window past its grace. A window from
-- before the schedule's first tick does not count as missed, nor does a window without a row of a job that acts on the
-- current state: another window did its work.
select job.job_type, coalesce(schedule.paused, false) as paused, schedule.note,
    schedule.changed_by, schedule.changed_at, schedule.starts_at,
    success.window_end as succeeded_until, success.finished_at as last_success_at,
    success.window_start as succeeded_from, due.status as due_status,
    coalesce(schedule.starts_at <= job.due_start, false)
    and due.status is distinct from 'succeeded' and due.status is distinct from 'skipped'
    and (due.status is not null or not job.by_row) as overdue,
    (
        select count(*) from ops.job_runs as run
        where run.job_type = job.job_type and run.shard = '' and run.status not in ('succeeded', 'skipped')
    ) as unfinished
from unnest(
    cast(:job_types as text[]), cast(:due_starts as timestamptz[]), cast(:due_ends as timestamptz[]),
    cast(:by_row as boolean[])
) as job (job_type, due_start, due_end, by_row)
left join ops.schedules as schedule using (job_type)
left join ops.job_runs as due
    on due.job_type = job.job_type and due.window_start = job.due_start and due.window_end = job.due_end
    and due.shard = ''
left join lateral (
    select window_start, window_end, finished_at
    from ops.job_runs as run
    where run.job_type = job.job_type and run.shard = '' and run.status = 'succeeded'
    order by window_end desc
    limit 1
) as success on true

-- name: set_paused
-- Pause or resume a schedule, with operator and reason. Repeating a pause changes nothing except a new note.
insert into ops.schedules as known (job_type, paused, note, changed_by, changed_at)
values (:job_type, :paused, :note, :by, :now)
on conflict (job_type) do update set
    paused = excluded.paused,
    note = excluded.note,
    changed_by = excluded.changed_by,
    changed_at = excluded.changed_at
where known.paused <> excluded.paused or excluded.note <> coalesce(known.note, '')
returning known.job_type

-- name: select_runs
-- Runs that all given filters match, newest window first; a filter that is null matches all.
select job_type, window_start, window_end, shard, status, trigger, attempts, queued_at, started_at, finished_at,
    cast(extract(epoch from finished_at - started_at) as double precision) as seconds, rows_read, rows_written, error_class, error_text
from ops.job_runs
where (cast(:job_type as text) is null or job_type = cast(:job_type as text))
    and (cast(:statuses as text[]) is null or status = any(cast(:statuses as text[])))
    and (cast(:ends_after as timestamptz) is null or window_end > cast(:ends_after as timestamptz))
    and (shard = '' or cast(:with_shards as boolean))
order by window_end desc, job_type, window_start, shard
limit cast(:limit as bigint)

-- name: show_run
-- The ledger's rows of one window: the window, then its shards.
select *
from ops.job_runs
where job_type = :job_type and window_start = :window_start and window_end = :window_end
order by shard

-- name: window_states
-- The status of some windows of a job.
select window_start, window_end, status, attempts, fencing_token, lease_until, rows_read, rows_written,
    error_class, error_text
from ops.job_runs
where job_type = :job_type and shard = '' and window_start = any(cast(:starts as timestamptz[]))

-- name: claim_backfill
-- Queue windows for a backfill: those without a row, and those with a requested status. A window that is running, or
-- whose message or retry is pending, is not changed. Each claimed window is returned with its previous row.
with before as (
    select window_start, window_end, status, trigger, queued_at, lease_until
    from ops.job_runs
    where job_type = :job_type and shard = '' and window_start = any(cast(:starts as timestamptz[]))
    for update
)
insert into ops.job_runs as run (
    job_type, window_start, window_end, status, trigger, scheduled_for, queued_at, lease_until
)
select :job_type, due.window_start, due.window_end, 'queued', 'backfill', due.planned, :now, :lease_until
from unnest(
    cast(:starts as timestamptz[]), cast(:ends as timestamptz[]), cast(:planned as timestamptz[])
) as due (window_start, window_end, planned)
where (select count(*) from before) >= 0 -- reads all of them before the first row is written
on conflict (job_type, window_start, window_end, shard) do update set
    status = 'queued',
    trigger = 'backfill',
    queued_at = excluded.queued_at,
    lease_until = excluded.lease_until
where run.status = any(cast(:statuses as text[]))
    and not coalesce(run.status in ('queued', 'running', 'sharded', 'failed') and run.lease_until > :now, false)
returning run.window_start, run.window_end, (
    select to_jsonb(before) from before
    where before.window_start = run.window_start and before.window_end = run.window_end
) as before

-- name: release_backfill
-- Restore windows to their state before a claim whose messages could not be sent. A window that was taken since then is
-- not changed.
with before as (
    select claim.window_start, claim.window_end, known.*
    from unnest(
        cast(:starts as timestamptz[]), cast(:ends as timestamptz[]), cast(:befores as jsonb[])
    ) as claim (window_start, window_end, before)
    cross join jsonb_to_record(coalesce(claim.before, '{}')) as known (
        status text, trigger text, queued_at timestamptz, lease_until timestamptz
    )
),
gone as (
    delete from ops.job_runs as run
    using before
    where run.job_type = :job_type and run.shard = '' and run.status = 'queued' and run.queued_at = :claimed_at
        and run.window_start = before.window_start and run.window_end = before.window_end
        and before.status is null
)
update ops.job_runs as run set
    status = before.status,
    trigger = before.trigger,
    queued_at = before.queued_at,
    lease_until = before.lease_until
from before
where run.job_type = :job_type and run.shard = '' and run.status = 'queued' and run.queued_at = :claimed_at
    and run.window_start = before.window_start and run.window_end = before.window_end
    and before.status is not null
