-- name: prefer_hashing
-- Settings for the next statement. The planner expects a few contacts in the hour, and there may be a hundred thousand:
-- sorting them would take a quarter of the run. Earlier events of known contacts are read in the order of the table,
-- not one by one.
select set_config('enable_sort', 'off', true), set_config('enable_indexscan', 'off', true)

-- name: prefer_nothing
select set_config('enable_sort', 'on', true), set_config('enable_indexscan', 'on', true)

-- name: count_hour
-- Count the cells of an hour that has none, and list them (fresh) and its late events (look) before the run's turn:
-- taking the turn needs its keys, and this saves a pass. A cell is a function of the events, so it stays valid unless
-- another run writes its day in the meantime, which `take_turns` checks. Nothing is listed if the hour has :most events
-- or more, or a key before its retained period: the survey handles these. The settings above end here.
with
-- include: was_booked_before
,
visitors as (
    select organization_id, event_type, contact_id, count(fingerprint) as count,
        bit_xor(fingerprint) as fingerprint, bool_or(fingerprint is null) as is_known
    from (
        select *
        from (
            select organization_id, event_type, contact_id,
                uuid_hash_extended(id, uuid_hash_extended(contact_id, 0)) as fingerprint
            from analytics.contact_activity
            where (select not is_known from again)
                and occurred_at >= :start and occurred_at < :until and created_at < :until and
-- include: within_days
                and
-- include: within_shard
            limit cast(:most as bigint)
        ) as own
        union all
        select organization_id, event_type, contact_id, null
        from analytics.contact_activity
        where analytics.visitor_key(occurred_at, contact_id) = any(array(
                select distinct analytics.visitor_key(:start, contact_id)
                from (
                    select contact_id
                    from analytics.contact_activity
                    where (select not is_known from again)
                        and occurred_at >= :start and occurred_at < :until and
-- include: within_days
                        and
-- include: within_shard
                    limit cast(:most as bigint)
                ) as own
                order by 1 -- in the index's order: the executor would sort them anyway, more slowly
            ))
            and analytics.hour_of_day(occurred_at) < analytics.hour_of_day(:start) and created_at < :until and
-- include: within_shard
    ) as event
    group by organization_id, event_type, contact_id
),
cells as (
    select 'fresh' as kind, organization_id, event_type, cast(:start as timestamptz) as hour,
        cast(:until as timestamptz) as until, cast(sum(count) as bigint) as count,
        count(*) filter (where not is_known) as first_seen, bit_xor(fingerprint) as fingerprint
    from visitors
    group by organization_id, event_type
    having sum(count) > 0
    union all
    -- Late events that the run also books: they are the earlier events of their contacts.
    select 'look', organization_id, event_type, analytics.hour_of(occurred_at), null, count(*), null,
        bit_xor(uuid_hash_extended(id, uuid_hash_extended(contact_id, 0)))
    from analytics.contact_activity
    where (select not is_known from again) and
-- include: is_late
        and created_at >= :start and created_at < :until
        and occurred_at < :start and isfinite(occurred_at) and
-- include: within_days
        and
-- include: within_shard
    group by organization_id, event_type, analytics.hour_of(occurred_at)
),
judged as materialized (
    select work.*,
-- include: is_retained
        as is_retained
    from (select cells.*, (hour at time zone 'UTC')::date as date from cells) as work
-- include: retained_period
),
listed as (
    insert into analytics.hourly_work (
        kind, organization_id, date, event_type, hour, until, booked_in, count, first_seen, fingerprint, turn_taken_at
    )
    select kind, organization_id, date, event_type, hour, until, :start, count, first_seen, fingerprint, taken_at
    from judged
    left join (
        select organization_id, taken_at from analytics.booking_turns where date = cast(:day as date)
    ) as turn using (organization_id)
    where (select bool_and(is_retained) and sum(count) < cast(:most as bigint) from judged)
)
select set_config('enable_sort', 'on', true), set_config('enable_indexscan', 'on', true)

-- name: book_fresh_hour
-- Book the events of the fresh keys that were ingested by the hour's end and not counted yet, or the part of them in a
-- range of contacts. The ranges of one transaction add up, because they share no contact. A contact counts as first
-- seen if the day has no earlier event of it: one pass over the day's part of the index answers that for all contacts.
with visitors as (
    select organization_id, event_type, contact_id, count(fingerprint) as count,
        bit_xor(fingerprint) as fingerprint, bool_or(fingerprint is null) as is_known
    from (
        select organization_id, event_type, contact_id,
            uuid_hash_extended(id, uuid_hash_extended(contact_id, 0)) as fingerprint
        from analytics.contact_activity
        where occurred_at >= :start and occurred_at < :until and created_at < :until and
-- include: within_shard
            and
-- include: of_contacts
        union all
        select organization_id, event_type, contact_id, null
        from analytics.contact_activity
        where analytics.visitor_key(occurred_at, contact_id) = any(array(
                select distinct analytics.visitor_key(:start, contact_id)
                from analytics.contact_activity
                where occurred_at >= :start and occurred_at < :until and
-- include: within_shard
                    and
-- include: of_contacts
                order by 1 -- in the index's order: the executor would sort them anyway, more slowly
            ))
            and analytics.hour_of_day(occurred_at) < analytics.hour_of_day(:start) and created_at < :until and
-- include: within_shard
            and
-- include: of_contacts
    ) as event
    group by organization_id, event_type, contact_id
),
cells as (
    select organization_id, event_type, sum(count) as count, count(*) filter (where not is_known) as first_seen,
        bit_xor(fingerprint) as fingerprint
    from visitors
    group by organization_id, event_type
    having sum(count) > 0
)
insert into analytics.hourly_cells as known (
    organization_id, date, event_type, hour, booked_in, count, first_seen, fingerprint
)
select work.organization_id, work.date, work.event_type, :start, :start,
    cells.count, cells.first_seen, cells.fingerprint
from analytics.hourly_work as work
join cells on cells.organization_id = work.organization_id and cells.event_type = work.event_type
-- include: retained_period
where kind = 'fresh' and work.first_seen is null and (
-- include: is_retained
) and
-- include: not_booked_otherwise
on conflict (organization_id, date, event_type, hour, booked_in) do update set
    count = known.count + excluded.count,
    first_seen = known.first_seen + excluded.first_seen,
    fingerprint = known.fingerprint # excluded.fingerprint

-- name: find_disturbed
-- Compare the listed cells (look) with their events, and list the cells to book (book): those that differ, and all
-- later cells of their day, because the first event of a contact may have moved. A backfill books every cell of the
-- hour. Each is listed with its number of events. One statement examines the hours [:first_hour, :until_hour), and late
-- events if it is the first.
with asked as materialized (
    select distinct organization_id, date, event_type, hour, until
    from analytics.hourly_work as work
-- include: retained_period
    where kind = 'look' and until is not null and (
-- include: is_retained
        )
),
whole as materialized (
    select organization_id, date, event_type, greatest(hour, cast(:first_hour as timestamptz)) as hour,
        least(until, cast(:until_hour as timestamptz)) as until
    from asked
    where hour < cast(:until_hour as timestamptz) and until > cast(:first_hour as timestamptz)
),
late as materialized (
    select distinct organization_id, date, event_type, hour, booked_in
    from analytics.hourly_work as work
-- include: retained_period
    where kind = 'look' and until is null and (
-- include: is_retained
        ) and not isfinite(cast(:first_hour as timestamptz)) and not exists (
            select 1 from asked
            where asked.organization_id = work.organization_id and asked.event_type = work.event_type
                and asked.hour <= work.hour and work.hour < asked.until
        )
),
recounted as (
    select organization_id, date, event_type, hour, booked_in, count(*) as count, bit_xor(fingerprint) as fingerprint
    from (
        select organization_id, date, event_type, event.hour,
            greatest(event.hour, analytics.hour_of(created_at)) as booked_in, fingerprint
        from whole
        cross join lateral (
            select analytics.hour_of(occurred_at) as hour, created_at,
                uuid_hash_extended(id, uuid_hash_extended(contact_id, 0)) as fingerprint
            from analytics.contact_activity as event
            where event.organization_id = whole.organization_id and event.event_type = whole.event_type
                and event.occurred_at >= whole.hour and event.occurred_at < whole.until
            offset 0 -- each key by its index
        ) as event
        union all
        select late.*, fingerprint
        from (
            select runs.booked_in as of_run, event.*
            from (select distinct booked_in from late) as runs
            cross join lateral (
                select organization_id, event_type, analytics.hour_of(occurred_at) as of_hour,
                    uuid_hash_extended(id, uuid_hash_extended(contact_id, 0)) as fingerprint
                from analytics.contact_activity
                where
-- include: is_late
                    and created_at >= runs.booked_in
                    and (created_at < runs.booked_in + interval '1 hour' or created_at = runs.booked_in) -- infinity
                offset 0
            ) as event
            offset 0
        ) as event
        join late
            on late.booked_in = of_run and late.hour = of_hour
            and late.organization_id = event.organization_id and late.event_type = event.event_type
    ) as event
    group by organization_id, date, event_type, hour, booked_in
),
known as materialized (
    select cell.organization_id, cell.date, cell.event_type, cell.hour, cell.booked_in, cell.count, cell.fingerprint
    from whole
    join analytics.hourly_cells as cell using (organization_id, date, event_type)
    where cell.hour >= whole.hour and cell.hour < whole.until
    union all
    select cell.organization_id, cell.date, cell.event_type, cell.hour, cell.booked_in, cell.count, cell.fingerprint
    from late
    join analytics.hourly_cells as cell using (organization_id, date, event_type, hour, booked_in)
),
changed as materialized (
    select organization_id, date, event_type, hour, booked_in, greatest(recounted.count, known.count) as count,
        recounted.count as actual_count, recounted.fingerprint as actual_fingerprint
    from recounted
    full join known using (organization_id, date, event_type, hour, booked_in)
    where ((recounted.count, recounted.fingerprint) is distinct from (known.count, known.fingerprint)
            and (recounted.count is not null or known.count > 0))
        or (cast(:recount as boolean) and hour = :start)
    union all
    -- An hour that is booked for the first time, after later ones.
    select organization_id, date, event_type, hour, hour, 0, null, null
    from whole
    where hour = :start and not exists (
        select 1 from known
        where known.organization_id = whole.organization_id and known.date = whole.date
            and known.event_type = whole.event_type and known.hour = whole.hour and known.booked_in = whole.hour
    )
)
insert into analytics.hourly_work (kind, organization_id, date, event_type, hour, booked_in, count)
select 'book', organization_id, date, event_type, hour, booked_in, max(count)
from (
    select organization_id, date, event_type, hour, booked_in, count from changed
    union all
    select later.organization_id, later.date, later.event_type, later.hour, later.booked_in, later.count
    from changed
    cross join lateral (
        select * from analytics.hourly_cells as cell
        where cell.organization_id = changed.organization_id and cell.date = changed.date
            and cell.event_type = changed.event_type
            and (cell.booked_in, cell.hour) > (changed.booked_in, changed.hour)
        offset 0
    ) as later
    union all
    -- Also cells that were counted before the turn, unless the cell still has the same late events.
    select organization_id, date, event_type, fresh.hour, fresh.booked_in, fresh.count
    from changed
    join analytics.hourly_work as fresh using (organization_id, date, event_type)
    where kind = 'fresh' and first_seen is not null
        and (fresh.booked_in, fresh.hour) > (changed.booked_in, changed.hour)
        and ((organization_id, date, event_type, changed.hour, changed.booked_in, actual_count, actual_fingerprint) in (
            select organization_id, date, event_type, hour, booked_in, count, fingerprint
            from analytics.hourly_work
            where kind = 'look' and fingerprint is not null
        )) is not true
) as cell
group by organization_id, date, event_type, hour, booked_in

-- name: size_of_booking
-- The number of events in the cells to book.
select coalesce(cast(sum(count) as bigint), 0) as events
from (
    -- once, although several hours may list it
    select max(count) as count
    from analytics.hourly_work
    where kind = 'book'
    group by organization_id, date, event_type, hour, booked_in
) as cell

-- name: book_cells
-- Set the listed cells, or add the counts of another range of contacts. A cell without events becomes 0.
with disturbed as materialized (
    select distinct organization_id, date, event_type, hour, booked_in from analytics.hourly_work where kind = 'book'
),
events as materialized (
    select cell.*, contact_id, fingerprint
    from disturbed as cell
    cross join lateral (
        select contact_id, uuid_hash_extended(id, uuid_hash_extended(contact_id, 0)) as fingerprint
        from analytics.contact_activity as event
        where event.organization_id = cell.organization_id and event.event_type = cell.event_type
            and event.occurred_at >= cell.hour and event.occurred_at < cell.hour + interval '1 hour'
            and event.created_at < cell.hour + interval '1 hour' and
-- include: of_contacts
        offset 0 -- each key by its index
    ) as event
    where cell.booked_in = cell.hour
    union all
    select cell.*, contact_id, fingerprint
    from (
        select runs.booked_in as of_run, event.*
        from (select distinct booked_in from disturbed where booked_in > hour) as runs
        cross join lateral (
            select organization_id, event_type, contact_id, analytics.hour_of(occurred_at) as of_hour,
                uuid_hash_extended(id, uuid_hash_extended(contact_id, 0)) as fingerprint
            from analytics.contact_activity
            where
-- include: is_late
                and created_at >= runs.booked_in
                and (created_at < runs.booked_in + interval '1 hour' or created_at = runs.booked_in) -- infinity
                and
-- include: of_contacts
            offset 0
        ) as event
        offset 0
    ) as event
    join disturbed as cell
        on cell.booked_in = of_run and cell.hour = of_hour
        and cell.organization_id = event.organization_id and cell.event_type = event.event_type
),
-- The cell of the day in which each contact was first seen.
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
                and -- contacts with equal hashes may be in another range
-- include: of_contacts
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
select work.organization_id, work.date, work.event_type, work.hour, work.booked_in, coalesce(counted.count, 0),
    coalesce(first_seen.count, 0), coalesce(counted.fingerprint, 0)
from disturbed as work
left join counted using (organization_id, event_type, hour, booked_in)
left join first_seen using (organization_id, event_type, hour, booked_in)
-- include: retained_period
where (counted.count > 0 or exists (
        select 1 from analytics.hourly_cells as cell
        where cell.organization_id = work.organization_id and cell.date = work.date
            and cell.event_type = work.event_type and cell.hour = work.hour and cell.booked_in = work.booked_in
    )) and (
-- include: is_retained
)
on conflict (organization_id, date, event_type, hour, booked_in) do update set
    count = case when :adds then known.count else 0 end + excluded.count,
    first_seen = case when :adds then known.first_seen else 0 end + excluded.first_seen,
    fingerprint = case when :adds then known.fingerprint else 0 end # excluded.fingerprint
where :adds or (known.count, known.first_seen, known.fingerprint)
    is distinct from (excluded.count, excluded.first_seen, excluded.fingerprint)

-- name: set_days
-- Book the fresh cells that were counted before the turn. The row of each listed key is set to the sum of its cells,
-- and not written if it would not change. Rows that a backfill lists (set) without a cell become 0. Returns the number
-- of events in the run's own cells, and the organizations with event types of the reserved form. The list is deleted.
with keys as materialized (
    select organization_id, date, event_type, bool_or(kind = 'set') as is_set
    from analytics.hourly_work
    group by organization_id, date, event_type
),
counted as (
    insert into analytics.hourly_cells (
        organization_id, date, event_type, hour, booked_in, count, first_seen, fingerprint
    )
    select organization_id, date, event_type, hour, booked_in, count, first_seen, fingerprint
    from analytics.hourly_work as work
-- include: retained_period
    where kind = 'fresh' and first_seen is not null and (
-- include: is_retained
        ) and
-- include: not_booked_otherwise
    returning organization_id, date, event_type, count, first_seen
),
-- If the list has most keys of its day, one pass over the day's cells is cheaper than a lookup per key.
most as materialized (
    select count(*) > 100 and count(*) * 2 >= (
            select count(*) from analytics.hourly_cells
            where hour = :hour_before and
-- include: within_shard
        ) as are_listed
    from keys
    where date = cast(:day as date)
),
day as (
    select cells.*
    from most
    cross join lateral (
        select organization_id, event_type, sum(count) as count, sum(first_seen) as first_seen,
            sum(count) filter (where hour = :start or booked_in = :start) as own_count
        from analytics.hourly_cells
        where hour >= cast(:day_start as timestamptz) and hour < cast(:day_end as timestamptz) and
-- include: within_shard
        group by organization_id, event_type
        offset 0
    ) as cells
    where are_listed
),
summed as (
    select keys.*, count, first_seen, own_count
    from keys
    left join day using (organization_id, event_type)
    where date = cast(:day as date) and (select are_listed from most)
    union all
    select keys.*, cells.*
    from keys
    cross join lateral (
        select sum(count), sum(first_seen), sum(count) filter (where hour = :start or booked_in = :start)
        from analytics.hourly_cells as cell
        where cell.organization_id = keys.organization_id and cell.date = keys.date
            and cell.event_type = keys.event_type
    ) as cells
    where date <> cast(:day as date) or not (select are_listed from most)
),
sums as materialized (
    select work.*
    from (
        -- This statement does not see the cells that it books.
        select summed.organization_id, summed.date, summed.event_type, is_set,
            coalesce(summed.count + counted.count, summed.count, counted.count) as count,
            coalesce(summed.first_seen + counted.first_seen, summed.first_seen, counted.first_seen) as first_seen,
            coalesce(own_count + counted.count, own_count, counted.count) as own_count
        from summed
        left join counted using (organization_id, date, event_type)
    ) as work
-- include: retained_period
    where (count is not null or is_set) and (
-- include: is_retained
    )
),
written as (
    insert into analytics.event_aggregates as known (
        organization_id, date, event_type, count, unique_count, updated_at
    )
    select organization_id, date, event_type, coalesce(count, 0), coalesce(first_seen, 0), now()
    from sums
    where event_type not like 'monthly:%'
    on conflict (organization_id, date, event_type) do update set
        count = excluded.count,
        unique_count = excluded.unique_count,
        updated_at = excluded.updated_at
    where (known.count, known.unique_count) is distinct from (excluded.count, excluded.unique_count)
    returning 1
),
done as (
    delete from analytics.hourly_work
)
select (select count(*) from written) + (select count(*) from counted) as rows_written,
    coalesce(cast(sum(own_count) as bigint), 0) as rows_read,
    array_agg(distinct organization_id) filter (where event_type like 'monthly:%' and own_count > 0) as refused
from sums
