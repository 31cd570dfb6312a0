-- name: events_beyond
-- Whether spans of time hold more than so many events. Counts no further than that.
select count(*) > :most as beyond
from (
    select 1
    from unnest(cast(:starts as timestamptz[]), cast(:ends as timestamptz[])) as span (start, until)
    join analytics.contact_activity as event on event.occurred_at >= span.start and event.occurred_at < span.until
    limit cast(:most as bigint) + 1
) as counted

-- name: events_by_organization
-- How many events each organisation has in spans of time that do not overlap.
select event.organization_id, count(*) as count
from unnest(cast(:starts as timestamptz[]), cast(:ends as timestamptz[])) as span (start, until)
join analytics.contact_activity as event on event.occurred_at >= span.start and event.occurred_at < span.until
group by event.organization_id
order by event.organization_id

-- name: rollups_by_organization
-- How many events each organisation has in a span of days, as its daily rollups know.
select organization_id, cast(sum(count) as bigint) as count
from analytics.event_aggregates
where date >= :first_day and date < :until_day and event_type not like 'monthly:%'
group by organization_id
order by organization_id
