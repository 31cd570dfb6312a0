-- name: cutover_compare_aggregates
-- The differences between old and new rows, with both values and the value counted from the events. A row of zeros
-- equals a missing row.
with old as (
    select organization_id, date, event_type, count, unique_count
    from jsonb_to_recordset(cast(:old as jsonb)) as old (
        organization_id uuid, date date, event_type text, count bigint, unique_count bigint
    )
    where event_type not like 'monthly:%' and count > 0
),
ours as (
    select organization_id, date, event_type, count, unique_count
    from analytics.event_aggregates
    where date >= cast(:start as date) and date < cast(:end as date)
        and event_type not like 'monthly:%' and count > 0
),
differing as (
    select organization_id, date, event_type, old.count as old_count, ours.count as our_count,
        old.unique_count as old_unique, ours.unique_count as our_unique
    from old
    full join ours using (organization_id, date, event_type)
    where (old.count, coalesce(old.unique_count, ours.unique_count))
        is distinct from (ours.count, ours.unique_count)
),
events as (
    select differing.organization_id, differing.date, differing.event_type,
        count(*) as count, count(distinct event.contact_id) as unique_count
    from differing
    join analytics.contact_activity as event
        on event.organization_id = differing.organization_id and event.event_type = differing.event_type
        and event.occurred_at >= differing.date::timestamp at time zone 'UTC'
        and event.occurred_at < (differing.date + 1)::timestamp at time zone 'UTC'
    group by differing.organization_id, differing.date, differing.event_type
)
select 'event_aggregates' as table_name, organization_id::text, date, event_type as what,
    concat(old_count, ' / ', old_unique) as old_says,
    concat(our_count, ' / ', our_unique) as ours_say,
    concat(coalesce(events.count, 0), ' / ', coalesce(events.unique_count, 0)) as events_say,
    (coalesce(events.count, 0), coalesce(events.unique_count, 0))
        = (coalesce(our_count, 0), coalesce(our_unique, 0)) as ours_are_right
from differing
left join events using (organization_id, date, event_type)
order by date, organization_id, event_type

-- name: cutover_compare_stats
-- The same for campaigns: one row per differing column.
with old as (
    select row.campaign_id, row.organization_id, row.date, figure.key as what, figure.value::bigint as value
    from jsonb_to_recordset(cast(:old as jsonb)) as row (
        campaign_id uuid, organization_id uuid, date date,
-- include: campaign_record
    )
    cross join lateral jsonb_each_text(to_jsonb(row) - 'campaign_id' - 'organization_id' - 'date') as figure
    where figure.value is not null
),
ours as (
    select row.campaign_id, row.organization_id, row.date, figure.key as what, figure.value::bigint as value
    from analytics.campaign_daily_stats as row
    cross join lateral jsonb_each_text(
        to_jsonb(row) - 'campaign_id' - 'organization_id' - 'date' - 'updated_at'
    ) as figure
    where row.date >= cast(:start as date) and row.date < cast(:end as date)
        and figure.key = any(cast(:figures as text[]))
),
differing as (
    select campaign_id, organization_id, date, what, old.value as old_value, ours.value as our_value
    from old
    full join ours using (campaign_id, organization_id, date, what)
    where coalesce(old.value, 0) <> coalesce(ours.value, 0)
),
events as (
    select differing.campaign_id, differing.organization_id, differing.date, differing.what,
        case when differing.what like 'unique\_%' then count(distinct event.contact_id) else count(*) end as value
    from differing
    join analytics.contact_activity as event
        on event.organization_id = differing.organization_id
        and event.event_type = 'email_' || replace(differing.what, 'unique_', '')
        and translate(lower(event.event_source), '-{}', '') = replace(differing.campaign_id::text, '-', '')
        and event.occurred_at >= differing.date::timestamp at time zone 'UTC'
        and event.occurred_at < (differing.date + 1)::timestamp at time zone 'UTC'
    group by differing.campaign_id, differing.organization_id, differing.date, differing.what
)
select 'campaign_daily_stats' as table_name, organization_id::text, date,
    concat(campaign_id, ' ', what) as what,
    old_value::text as old_says, our_value::text as ours_say, coalesce(events.value, 0)::text as events_say,
    coalesce(events.value, 0) = coalesce(our_value, 0) as ours_are_right
from differing
left join events using (campaign_id, organization_id, date, what)
order by date, organization_id, campaign_id, what

-- name: cutover_begun
-- Whether a run of some jobs, or a shard of one, has begun on a window of a range, or has booked into the range from a
-- later window, as runs do for late events.
select exists (
    select 1 from ops.job_runs
    where job_type = any(cast(:job_types as text[])) and started_at is not null
        and window_start < :end and window_end > :start
) or exists (
    select 1 from analytics.hourly_cells where hour >= :start and hour < :end
) as has_begun

-- name: cutover_succeeded
-- The windows of a job in a range that were run.
select window_start
from ops.job_runs
where job_type = :job_type and shard = '' and status = 'succeeded'
    and window_start >= :start and window_end <= :end
order by window_start

-- name: cutover_unwell
-- The failures of some jobs' windows since a time, and every open dead letter of their queue, however old; one row per
-- job and kind. A late window stays late.
select job_type, coalesce(ill, 'late') as what, count(*) as count, max(error_text) as error
from ops.job_runs
cross join lateral (select case when status in ('dead', 'skipped', 'failed') then status end as ill) as seen
where shard = '' and job_type = any(cast(:job_types as text[])) and scheduled_for >= :since
    and (ill is not null or overdue_at is not null)
group by job_type, ill
union all
select coalesce(job_type, 'unknown'), 'dead letters', count(*), max(error)
from ops.dead_letters
where queue = any(:queues) and status = 'dead'
group by job_type
order by 1, 2

-- name: cutover_first_tick
-- The first time at which a cron enqueued something of a job, according to the ledger.
select job_type, min(scheduled_for) as first_tick
from ops.job_runs
where trigger in ('cron', 'catch-up') and shard = '' and job_type = any(cast(:job_types as text[]))
group by job_type
