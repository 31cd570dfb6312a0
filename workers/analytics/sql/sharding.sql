-- name: events_beyond
-- Whether a span of time has more than :most events. Counts no further.
select count(*) > :most as beyond
from (
    select 1
    from analytics.contact_activity
    where occurred_at >= :start and occurred_at < :end
    limit cast(:most as bigint) + 1
) as counted

-- name: sample_percent
-- The share of the table's pages to read, so that it is about :bytes for any size of the table.
select cast(least(100, greatest(0.001, 100.0 * :bytes / greatest(1, sum(pg_relation_size(relid))))) as float8) as percent
from (
    select cast('analytics.contact_activity' as regclass) as relid
    union
    select relid from pg_partition_tree('analytics.contact_activity')
) as part

-- name: sampled_sizes
-- The approximate number of events of each organization in a span of time, per day if :by_day.
select case when cast(:by_day as boolean) then (occurred_at at time zone 'UTC')::date end as day, organization_id,
    cast(ceil(count(*) * 100 / cast(:percent as float8)) as bigint) as count
from analytics.contact_activity tablesample system (cast(:percent as float8)) repeatable (0)
where occurred_at >= :start and occurred_at < :end
group by 1, 2
order by 1, 2

-- name: sampled_cuts
-- The split points for :pieces per organization, per day of the span if :by_day: the first contact of each piece except
-- the first. A contact is never split.
select distinct day, organization_id, contact_id
from (
    select event.day, organization_id, contact_id, pieces,
        (row_number() over part - 1) * pieces / count(*) over (partition by event.day, organization_id) as piece,
        lag(contact_id) over part as before,
        (row_number() over part - 2) * pieces / count(*) over (partition by event.day, organization_id) as piece_before
    from (
        select case when cast(:by_day as boolean) then (occurred_at at time zone 'UTC')::date end as day,
            organization_id, contact_id
        from analytics.contact_activity tablesample system (cast(:percent as float8)) repeatable (0)
        where occurred_at >= :start and occurred_at < :end
            and organization_id = any(cast(:organizations as uuid[]))
    ) as event
    join unnest(cast(:days as date[]), cast(:organizations as uuid[]), cast(:pieces as integer[]))
        as wanted (day, organization_id, pieces) using (organization_id)
    where event.day is not distinct from wanted.day
    window part as (partition by event.day, organization_id order by contact_id)
) as place
where piece > piece_before and before is not null
order by day, organization_id, contact_id
