-- name: unbooked_hours
-- Hours of a span whose rollups will still change: in progress, not in the ledger yet, or dead until the next tick
-- enqueues them again (except those before :caught_up_from).
select (
        select count(*)
        from ops.job_runs
        where job_type = :job_type and shard = '' and window_start >= :start and window_end <= :end
            and (
                status in ('queued', 'running', 'sharded', 'failed')
                or (status = 'dead' and retryable and window_start >= :caught_up_from)
            )
    ) + (
        select count(*)
        from ops.schedules
        cross join generate_series(
            greatest(recorded_until, :start), cast(:end as timestamptz) - interval '1 hour', interval '1 hour'
        ) as hour
        where job_type = :job_type and recorded_until is not null and not exists (
                select 1 from ops.job_runs as run
                where run.job_type = :job_type and run.shard = '' and run.window_start = hour
            )
    ) as count

-- name: is_summed
-- Whether a month was summed, by a schedule that is not paused.
select exists (
        select 1 from ops.job_runs
        where job_type = :job_type and window_start = :start and window_end = :end and shard = ''
            and status = 'succeeded'
    ) and not exists (
        select 1 from ops.schedules where job_type = :job_type and paused
    ) as is_summed

-- name: set_monthly_usage
-- Count a month's contacts, and set its rows.
with
-- include: usage_counts
,
-- include: set_usage

-- name: count_usage
-- Count the contacts of a piece of an organization, and store the figures.
with
-- include: usage_counts
insert into analytics.partial_counts (
    job_type, window_start, split, organization_id, date, piece, subject, figures
)
select :job_type, cast(:window_start as timestamptz), :split, cast(:first_organization as uuid), cast(:day as date), :piece,
    subject, figures
from (
    select '' as subject, array[coalesce(sum(count), 0)]::bigint[] as figures
    from contacts
    union all
    select 'monthly:' || event_type, array[count, unique_count]::bigint[]
    from contacts
) as part
returning subject, figures[1] as total

-- name: add_up_usage
-- Add up the figures of an organization's pieces, and set its rows.
with contacts as materialized (
    select organization_id, substr(subject, length('monthly:') + 1) as event_type,
        cast(sum(figures[1]) as bigint) as count, cast(sum(figures[2]) as bigint) as unique_count
    from analytics.partial_counts
    where job_type = :job_type and window_start = :window_start and organization_id = :first_organization
        and date = :first_day and split = :split and piece > 0 and subject <> ''
    group by organization_id, subject
),
-- include: set_usage
