-- name: open_schedules
-- The state of every schedule of a worker, locked so that concurrent ticks run one after the other. A schedule's
-- history begins with its first tick.
insert into ops.schedules as known (job_type, starts_at, recorded_until, changed_at)
select planned.job_type, planned.beginning, planned.beginning, :now
from unnest(cast(:job_types as text[]), cast(:beginnings as timestamptz[])) as planned (job_type, beginning)
order by planned.job_type
on conflict (job_type) do update set
    starts_at = coalesce(known.starts_at, excluded.starts_at),
    recorded_until = coalesce(known.recorded_until, excluded.recorded_until)
returning job_type, paused, starts_at, recorded_until

-- name: claim_runs
-- Queue the missing windows, and those that are lost. Also, at any age, windows that an operator requested and windows
-- that wait for other work: at most :windows_max of these. A window with a valid split is left to its shards. A window
-- of a job that acts on the current state waits for the previous one and continues with its interval. Also queue the
-- missing shards of valid splits, at most :shards_max. Rows that another transaction has locked are left to it. A
-- window that is queued here has no missing shards, because it has no valid split.
with due as (
    select due.job_type, due.window_start, due.window_end, due.planned, due.trigger,
        case when earlier.status <> 'succeeded' then earlier.sends else 0 end as sends
    from unnest(
        cast(:job_types as text[]), cast(:starts as timestamptz[]), cast(:ends as timestamptz[]),
        cast(:planned as timestamptz[]), cast(:triggers as text[])
    ) as due (job_type, window_start, window_end, planned, trigger)
    left join lateral (
        select run.status, run.lease_until, run.sends
        from ops.job_runs as run
        where due.job_type = any(cast(:about_now as text[])) and run.job_type = due.job_type
            and run.window_start < due.window_start and run.shard = '' and run.status <> 'skipped'
        order by run.window_end desc
        limit 1
    ) as earlier on true
    where (earlier.status is null or earlier.status = 'succeeded' or earlier.lease_until <= :now)
        and not exists ( -- most rows: it would lock each of them to find no work
            select 1 from ops.job_runs as run
            where run.job_type = due.job_type and run.window_start = due.window_start
                and run.window_end = due.window_end and run.shard = '' and run.status in ('succeeded', 'skipped')
        )
),
lost as (
    select job_type, window_start, window_end, scheduled_for as planned, trigger, 0 as sends
    from ops.job_runs as run
    where job_type = any(cast(:running as text[])) and shard = ''
        and (trigger in ('backfill', 'manual') or status = 'waiting')
        and status in ('queued', 'running', 'sharded', 'failed', 'waiting') and lease_until <= :now
        and not exists (select 1 from due where due.job_type = run.job_type and due.window_start = run.window_start)
    order by window_start
    limit :windows_max
),
run as (
    select * from due union all select * from lost
),
windows as (
    insert into ops.job_runs as run (
        job_type, window_start, window_end, status, trigger, scheduled_for, queued_at, sends, lease_until
    )
    select job_type, window_start, window_end, 'queued', trigger, planned, :now, sends + 1, cast(:now as timestamptz) +
-- include: patience
    from run
    on conflict (job_type, window_start, window_end, shard) do update set
        status = 'queued',
        trigger = case when run.trigger in ('backfill', 'manual') then run.trigger else 'catch-up' end,
        queued_at = excluded.queued_at,
        sends = run.sends + 1,
        lease_until = cast(:now as timestamptz) +
-- include: patience
    where (
-- include: unanswered
        or (run.status = 'sharded' and run.lease_until <= :now)
    ) and not
-- include: split_stands
    returning run.job_type, run.window_start, run.window_end, run.trigger, '' as shard, cast(null as jsonb) as shard_data,
        run.scheduled_for
),
shards as (
    update ops.job_runs as run set
        status = 'queued',
        queued_at = :now,
        sends = run.sends + 1,
        lease_until = cast(:now as timestamptz) +
-- include: patience
    from (
        select run.job_type, run.window_start, run.window_end, run.shard
        from ops.job_runs as run
        join ops.job_runs as whole using (job_type, window_start, window_end)
        where run.job_type = any(cast(:running as text[])) and run.shard <> '' and run.shard_data is not null
            and run.status not in ('succeeded', 'skipped')
            and whole.shard = '' and whole.status in ('sharded', 'dead')
            and whole.fencing_token = cast(run.shard_data ->> 'run' as bigint)
            and (whole.window_end >= :oldest or whole.trigger in ('backfill', 'manual'))
            and
-- include: unanswered
        order by run.window_start, run.shard
        limit :shards_max
        for update of run skip locked
    ) as missing
    where run.job_type = missing.job_type and run.window_start = missing.window_start
        and run.window_end = missing.window_end and run.shard = missing.shard
    returning run.job_type, run.window_start, run.window_end, run.trigger, run.shard, run.shard_data, run.scheduled_for
)
select * from windows union all select * from shards

-- name: run_is_left
-- Is a run of this job past its lease without an answer?
select exists (
    select 1 from ops.job_runs
    where job_type = :job_type and status in ('queued', 'running', 'failed') and shard = '' and lease_until <= :now
) as is_left

-- name: release_claims
-- The queue refused the messages of these rows: the next tick sends them. A row that has begun since, or that another
-- tick has claimed, stays unchanged.
update ops.job_runs as run
set lease_until = :now, sends = greatest(0, run.sends - 1)
from unnest(
    cast(:job_types as text[]), cast(:starts as timestamptz[]), cast(:ends as timestamptz[]), cast(:shards as text[])
) as claimed (job_type, window_start, window_end, shard)
where run.job_type = claimed.job_type and run.window_start = claimed.window_start
    and run.window_end = claimed.window_end and run.shard = claimed.shard
    and run.status = 'queued' and run.queued_at = :now

-- name: give_up_windows
-- Windows beyond the limits of catching up are recorded: those without a row get one with status skipped, and those
-- that were queued but never done become skipped. If the message of one of them still arrives, it runs. A split has its
-- own messages and is given up later. For a job that acts on the current state, windows in progress stay unchanged.
with recorded as (
    insert into ops.job_runs (job_type, window_start, window_end, status, trigger, scheduled_for, finished_at)
    select due.job_type, due.window_start, due.window_end, 'skipped', due.trigger, due.planned, :now
    from unnest(
        cast(:job_types as text[]), cast(:starts as timestamptz[]), cast(:ends as timestamptz[]),
        cast(:planned as timestamptz[]), cast(:triggers as text[])
    ) as due (job_type, window_start, window_end, planned, trigger)
    on conflict (job_type, window_start, window_end, shard) do nothing
    returning job_type, window_start, window_end
),
abandoned as (
    update ops.job_runs as run
    set status = 'skipped', finished_at = :now, lease_until = null
    from unnest(cast(:running as text[]), cast(:bounds as timestamptz[])) as bound (job_type, catch_up_start)
    where run.job_type = bound.job_type and run.window_start < bound.catch_up_start and run.shard = ''
        and run.trigger in ('cron', 'catch-up')
        and (
            run.status in ('running', 'failed') and run.lease_until <= :now
            or run.status = 'sharded' and run.lease_until <= :now and run.window_end < :oldest
            or run.status = 'queued' and (
                run.lease_until <= :now
                or run.queued_at <= :settled and not run.job_type = any(cast(:about_now as text[]))
            )
        )
    returning run.job_type, run.window_start, run.window_end
)
select * from recorded union all select * from abandoned
order by job_type, window_start

-- name: note_schedules
-- Every window that ends by now has a row. Of the windows past their grace, those that have not succeeded and were not
-- reported before are late. Their schedules are overdue from now on; windows that are skipped in the meantime count as
-- missed too. A schedule has recovered if its newest window past its grace, or a newer one, has succeeded; only such
-- rows have `overdue_since`.
with tick as (
    select *
    from unnest(
        cast(:job_types as text[]), cast(:recorded as timestamptz[]), cast(:planned_until as timestamptz[]),
        cast(:bounds as timestamptz[]), cast(:newest as timestamptz[]), cast(:skipped as bigint[])
    ) as tick (job_type, recorded_until, planned_until, catch_up_start, newest, skipped)
),
late as (
    update ops.job_runs as run
    set overdue_at = :now
    from tick
    where run.job_type = tick.job_type and run.scheduled_for <= tick.planned_until
        and run.window_start >= tick.catch_up_start and run.shard = ''
        and run.status not in ('succeeded', 'skipped') and run.overdue_at is null
    returning run.job_type, run.window_start, run.window_end, run.status, run.scheduled_for, run.error_class,
        run.error_text
),
found as (
    select tick.job_type, tick.recorded_until, known.overdue_since, newly.late > 0 as is_late,
        known.missed_windows
        + case when newly.late > 0 or known.overdue_since is not null then tick.skipped + newly.late else 0 end as missed_windows,
        known.overdue_since < :now and exists (
            select 1 from ops.job_runs as run
            where run.job_type = tick.job_type and run.window_start >= tick.newest and run.shard = ''
                and run.status = 'succeeded'
        ) as has_recovered
    from tick
    join ops.schedules as known using (job_type)
    cross join lateral (select count(*) as late from late where late.job_type = tick.job_type) as newly
),
noted as (
    update ops.schedules as known set
        recorded_until = greatest(known.recorded_until, found.recorded_until),
        overdue_since = case
            when found.has_recovered then null
            when found.is_late then coalesce(known.overdue_since, :now)
            else known.overdue_since
        end,
        missed_windows = case when found.has_recovered then 0 else found.missed_windows end
    from found
    where known.job_type = found.job_type
)
select job_type, window_start, window_end, status, scheduled_for, error_class, error_text,
    cast(null as timestamptz) as overdue_since, null as missed_windows
from late
union all
select job_type, null, null, null, null, null, null, overdue_since, missed_windows from found where has_recovered
order by job_type, window_start
