-- name: events_beyond
-- Whether a span of time holds more than so many events. Counts no further than that.
select count(*) > :most as beyond
from (
    select 1
    from analytics.contact_activity
    where occurred_at >= :start and occurred_at < :end
    limit cast(:most as bigint) + 1
) as counted

-- name: event_sizes
-- How many events each organisation has in a span of time; each campaign of those with more than :most,
-- in the order of their ids, whatever the language of the database.
select organization_id, case when total > :most then coalesce(campaign_id::text, '') else '' end collate "C" as part,
    cast(sum(count) as bigint) as count
from (
    select organization_id, count, sum(count) over (partition by organization_id) as total,
-- include: campaign_of_source
    from (
        select organization_id, event_source, count(*) as count
        from analytics.contact_activity
        where occurred_at >= :start and occurred_at < :end
        group by organization_id, event_source
    ) as source
) as sized
group by 1, 2
order by 1, 2

-- name: rollup_sizes
-- How many events each organisation has in a span of days, as its daily rollups know; of each type
-- where there are more than :most.
select organization_id, part, cast(sum(count) as bigint) as count
from (
    select organization_id, count,
        case when sum(count) over (partition by organization_id) > :most then event_type else '' end as part
    from analytics.event_aggregates
    where date >= :first_day and date < :until_day and event_type not like 'monthly:%'
) as sized
group by organization_id, part
order by organization_id, part
