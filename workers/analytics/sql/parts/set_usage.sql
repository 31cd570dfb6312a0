-- Set the month's rows: the events are the sum of the daily rollups, the distinct contacts come from `contacts`. A row
-- without rollups becomes 0. Organizations whose retained period begins after the month's first day keep their rows.
rollups as (
    select organization_id, event_type, sum(count) as count
    from analytics.event_aggregates
    where date >= :first_day and date < :until_day and event_type not like 'monthly:%' and
-- include: within_organizations
    group by organization_id, event_type
    having sum(count) > 0
),
compared as materialized (
    select organization_id, event_type, rollups.count,
        least(rollups.count, coalesce(contacts.unique_count, 0)) as unique_count,
        abs(coalesce(rollups.count, 0) - coalesce(contacts.count, 0)) as differing,
        cast(:first_day as date) < greatest(
            own.retained_since, (select retained_since from ops.retention where source = 'contact_activity' and organization_id is null)
        ) and not cast(:before_retention as boolean) as is_before
    from rollups
    full join contacts using (organization_id, event_type)
    left join ops.retention as own using (organization_id)
),
usage as (
    select organization_id, 'monthly:' || event_type as event_type, count, unique_count
    from compared
    where count is not null and is_before is not true
    union all
    select organization_id, 'monthly:' || event_type, 0, 0
    from (
        select organization_id, substr(event_type, length('monthly:') + 1) as event_type
        from analytics.event_aggregates
        where date = :first_day and event_type like 'monthly:%' and
-- include: within_organizations
        except
        select organization_id, event_type from rollups
    ) as lost
    where cast(:before_retention as boolean) or cast(:first_day as date) >= ops.retained_since(organization_id)
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
),
noticed as (
    select organization_id,
        coalesce(cast(sum(differing) filter (where is_before is not true) as bigint), 0) as differing,
        coalesce(cast(sum(count) filter (where is_before) as bigint), 0) as before_retention
    from compared
    where differing > 0 or is_before
    group by organization_id
)
select (select count(*) from written) as rows_written,
    coalesce((select cast(sum(count) as bigint) from compared), 0) as rows_read,
    array_agg(organization_id order by organization_id) as organizations,
    array_agg(differing order by organization_id) as noticed,
    array_agg(before_retention order by organization_id) as before_retention
from noticed
