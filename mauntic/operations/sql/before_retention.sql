-- name: rollups_before_retention
-- The changes that a backfill would make to the rollups of days in [:start, :end) before the retained period of their
-- organization: the number of rows, the number of rows that become 0, and the sums of their counts.
with
-- include: differing_rollups
select organization_id, date, 'rollups' as "table", count(*) as changed,
    count(*) filter (where counted is null) as become_zero,
    cast(coalesce(sum(booked), 0) as bigint) as sum_now, cast(coalesce(sum(counted), 0) as bigint) as sum_then
from differing
where date < ops.retained_since(organization_id)
group by organization_id, date
order by organization_id, date

-- name: campaigns_before_retention
-- The same for the figures of campaigns. The sums include all figures except distinct contacts.
with
-- include: counted_campaigns
,
figures as (
    select organization_id, date, campaign_id, figure.key as name,
        cast(coalesce(reported.figures ->> figure.key, '0') as bigint) as reported,
        cast(coalesce(counted.figures ->> figure.key, '0') as bigint) as counted
    from counted
    full join reported using (campaign_id, organization_id, date)
    cross join lateral jsonb_each_text(coalesce(counted.figures, reported.figures)) as figure
    where date < ops.retained_since(organization_id)
),
campaigns as (
    select organization_id, date, campaign_id, max(counted) as most,
        sum(reported) filter (where name not like 'unique%') as reported,
        sum(counted) filter (where name not like 'unique%') as counted
    from figures
    group by organization_id, date, campaign_id
    having bool_or(reported <> counted)
)
select organization_id, date, 'campaigns' as "table", count(*) as changed,
    count(*) filter (where most = 0) as become_zero,
    cast(sum(reported) as bigint) as sum_now, cast(sum(counted) as bigint) as sum_then
from campaigns
group by organization_id, date
order by organization_id, date

-- name: usage_before_retention
-- The same for the usage of the month [:start, :end), whose counts are the sums of the current rollups, and whose
-- distinct contacts come from the events.
with month as (
    select (cast(:start as timestamptz) at time zone 'UTC')::date as first_day,
        (cast(:end as timestamptz) at time zone 'UTC')::date as until_day
),
rollups as (
    select organization_id, event_type, sum(count) as count
    from analytics.event_aggregates
    cross join month
    where date >= first_day and date < until_day and event_type not like 'monthly:%'
    group by organization_id, event_type
    having sum(count) > 0
),
contacts as (
    select organization_id, event_type, count(distinct contact_id) as count
    from analytics.contact_activity
    where occurred_at >= :start and occurred_at < :end and event_type not like 'monthly:%'
    group by organization_id, event_type
),
summed as (
    select organization_id, substr(event_type, length('monthly:') + 1) as event_type, count, unique_count
    from analytics.event_aggregates
    cross join month
    where date = first_day and event_type like 'monthly:%' and count > 0
),
compared as (
    select organization_id, event_type, rollups.count, summed.count as known_count,
        least(rollups.count, coalesce(contacts.count, 0)) as unique_count, summed.unique_count as known_unique_count
    from rollups
    full join summed using (organization_id, event_type)
    left join contacts using (organization_id, event_type)
)
select organization_id, first_day as date, 'usage' as "table", count(*) as changed,
    count(*) filter (where compared.count is null) as become_zero,
    cast(coalesce(sum(known_count), 0) as bigint) as sum_now,
    cast(coalesce(sum(compared.count), 0) as bigint) as sum_then
from compared
cross join month
where first_day < ops.retained_since(organization_id) and (
    coalesce(compared.count, 0) <> coalesce(known_count, 0)
    or (compared.count > 0 and unique_count is distinct from known_unique_count)
)
group by organization_id, first_day
order by organization_id
