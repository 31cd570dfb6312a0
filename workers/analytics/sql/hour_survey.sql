-- name: survey_hour
-- List the work of the window [:start, :until): its own hour (fresh), late events that were ingested in it, and cells
-- that no longer match their events (look). Two earlier runs are compared for that: the run of the previous hour, for
-- commits that it could not see, and the run of a day ago, for the last time and key by key, so that a change of any
-- column is found. Updates record the hours that they changed (changed_hours), which may be older. A backfill also
-- lists every row of its day (set). Days before the retained period are left out; the number of their events is
-- returned by organization. Also returns whether the hour was booked before: then its cells are compared with its
-- events. Cells that `count_hour` has counted are listed already.
with
-- include: was_booked_before
,
counted as materialized (
    select kind, organization_id, event_type from analytics.hourly_work
),
-- Only a finished run can be compared: one with cells, or one that found no event according to the ledger.
checked as materialized (
    select run, run + interval '1 hour' as until, is_final
    from (
        select cast(:hour_before as timestamptz) as run, false as is_final, (
                select true from analytics.hourly_cells
                where hour >= cast(:start as timestamptz) - interval '1 day' and hour < :start
                order by hour -- by its index
                limit 1
            ) as is_booked
        union all
        select cast(:start as timestamptz) - interval '1 day', true, false
    ) as earlier
    where is_booked or exists (
        select 1 from ops.job_runs
        where job_type = :job_type and shard = '' and status = 'succeeded' and window_start = run
    )
),
-- The late events of these runs and of this one: read once, by their own index.
lately as materialized (
    select run, event.*
    from (select run from checked union all select :start) as runs
    cross join lateral (
        select organization_id, event_type, analytics.hour_of(occurred_at) as hour,
            uuid_hash_extended(id, uuid_hash_extended(contact_id, 0)) as fingerprint
        from analytics.contact_activity
        where
-- include: is_late
            and created_at >= run and created_at < run + interval '1 hour'
            and occurred_at < :start and isfinite(occurred_at) and
-- include: within_days
            and
-- include: within_shard
        offset 0
    ) as event
),
-- Did the run of the previous hour book the current number of events of each organization? The weights add up to the
-- same sum in one pass.
before as materialized (
    select coalesce((
            select sum(uuid_hash(organization_id))
            from analytics.contact_activity
            where occurred_at >= :hour_before and occurred_at < :start
                and ctid <> '(0,0)' -- always true: an index-only search by organization would take longer
                and
-- include: within_days
                and
-- include: within_shard
        ), 0) + coalesce((
            -- Late events that it booked; late events of that hour that were ingested in this one belong to this run.
            select sum(case when run = :hour_before then 1 when hour = :hour_before then -1 else 0 end
                * cast(uuid_hash(organization_id) as bigint))
            from lately
            where run >= :hour_before
        ), 0) <> coalesce((
            select sum(uuid_hash(organization_id) * count)
            from (
                select organization_id, count
                from analytics.hourly_cells
                where hour = :hour_before and booked_in <> :start and
-- include: cell_within_days
                    and
-- include: within_shard
                union all
                select organization_id, count
                from analytics.hourly_cells
                where booked_in = :hour_before and booked_in > hour and
-- include: cell_within_days
                    and
-- include: within_shard
            ) as cell
        ), 0) as has_moved
    from checked
    where not is_final
),
compared as materialized (
    select run, until from checked where is_final or (select has_moved from before)
    union all
    select :start, :until from again where is_known
),
actual as materialized (
    select organization_id, event_type, hour, booked_in, cast(sum(count) as bigint) as count,
        bit_xor(fingerprint) as fingerprint
    from (
        select organization_id, event_type, run as hour, coalesce(late_in, run) as booked_in, count, fingerprint
        from compared
        cross join lateral (
            select organization_id, event_type,
                case when created_at >= compared.until then analytics.hour_of(created_at) end as late_in,
                count(*) as count,
                bit_xor(uuid_hash_extended(id, uuid_hash_extended(contact_id, 0))) as fingerprint
            from analytics.contact_activity
            where occurred_at >= run and occurred_at < compared.until and
-- include: within_days
                and
-- include: within_shard
            group by organization_id, event_type, late_in
            offset 0
        ) as event
        where late_in is distinct from :start or run = :start
        union all
        select organization_id, event_type, hour, run, 1, fingerprint
        from lately
        join compared using (run)
    ) as event
    group by organization_id, event_type, hour, booked_in
),
known as (
    select cell.*
    from compared
    cross join lateral (
        select organization_id, event_type, hour, booked_in, count, fingerprint
        from analytics.hourly_cells
        where hour = run and (booked_in <> :start or run = :start) and
-- include: cell_within_days
            and
-- include: within_shard
        union all
        select organization_id, event_type, hour, booked_in, count, fingerprint
        from analytics.hourly_cells
        where booked_in = run and booked_in > hour and
-- include: cell_within_days
            and
-- include: within_shard
        offset 0
    ) as cell
),
own as materialized (
    select organization_id, event_type, cast(sum(count) as bigint) as count,
        coalesce(cast(sum(count) filter (where booked_in > hour) as bigint), 0) as late_count
    from actual
    where hour = :start
    group by organization_id, event_type
    union all
    -- Cells that are not compared were not read yet.
    select event.*
    from again
    cross join lateral (
        select organization_id, event_type, count(*) as count, count(*) filter (where created_at >= :until) as late_count
        from analytics.contact_activity
        where occurred_at >= :start and occurred_at < :until and
-- include: within_days
            and
-- include: within_shard
        group by organization_id, event_type
        offset 0
    ) as event
    where not is_known and not exists (select 1 from counted)
),
-- include: changed_hours
,
found as (
    select 'fresh' as kind, organization_id, event_type, cast(:start as timestamptz) as hour,
        cast(:start as timestamptz) as booked_in, count - late_count as count
    from own
    where count > late_count and (organization_id, event_type) not in (
            select organization_id, event_type from counted where kind = 'fresh'
        )
    union all
    -- Events of the hour that were ingested after its end.
    select 'look', organization_id, event_type, :start, analytics.hour_of(created_at), count(*)
    from analytics.contact_activity
    where occurred_at >= :start and occurred_at < :until and created_at >= :until
        and ((select sum(late_count) > 0 from own) or exists (select 1 from counted)) and
-- include: is_late
        and
-- include: within_days
        and
-- include: within_shard
    group by organization_id, event_type, analytics.hour_of(created_at)
    union all
    select 'look', organization_id, event_type, hour, :start, count(*)
    from lately
    where run = :start and not exists (select 1 from counted)
    group by organization_id, event_type, hour
    union all
    -- Late events that this run has booked before, and that may be deleted.
    select 'look', organization_id, event_type, hour, booked_in, 0
    from analytics.hourly_cells
    where booked_in = :start and booked_in > hour and count > 0 and
-- include: cell_within_days
        and
-- include: within_shard
    union all
    -- Cells that differ. A missing cell of this hour is fresh.
    select 'look', organization_id, event_type, hour, booked_in, coalesce(actual.count, 0)
    from actual
    full join known using (organization_id, event_type, hour, booked_in)
    where (actual.count, actual.fingerprint) is distinct from (known.count, known.fingerprint)
        and (actual.count is not null or known.count > 0)
        and (known.count is not null or hour <> :start or booked_in <> :start)
    union all
    -- An hour that is booked after later ones: those may count its contacts as seen, by events that are deleted by now.
    select 'look', organization_id, event_type, :start, null, 0
    from (
        select organization_id, event_type from analytics.hourly_cells
        where hour > :start and hour < cast(:day_end as timestamptz) and
-- include: cell_within_days
            and
-- include: within_shard
        union
        select organization_id, event_type from analytics.hourly_cells
        where booked_in > :start and booked_in > hour and date = cast(:day as date) and
-- include: cell_within_days
            and
-- include: within_shard
    ) as later
    where organization_id not in (
            select organization_id from analytics.hourly_cells where hour = :start and booked_in = :start
        )
    union all
    -- Hours of any age in which an update has changed events.
    select distinct 'look', organization_id, event_type, hour, cast(null as timestamptz), 0
    from changed_hours
    union all
    -- A backfill trusts no row of its day.
    select 'set', organization_id, event_type, :start, null, 0
    from analytics.event_aggregates
    where cast(:recount as boolean) and date = cast(:day as date) and event_type not like 'monthly:%' and
-- include: within_shard
    union all
    select 'set', organization_id, event_type, :start, null, 0
    from analytics.hourly_cells
    where cast(:recount as boolean) and hour >= cast(:day_start as timestamptz) and hour < cast(:day_end as timestamptz) and
-- include: within_shard
),
judged as materialized (
    select work.*,
-- include: is_retained
        as is_retained
    from (select found.*, (hour at time zone 'UTC')::date as date from found) as work
-- include: retained_period
),
listed as (
    insert into analytics.hourly_work (kind, organization_id, date, event_type, hour, until, booked_in, count)
    select kind, organization_id, date, event_type, hour,
        case when booked_in is null or booked_in = hour then hour + interval '1 hour' end, booked_in, count
    from judged
    where is_retained
),
refused as (
    select organization_id, cast(sum(count) as bigint) as count
    from judged
    where not is_retained and count > 0
    group by organization_id
)
select is_known as was_compared,
    (select coalesce(jsonb_object_agg(organization_id, count), '{}') from refused) as before_retention
from again

-- name: take_turns
-- Lock the days of the listed organizations until the end of the transaction. Cells that were counted before stay valid
-- if no other run has had a turn since; the others are counted again.
with taken as (
    insert into analytics.booking_turns as turn (organization_id, date)
    select distinct organization_id, date from analytics.hourly_work order by organization_id, date
    on conflict (organization_id, date) do update set
        taken_before = turn.taken_at,
        taken_at = greatest(now(), turn.taken_at + interval '1 microsecond') -- no two are equal
    returning organization_id, date, taken_before
)
update analytics.hourly_work as work set first_seen = null, fingerprint = null
from taken
where work.first_seen is not null
    and work.organization_id = taken.organization_id and work.date = taken.date
    and work.turn_taken_at is distinct from taken.taken_before

-- name: sort_work
-- In the run's turn: an hour with a cell is not fresh. The survey has seen whether that cell is correct, unless it was
-- booked since. An hour with later cells on its day is examined, as is every hour of a backfill. For a key
-- (organization, day, type) without a cell the whole day except :start is examined, so that its row is not set to a
-- part; later hours only if the key was counted before there were cells.
with later as materialized (
    select organization_id, event_type from analytics.hourly_cells
    where hour > :start and hour < cast(:day_end as timestamptz) and
-- include: within_shard
    union
    select organization_id, event_type from analytics.hourly_cells
    where booked_in > :start and booked_in > hour and date = cast(:day as date) and
-- include: within_shard
),
known as materialized (
    select organization_id, event_type from analytics.hourly_cells
    where hour = :start and booked_in = :start and
-- include: within_shard
),
stale as (
    update analytics.hourly_work set
        kind = case when cast(:was_compared as boolean) and not cast(:recount as boolean)
                and (organization_id, event_type) not in (select organization_id, event_type from later)
                then 'set' else 'look' end,
        booked_in = null,
        until = :until
    where kind = 'fresh' and (
        cast(:recount as boolean)
        or (organization_id, event_type) in (select organization_id, event_type from known)
        or (organization_id, event_type) in (select organization_id, event_type from later)
    )
),
unbegun as materialized (
    select key.*
    from (
        select distinct organization_id, date, event_type
        from analytics.hourly_work
        where (organization_id, date, event_type) not in ( -- most existed an hour ago
            select organization_id, date, event_type from analytics.hourly_cells
            where hour >= :hour_before and hour <= :start and
-- include: within_shard
        )
    ) as key
    left join lateral (
        select true as is_begun
        from analytics.hourly_cells as cell
        where cell.organization_id = key.organization_id and cell.date = key.date
            and cell.event_type = key.event_type
        limit 1 -- by its index: with `exists` the planner hashes the whole table
    ) as cell on true
    where is_begun is null
),
-- The listed work of these keys is part of their day.
covered as (
    update analytics.hourly_work set kind = 'set'
    where kind = 'look' and hour <> :start
        -- `is true` keeps it a hash lookup
        and ((organization_id, date, event_type) in (select organization_id, date, event_type from unbegun)) is true
)
insert into analytics.hourly_work (kind, organization_id, date, event_type, hour, until)
select 'look', key.organization_id, key.date, key.event_type, part.start, part.until
from unbegun as key
cross join lateral (select key.date::timestamp at time zone 'UTC' as midnight) as day
cross join lateral (
    select midnight as start, least(midnight + interval '1 day', :start) as until
    union all
    select greatest(midnight, :until), midnight + interval '1 day'
    where (
        select true
        from analytics.event_aggregates as row
        where row.organization_id = key.organization_id and row.date = key.date and row.event_type = key.event_type
        limit 1
    )
) as part
where part.start < part.until and (
    select true
    from analytics.contact_activity as event
    where event.organization_id = key.organization_id and event.event_type = key.event_type
        and event.occurred_at >= part.start and event.occurred_at < part.until
    limit 1
)

-- name: size_of_work
-- The number of listed events, counted up to :most; the number of them in fresh cells that are not counted yet; and
-- whether there are cells to examine.
select cast((
        select count(*)
        from (
            select 1
            from (
                select distinct organization_id, event_type, hour, until
                from analytics.hourly_work
                where kind = 'look' and until is not null
            ) as work
            cross join lateral (
                select 1
                from analytics.contact_activity as event
                where event.organization_id = work.organization_id and event.event_type = work.event_type
                    and event.occurred_at >= work.hour and event.occurred_at < work.until
                offset 0
            ) as event
            limit :most
        ) as counted
    ) + coalesce(sum(count) filter (where kind = 'fresh' or until is null), 0) as bigint) as events,
    coalesce(cast(sum(count) filter (where kind = 'fresh' and first_seen is null) as bigint), 0) as fresh_events,
    coalesce(bool_or(kind = 'look'), false) as has_looks
from analytics.hourly_work

-- name: sizes_of_work
-- The number of events of each listed key, by day. All days before the supported calendar are one day.
select greatest(date, date '0001-01-01') as day, organization_id, event_type as part,
    cast(sum(count) as bigint) as count
from (
    select organization_id, date, event_type, count
    from analytics.hourly_work
    where kind = 'fresh' or (kind = 'look' and until is null)
    union all
    select organization_id, date, event_type, event.count
    from (
        select distinct organization_id, date, event_type, hour, until
        from analytics.hourly_work
        where kind = 'look' and until is not null
    ) as work
    cross join lateral (
        select count(*) as count
        from analytics.contact_activity as event
        where event.organization_id = work.organization_id and event.event_type = work.event_type
            and event.occurred_at >= work.hour and event.occurred_at < work.until
    ) as event
) as sized
group by 1, 2, 3
order by 1, 2, 3

-- name: hours_to_look_at
-- The hours with whole cells to examine.
select distinct part as hour
from (
    select distinct hour, until from analytics.hourly_work
    where kind = 'look' and isfinite(hour) and isfinite(until)
) as work
cross join lateral generate_series(hour, until - interval '1 microsecond', interval '1 hour') as part
order by part

-- name: contact_cuts
-- The split points of the contacts of the cells of a kind, with about the same number of events per range.
select distinct unnest(percentile_disc(cast(:fractions as double precision[])) within group (order by contact_id)) as cut
from (
    select distinct organization_id, event_type, hour, hour + interval '1 hour' as until
    from analytics.hourly_work
    where kind = :kind
) as work
cross join lateral (
    select contact_id
    from analytics.contact_activity as event
    where event.organization_id = work.organization_id and event.event_type = work.event_type
        and event.occurred_at >= work.hour and event.occurred_at < work.until
        and uuid_hash(id) & 63 = 0
    offset 0
) as event
order by cut
