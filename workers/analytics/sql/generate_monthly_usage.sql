-- name: unbooked_hours
-- Hours of a span whose rollups are not closed, and will be: under way, dead until the next tick takes
-- them up again (which it does not with those before :caught_up_from), or not yet in the ledger.
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

-- name: set_monthly_usage
-- Set the month's rows: the events are the sum of the daily rollups; the distinct contacts, which
-- those of single days cannot tell, are counted in the events themselves. A row whose rollups are
-- gone becomes 0. Organisations whose rollups do not agree with their events are named.
with rollups as (
    select organization_id, event_type, sum(count) as count
    from analytics.event_aggregates
    where date >= :first_day and date < :until_day and event_type not like 'monthly:%' and
-- include: within_shard
    group by organization_id, event_type
    having sum(count) > 0
),
contacts as (
    select organization_id, event_type, sum(count) as count, count(*) as unique_count
    from (
        select organization_id, event_type, contact_id, count(*) as count
        from analytics.contact_activity
        where occurred_at >= :start and occurred_at < :end and
-- include: within_shard
        group by organization_id, event_type, contact_id
    ) as contact
    where event_type not like 'monthly:%'
    group by organization_id, event_type
),
compared as materialized (
    select organization_id, event_type, rollups.count,
        least(rollups.count, coalesce(contacts.unique_count, 0)) as unique_count,
        rollups.count is distinct from contacts.count as differs
    from rollups
    full join contacts using (organization_id, event_type)
),
usage as (
    select organization_id, 'monthly:' || event_type as event_type, count, unique_count
    from compared
    where count is not null
    union all
    select organization_id, 'monthly:' || event_type, 0, 0
    from (
        select organization_id, substr(event_type, length('monthly:') + 1) as event_type
        from analytics.event_aggregates
        where date = :first_day and event_type like 'monthly:%'
        except
        select organization_id, event_type from rollups
    ) as lost
    where
-- include: within_shard
),
written as (
    insert into analytics.event_aggregates as known (
        organization_id, date, event_type, channel, count, unique_count, updated_at
    )
    select organization_id, :first_day, event_type, 'monthly_summary', count, unique_count, now()
    from usage
    on conflict (organization_id, date, event_type) do update set
        channel = excluded.channel,
        count = excluded.count,
        unique_count = excluded.unique_count,
        updated_at = excluded.updated_at
    where (known.channel, known.count, known.unique_count)
        is distinct from (excluded.channel, excluded.count, excluded.unique_count)
    returning 1
)
select (select count(*) from written) as rows_written,
    coalesce(cast(sum(count) as bigint), 0) as rows_read,
    array_agg(distinct organization_id) filter (where differs) as differing
from compared
