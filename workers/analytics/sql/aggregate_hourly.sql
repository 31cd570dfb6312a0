-- name: touched_hours
-- The hours that a run of the window [:start, :end) books: its own; those of events that were
-- ingested in it but occurred earlier; and the hour before, if events of it were committed after
-- that hour's own run had looked.
select cast(:start as timestamptz) as hour
union
select date_trunc('hour', occurred_at at time zone 'UTC') at time zone 'UTC'
from analytics.contact_activity
where date_trunc('hour', occurred_at at time zone 'UTC') < date_trunc('hour', created_at at time zone 'UTC')
    and created_at >= :start and created_at < :end and occurred_at < :start
    and organization_id between :first_organization and :last_organization
union
select booked.hour
from (select cast(:start as timestamptz) - interval '1 hour' as hour) as booked
where (
        select coalesce(sum(cell.count), 0) from analytics.hourly_cells as cell
        where cell.hour = booked.hour and cell.organization_id between :first_organization and :last_organization
    ) <> (
        select count(*) from analytics.contact_activity
        where occurred_at >= cast(:start as timestamptz) - interval '1 hour' and occurred_at < :start
            and organization_id between :first_organization and :last_organization
    )
order by hour

-- name: known_hours
-- Which of the hours have cells already. To be asked once the days are locked.
select hour
from unnest(cast(:hours as timestamptz[])) as touched (hour)
where exists (
    select 1 from analytics.hourly_cells as cell
    where cell.hour = touched.hour and cell.organization_id between :first_organization and :last_organization
)

-- name: book_cells
-- Book the hours: every cell of those that are fresh; of those that are known, the cells whose
-- events have changed, and the cells later on the same day, whose contacts may have been seen
-- earlier after all. A cell that lost its last event becomes 0.
with known_hours as (
    select hour, hour + interval '1 hour' as until
    from unnest(cast(:known as timestamptz[])) as known (hour)
),
recounted as (
    select hours.hour, event.organization_id, event.event_type, count(*) as count,
        bit_xor(uuid_hash_extended(event.id, uuid_hash_extended(event.contact_id, 0))) as fingerprint
    from known_hours as hours
    join analytics.contact_activity as event on event.occurred_at >= hours.hour and event.occurred_at < hours.until
    where event.organization_id between :first_organization and :last_organization
    group by hours.hour, event.organization_id, event.event_type
),
changed as (
    select organization_id, event_type, hour
    from recounted
    full join (
        select cell.*
        from analytics.hourly_cells as cell
        join known_hours using (hour)
        where cell.organization_id between :first_organization and :last_organization
    ) as cell
        using (organization_id, event_type, hour)
    where (recounted.count, recounted.fingerprint) is distinct from (cell.count, cell.fingerprint)
        and (recounted.count is not null or cell.count > 0)
),
fresh_hours as (
    select hour, hour + interval '1 hour' as until
    from unnest(cast(:fresh as timestamptz[])) as fresh (hour)
),
fresh_visitors as materialized (
    select hours.hour, event.organization_id, event.contact_id, event.event_type, count(*) as count,
        bit_xor(uuid_hash_extended(event.id, uuid_hash_extended(event.contact_id, 0))) as fingerprint
    from fresh_hours as hours
    join analytics.contact_activity as event on event.occurred_at >= hours.hour and event.occurred_at < hours.until
    where event.organization_id between :first_organization and :last_organization
    group by hours.hour, event.organization_id, event.contact_id, event.event_type
),
disturbed as materialized (
    select organization_id, event_type, hour from changed
    union
    select later.organization_id, later.event_type, later.hour
    from changed
    join analytics.hourly_cells as later
        on later.organization_id = changed.organization_id and later.event_type = changed.event_type
        and later.date = (changed.hour at time zone 'UTC')::date and later.hour > changed.hour
    union
    select later.organization_id, later.event_type, later.hour
    from fresh_hours as hours
    join analytics.hourly_cells as later
        on later.date = (hours.hour at time zone 'UTC')::date and later.hour > hours.hour
        and later.organization_id between :first_organization and :last_organization
    where case when later.count is not null then -- no join: looked into only if there are later cells
        (hours.hour, later.organization_id, later.event_type) in (
            select distinct hour, organization_id, event_type from fresh_visitors
        )
    end
),
visitors as materialized (
    select * from fresh_visitors
    union all
    select cell.hour, event.organization_id, event.contact_id, event.event_type, count(*),
        bit_xor(uuid_hash_extended(event.id, uuid_hash_extended(event.contact_id, 0)))
    from (select distinct hour from disturbed) as hours
    cross join lateral (
        select * from analytics.contact_activity
        where occurred_at >= hours.hour and occurred_at < hours.hour + interval '1 hour'
        offset 0 -- the hours first, each by its index: else the planner sorts the whole table
    ) as event
    join disturbed as cell
        on cell.hour = hours.hour and cell.organization_id = event.organization_id
        and cell.event_type = event.event_type
    group by cell.hour, event.organization_id, event.contact_id, event.event_type
),
booked_hours as (
    select hour, date_trunc('day', hour at time zone 'UTC') at time zone 'UTC' as midnight
    from (select hour from fresh_hours union select hour from disturbed) as hours
),
-- One pass over the index in the order of its keys, for all visitors at once: a probe for each
-- would cost three times as much. Two contacts may share a key: their names decide below.
seen_before as (
    select hours.hour, event.organization_id, event.contact_id, event.event_type
    from analytics.contact_activity as event
    join booked_hours as hours on event.occurred_at < hours.hour and event.occurred_at >= hours.midnight
    where analytics.visitor_key(event.occurred_at, event.contact_id)
            = any(array(
                select analytics.visitor_key(hour, contact_id)
                from (select distinct hour, contact_id from visitors) as contacts
            ))
        and event.occurred_at < (select max(hour) from booked_hours)
),
counted as materialized (
    select hour, organization_id, event_type,
        sum(count) as count,
        count(*) filter (
            where (hour, organization_id, contact_id, event_type) not in (select * from seen_before)
        ) as first_seen,
        bit_xor(fingerprint) as fingerprint
    from visitors
    group by hour, organization_id, event_type
),
cells as (
    select * from counted
    union all
    select lost.hour, lost.organization_id, lost.event_type, 0, 0, 0
    from disturbed as lost
    left join counted using (hour, organization_id, event_type)
    where counted.count is null
)
insert into analytics.hourly_cells as booked (
    organization_id, date, event_type, hour, count, first_seen, fingerprint
)
select organization_id, (hour at time zone 'UTC')::date, event_type, hour, count, first_seen, fingerprint
from cells
on conflict (organization_id, date, event_type, hour) do update set
    count = excluded.count,
    first_seen = excluded.first_seen,
    fingerprint = excluded.fingerprint
where (booked.count, booked.first_seen, booked.fingerprint)
    is distinct from (excluded.count, excluded.first_seen, excluded.fingerprint)

-- name: set_days
-- A day's row is the sum of its cells: set, never added to. Rows that would not change are not written.
insert into analytics.event_aggregates as known (
    organization_id, date, event_type, count, unique_count, updated_at
)
select cell.organization_id, cell.date, cell.event_type, sum(cell.count), sum(cell.first_seen), now()
from (
    select distinct organization_id, date, event_type
    from analytics.hourly_cells
    where hour = any(cast(:hours as timestamptz[])) and event_type not like 'monthly:%'
        and organization_id between :first_organization and :last_organization
) as touched
join analytics.hourly_cells as cell using (organization_id, date, event_type)
group by cell.organization_id, cell.date, cell.event_type
on conflict (organization_id, date, event_type) do update set
    count = excluded.count,
    unique_count = excluded.unique_count,
    updated_at = excluded.updated_at
where (known.count, known.unique_count) is distinct from (excluded.count, excluded.unique_count)

-- name: hour_totals
-- How many events the window's own hour holds, and which tenants send types in our reserved form.
select coalesce(sum(count), 0) as count,
    array_agg(distinct organization_id) filter (where event_type like 'monthly:%' and count > 0) as refused
from analytics.hourly_cells
where hour = :start and organization_id between :first_organization and :last_organization
