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
where exists (select 1 from analytics.hourly_cells as cell where cell.hour = booked.hour)
    and (
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
disturbed as materialized (
    select organization_id, event_type, hour from changed
    union
    select cell.organization_id, cell.event_type, cell.hour
    from analytics.hourly_cells as cell
    join (
        select organization_id, event_type, hour from changed
        union all
        select distinct later.organization_id, later.event_type, hours.hour
        from fresh_hours as hours
        join analytics.hourly_cells as later
            on later.date = (hours.hour at time zone 'UTC')::date and later.hour > hours.hour
            and later.organization_id between :first_organization and :last_organization
        where exists (
            select 1 from analytics.contact_activity as event
            where event.occurred_at >= hours.hour and event.occurred_at < hours.until
                and event.organization_id = later.organization_id and event.event_type = later.event_type
        )
    ) as cause
        on cell.organization_id = cause.organization_id and cell.event_type = cause.event_type
        and cell.date = (cause.hour at time zone 'UTC')::date and cell.hour > cause.hour
),
visitors as materialized (
    select hours.hour, event.organization_id, event.contact_id, event.event_type, count(*) as count,
        bit_xor(uuid_hash_extended(event.id, uuid_hash_extended(event.contact_id, 0))) as fingerprint
    from fresh_hours as hours
    join analytics.contact_activity as event on event.occurred_at >= hours.hour and event.occurred_at < hours.until
    where event.organization_id between :first_organization and :last_organization
    group by hours.hour, event.organization_id, event.contact_id, event.event_type
    union all
    select cell.hour, event.organization_id, event.contact_id, event.event_type, count(*),
        bit_xor(uuid_hash_extended(event.id, uuid_hash_extended(event.contact_id, 0)))
    from disturbed as cell
    join analytics.contact_activity as event
        on event.organization_id = cell.organization_id and event.event_type = cell.event_type
        and event.occurred_at >= cell.hour and event.occurred_at < cell.hour + interval '1 hour'
    group by cell.hour, event.organization_id, event.contact_id, event.event_type
),
seen_before as (
    select visitor.hour, visitor.organization_id, visitor.contact_id, earlier.event_type
    from (select distinct hour, organization_id, contact_id from visitors) as visitor
    cross join lateral (
        select distinct event.event_type
        from analytics.contact_activity as event
        where event.organization_id = visitor.organization_id and event.contact_id = visitor.contact_id
            and event.occurred_at < visitor.hour
            and event.occurred_at >= date_trunc('day', visitor.hour at time zone 'UTC') at time zone 'UTC'
    ) as earlier
),
cells as (
    select visitor.hour, visitor.organization_id, visitor.event_type,
        sum(visitor.count) as count,
        count(*) filter (where seen.contact_id is null) as first_seen,
        bit_xor(visitor.fingerprint) as fingerprint
    from visitors as visitor
    left join seen_before as seen using (hour, organization_id, contact_id, event_type)
    group by visitor.hour, visitor.organization_id, visitor.event_type
    union all
    select hour, organization_id, event_type, 0, 0, 0
    from disturbed
    where (hour, organization_id, event_type) not in (select hour, organization_id, event_type from visitors)
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
