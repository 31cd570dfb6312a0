-- name: open_schedules
-- The state of every schedule of a worker, locked so that ticks at the same moment go one after the
-- other. A schedule's first tick is where its history begins.
insert into ops.schedules as known (job_type, starts_at, recorded_until, changed_at)
select planned.job_type, planned.beginning, planned.beginning, :now
from unnest(cast(:job_types as text[]), cast(:beginnings as timestamptz[])) as planned (job_type, beginning)
order by planned.job_type
on conflict (job_type) do update set
    starts_at = coalesce(known.starts_at, excluded.starts_at),
    recorded_until = coalesce(known.recorded_until, excluded.recorded_until)
returning job_type, paused, starts_at, recorded_until

-- name: claim_windows
-- Queue the windows that are missing, and those whose last holder has not been heard of in time. Also,
-- however old, what an operator asked for and nobody answers for: at most :most of it. A window of a
-- job that acts on what there is now waits for an earlier one that is under way.
with due as (
    select job_type, window_start, window_end, planned, trigger
    from unnest(
        cast(:job_types as text[]), cast(:starts as timestamptz[]), cast(:ends as timestamptz[]),
        cast(:planned as timestamptz[]), cast(:triggers as text[]), cast(:alone as boolean[])
    ) as due (job_type, window_start, window_end, planned, trigger, alone)
    where not due.alone or not exists (
        select 1 from ops.job_runs as earlier
        where earlier.job_type = due.job_type and earlier.window_start < due.window_start
            and earlier.shard = '' and earlier.status not in ('succeeded', 'skipped', 'dead')
            and earlier.lease_until > :now
    )
),
lost as (
    select job_type, window_start, window_end, scheduled_for as planned, trigger
    from ops.job_runs as run
    where job_type = any(cast(:running as text[])) and shard = '' and trigger in ('backfill', 'manual')
        and status in ('queued', 'running', 'sharded', 'failed') and lease_until <= :now
        and not exists (select 1 from due where due.job_type = run.job_type and due.window_start = run.window_start)
    order by window_start
    limit :most
)
insert into ops.job_runs as run (
    job_type, window_start, window_end, status, trigger, scheduled_for, queued_at, lease_until
)
select job_type, window_start, window_end, 'queued', trigger, planned, :now, :lease_until
from (select * from due union all select * from lost) as wanted
on conflict (job_type, window_start, window_end, shard) do update set
    status = 'queued',
    trigger = case when run.trigger in ('backfill', 'manual') then run.trigger else 'catch-up' end,
    queued_at = excluded.queued_at,
    lease_until = excluded.lease_until
where run.lease_until <= :now
    and (run.status in ('queued', 'running', 'sharded', 'failed') or (run.status = 'dead' and run.retryable))
returning run.job_type, run.window_start, run.window_end, run.trigger

-- name: record_skipped
-- Windows that are too many or too old to be caught up are not forgotten in silence.
insert into ops.job_runs (job_type, window_start, window_end, status, trigger, scheduled_for, finished_at)
select due.job_type, due.window_start, due.window_end, 'skipped', due.trigger, due.planned, :now
from unnest(
    cast(:job_types as text[]), cast(:starts as timestamptz[]), cast(:ends as timestamptz[]),
    cast(:planned as timestamptz[]), cast(:triggers as text[])
) as due (job_type, window_start, window_end, planned, trigger)
on conflict (job_type, window_start, window_end, shard) do nothing
returning job_type, window_start, window_end

-- name: abandon_windows
-- Windows that were queued once but never done, and are by now too many or too old to be caught up.
update ops.job_runs as run
set status = 'skipped', finished_at = :now, lease_until = null
from unnest(cast(:job_types as text[]), cast(:bounds as timestamptz[])) as bound (job_type, catch_up_start)
where run.job_type = bound.job_type and run.window_start < bound.catch_up_start and run.shard = ''
    and run.status in ('queued', 'running', 'sharded', 'failed') and run.trigger in ('cron', 'catch-up')
    and run.lease_until <= :now
returning run.job_type, run.window_start, run.window_end

-- name: advance_watermarks
-- Every window that ends by now has its row.
update ops.schedules as known
set recorded_until = greatest(known.recorded_until, tick.recorded_until)
from unnest(cast(:job_types as text[]), cast(:recorded as timestamptz[])) as tick (job_type, recorded_until)
where known.job_type = tick.job_type

-- name: forget_runs
-- The oldest runs that no tick and no month looks back upon any more, at most :most a job; those that
-- somebody answers for, and those that another tick is deleting, are left.
delete from ops.job_runs
where ctid = any (array(
    select old.ctid
    from unnest(cast(:job_types as text[]), cast(:before as timestamptz[])) as kept (job_type, since)
    cross join lateral (
        select run.ctid
        from ops.job_runs as run
        where run.job_type = kept.job_type and run.window_start < kept.since and run.window_end <= kept.since
            and not coalesce(run.lease_until > :now, false)
        order by run.window_start
        limit :most
        for update skip locked
    ) as old
))

-- name: mark_overdue
-- Of the windows past their grace, those that have not succeeded and were not reported before.
update ops.job_runs as run
set overdue_at = :now
from unnest(
    cast(:job_types as text[]), cast(:starts as timestamptz[]), cast(:ends as timestamptz[]),
    cast(:planned as timestamptz[]), cast(:triggers as text[])
) as due (job_type, window_start, window_end, planned, trigger)
where run.job_type = due.job_type and run.window_start = due.window_start and run.window_end = due.window_end
    and run.shard = '' and run.status not in ('succeeded', 'skipped') and run.overdue_at is null
returning run.job_type, run.window_start, run.window_end, run.status, run.scheduled_for, run.error_class,
    run.error_text
