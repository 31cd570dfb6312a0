-- name: is_fresh
-- Whether the hour has no cell yet, nor its day one that comes after it. To be asked once the days
-- are locked.
select not exists (
        select 1 from analytics.hourly_cells
        where hour >= :start
            and hour < date_trunc('day', cast(:start as timestamptz) at time zone 'UTC') at time zone 'UTC' + interval '1 day' and
-- include: within_shard
    ) and not exists (
        select 1 from analytics.hourly_cells
        where booked_in > :start and booked_in > hour and date = (cast(:start as timestamptz) at time zone 'UTC')::date and
-- include: within_shard
    ) as is_fresh

-- name: prefer_hashing
-- For the next statement: the planner expects a handful of visitors in its hour, and there may be a
-- hundred thousand. Sorting them would cost a quarter of the run. The earlier events of those who were
-- seen before are to be fetched in the order in which they lie in the table, not one by one.
select set_config('enable_sort', 'off', true), set_config('enable_indexscan', 'off', true)

-- name: book_fresh_hour
-- Book the hour's events that were ingested by its end. Only where the hour has no cells yet, nor its
-- day any that come after it. A contact counts as first seen unless the day has an earlier event of it:
-- one pass over the day's part of the index answers that for all contacts.
with visitors as (
    select organization_id, event_type, contact_id, count(fingerprint) as count,
        bit_xor(fingerprint) as fingerprint, bool_or(fingerprint is null) as is_known
    from (
        select organization_id, event_type, contact_id,
            uuid_hash_extended(id, uuid_hash_extended(contact_id, 0)) as fingerprint
        from analytics.contact_activity
        where occurred_at >= :start and occurred_at < :until and created_at < :until and
-- include: within_shard
        union all
        select organization_id, event_type, contact_id, null
        from analytics.contact_activity
        where analytics.visitor_key(occurred_at, contact_id) = any(array(
                select distinct analytics.visitor_key(:start, contact_id)
                from analytics.contact_activity
                where occurred_at >= :start and occurred_at < :until and
-- include: within_shard
                order by 1 -- in the index's own order: it would sort them anyway, slower
            ))
            and analytics.hour_of_day(occurred_at) < analytics.hour_of_day(:start) and created_at < :until and
-- include: within_shard
    ) as event
    group by organization_id, event_type, contact_id
),
booked as (
    insert into analytics.hourly_cells (
        organization_id, date, event_type, hour, booked_in, count, first_seen, fingerprint
    )
    select organization_id, (cast(:start as timestamptz) at time zone 'UTC')::date, event_type, :start, :start,
        sum(count), count(*) filter (where not is_known), bit_xor(fingerprint)
    from visitors
    group by organization_id, event_type
    having sum(count) > 0
    returning count
)
select count(*) as cells, coalesce(cast(sum(count) as bigint), 0) as events from booked

-- name: book_changes
-- Recount the cells of :hours, and those of the late events that the window [:start, :until) books
-- into other hours of :days. Book the cells whose events have changed. Book the cells that come after
-- them on their day too: their contacts may now have been seen earlier, or no longer. A cell that lost
-- its last event becomes 0. With :anew the hour's own cells are booked even if no event has changed.
with recounted as (
    select organization_id, event_type, hour, booked_in, count(*) as count,
        bit_xor(uuid_hash_extended(id, uuid_hash_extended(contact_id, 0))) as fingerprint
    from (
        select organization_id, event_type, id, contact_id, hour,
            case when created_at < hour + interval '1 hour' then hour else analytics.hour_of(created_at) end as booked_in
        from unnest(cast(:hours as timestamptz[])) as hour
        join analytics.contact_activity on occurred_at >= hour and occurred_at < hour + interval '1 hour'
        where
-- include: within_shard
        union all
        select organization_id, event_type, id, contact_id, analytics.hour_of(occurred_at), :start
        from analytics.contact_activity
        where
-- include: is_late
            and created_at >= :start and created_at < :until and occurred_at < :start
            and (occurred_at at time zone 'UTC')::date = any(cast(:days as date[]))
            and analytics.hour_of(occurred_at) <> all(cast(:hours as timestamptz[])) and
-- include: within_shard
    ) as event
    group by organization_id, event_type, hour, booked_in
),
changed as materialized (
    select organization_id, event_type, hour, booked_in
    from recounted
    full join (
        select * from analytics.hourly_cells
        where (
                hour = any(cast(:hours as timestamptz[]))
                or (booked_in = :start and booked_in > hour and date = any(cast(:days as date[])))
            ) and
-- include: within_shard
    ) as known using (organization_id, event_type, hour, booked_in)
    where (recounted.count, recounted.fingerprint) is distinct from (known.count, known.fingerprint)
        and (recounted.count is not null or known.count > 0)
    union
    -- An hour that is booked only now, after later ones: those may have taken its contacts for seen, by
    -- events that are gone by now.
    select organization_id, event_type, cast(:start as timestamptz), cast(:start as timestamptz)
    from analytics.hourly_cells
    where cast(:start as timestamptz) = any(cast(:hours as timestamptz[]))
        and hour >= date_trunc('day', cast(:start as timestamptz) at time zone 'UTC') at time zone 'UTC'
        and hour < date_trunc('day', cast(:start as timestamptz) at time zone 'UTC') at time zone 'UTC' + interval '1 day'
        and booked_in > :start and
-- include: within_shard
        and not exists (
            select 1 from analytics.hourly_cells
            where hour = :start and booked_in = :start and
-- include: within_shard
        )
),
disturbed as materialized (
    select organization_id, (hour at time zone 'UTC')::date as date, event_type, hour, booked_in from changed
    union
    select later.organization_id, later.date, later.event_type, later.hour, later.booked_in
    from changed
    join analytics.hourly_cells as later
        on later.organization_id = changed.organization_id and later.event_type = changed.event_type
        and later.date = (changed.hour at time zone 'UTC')::date
        and (later.booked_in, later.hour) > (changed.booked_in, changed.hour)
    union
    select organization_id, (hour at time zone 'UTC')::date, event_type, hour, booked_in
    from recounted
    where cast(:anew as boolean) and hour = :start
),
-- The events of the disturbed cells: of the hours whole, of late cells by when they were ingested.
events as materialized (
    select cell.*, contact_id, uuid_hash_extended(id, uuid_hash_extended(contact_id, 0)) as fingerprint
    from (
        select hours.hour as of_hour, event.*
        from (select distinct hour from disturbed where booked_in = hour) as hours
        cross join lateral (
            select organization_id, event_type, contact_id, id
            from analytics.contact_activity
            where occurred_at >= hours.hour and occurred_at < hours.hour + interval '1 hour'
                and created_at < hours.hour + interval '1 hour'
            offset 0 -- the hours first, each by its index: else the planner sorts the whole table
        ) as event
        offset 0 -- and each once: else the planner reads it again for every cell
    ) as event
    join disturbed as cell
        on cell.booked_in = of_hour and cell.hour = of_hour
        and cell.organization_id = event.organization_id and cell.event_type = event.event_type
    union all
    select cell.*, contact_id, uuid_hash_extended(id, uuid_hash_extended(contact_id, 0))
    from (
        select runs.booked_in as of_run, event.*
        from (select distinct booked_in from disturbed where booked_in > hour) as runs
        cross join lateral (
            select organization_id, event_type, contact_id, id, analytics.hour_of(occurred_at) as of_hour
            from analytics.contact_activity
            where
-- include: is_late
                and created_at >= runs.booked_in
                and (created_at < runs.booked_in + interval '1 hour' or created_at = runs.booked_in) -- infinity
            offset 0
        ) as event
        offset 0
    ) as event
    join disturbed as cell
        on cell.booked_in = of_run and cell.hour = of_hour
        and cell.organization_id = event.organization_id and cell.event_type = event.event_type
),
-- In which cell each of their contacts was first seen that day.
first_seen as (
    select organization_id, event_type, hour, booked_in, count(*) as count
    from (
        select distinct on (organization_id, event_type, contact_id, day)
            organization_id, event_type, hour, booked_in
        from (
            select organization_id, event_type, contact_id, (occurred_at at time zone 'UTC')::date as day,
                analytics.hour_of(occurred_at) as hour,
                greatest(analytics.hour_of(occurred_at), analytics.hour_of(created_at)) as booked_in
            from analytics.contact_activity
            where analytics.visitor_key(occurred_at, contact_id)
                = any(array(select distinct analytics.visitor_key(hour, contact_id) from events))
        ) as visit
        order by organization_id, event_type, contact_id, day, booked_in, hour
    ) as first_visit
    group by organization_id, event_type, hour, booked_in
),
counted as (
    select organization_id, event_type, hour, booked_in, count(*) as count, bit_xor(fingerprint) as fingerprint
    from events
    group by organization_id, event_type, hour, booked_in
)
insert into analytics.hourly_cells as known (
    organization_id, date, event_type, hour, booked_in, count, first_seen, fingerprint
)
select organization_id, date, event_type, hour, booked_in, coalesce(counted.count, 0),
    coalesce(first_seen.count, 0), coalesce(counted.fingerprint, 0)
from disturbed
left join counted using (organization_id, event_type, hour, booked_in)
left join first_seen using (organization_id, event_type, hour, booked_in)
on conflict (organization_id, date, event_type, hour, booked_in) do update set
    count = excluded.count,
    first_seen = excluded.first_seen,
    fingerprint = excluded.fingerprint
where (known.count, known.first_seen, known.fingerprint)
    is distinct from (excluded.count, excluded.first_seen, excluded.fingerprint)

-- name: set_days
-- The rows of :days are the sums of their cells: set, never added to, and not written where they would
-- not change. Those of :cleared that have no cell, from before there were cells, are 0. Also how many
-- events the run's own cells hold, and which tenants send types in our reserved form.
with sums as materialized (
    select organization_id, cell.date, event_type, sum(count) as count, sum(first_seen) as first_seen,
        sum(count) filter (where hour = :start or booked_in = :start) as own_count
    from unnest(cast(:days as date[])) as day (date)
    join analytics.hourly_cells as cell
        on hour >= day.date::timestamp at time zone 'UTC' and hour < (day.date + 1)::timestamp at time zone 'UTC'
    where
-- include: within_shard
    group by organization_id, cell.date, event_type
),
orphans as (
    select organization_id, date, event_type
    from analytics.event_aggregates
    where date = any(cast(:cleared as date[])) and
-- include: within_shard
    except
    select organization_id, date, event_type from sums
),
written as (
    insert into analytics.event_aggregates as known (
        organization_id, date, event_type, count, unique_count, updated_at
    )
    select organization_id, date, event_type, count, first_seen, now()
    from (
        select organization_id, date, event_type, count, first_seen from sums
        union all
        select organization_id, date, event_type, 0, 0 from orphans
    ) as day
    where event_type not like 'monthly:%'
    on conflict (organization_id, date, event_type) do update set
        count = excluded.count,
        unique_count = excluded.unique_count,
        updated_at = excluded.updated_at
    where (known.count, known.unique_count) is distinct from (excluded.count, excluded.unique_count)
    returning 1
)
select (select count(*) from written) as rows_written,
    coalesce(cast(sum(own_count) as bigint), 0) as rows_read,
    array_agg(distinct organization_id) filter (where event_type like 'monthly:%' and own_count > 0) as refused
from sums
