-- name: survey_hour
-- What the run of the window [:start, :until) has to do beside its own hour. `has_late`: late events
-- were ingested in the window, or there are cells of such. `hours` are to be recounted: those of days
-- that nobody has booked yet, and those with events that were committed too late for their own run, that
-- of the hour before or that of a day ago. `events` is how many events all of this has, counted no
-- further than :most. `days` are those that the run writes, `unbegun` those of them that nobody has booked.
with own as (
    select count(*) as count
    from analytics.contact_activity
    where occurred_at >= :start and occurred_at < :until and
-- include: within_shard
),
-- Two runs are checked for events that were committed after them: that of the hour before, by its
-- number of events, and that of a day ago, for the last time and event by event. Only a run that is done
-- can be checked: one that has cells, or that the ledger knows to have found no event.
checked as materialized (
    select run, is_final
    from (
        select cast(:start as timestamptz) - interval '1 hour' as run, false as is_final, exists (
                select 1 from analytics.hourly_cells
                where hour >= cast(:start as timestamptz) - interval '1 day' and hour < :start
            ) as is_booked
        union all
        select cast(:start as timestamptz) - interval '1 day', true, false
    ) as earlier
    where is_booked or exists (
        select 1 from ops.job_runs
        where job_type = :job_type and shard = '' and status = 'succeeded' and window_start = run
    )
),
-- The late events of these runs and of ours: read once, by their own index.
lately as materialized (
    select run, event.*
    from (select run from checked union all select :start) as runs
    cross join lateral (
        select organization_id, event_type, occurred_at, created_at, analytics.hour_of(occurred_at) as hour,
            uuid_hash_extended(id, uuid_hash_extended(contact_id, 0)) as fingerprint
        from analytics.contact_activity
        where
-- include: is_late
            and created_at >= run and created_at < run + interval '1 hour'
            and occurred_at < :start and isfinite(occurred_at)
        offset 0
    ) as event
),
late as (
    select occurred_at
    from lately
    where run = :start and
-- include: within_shard
),
known_late as (
    select hour
    from analytics.hourly_cells
    where booked_in = :start and booked_in > hour and count > 0 and
-- include: within_shard
),
-- What these runs should have booked, less what they have booked: events of their own hours, and late
-- ones of other hours. An event of their hour that was ingested in ours is ours to book. The number
-- tells that something is missing; where as many were deleted only the fingerprint tells, at a higher price.
moved as (
    select hour
    from (
        select run as hour, own.count, 0 as fingerprint
        from checked
        cross join lateral (
            select count(*) as count
            from analytics.contact_activity
            where occurred_at >= run and occurred_at < run + interval '1 hour' and
-- include: within_shard
        ) as own
        where not is_final
        union all
        select run, own.count, own.fingerprint
        from checked
        cross join lateral (
            select count(*) as count, bit_xor(uuid_hash_extended(id, uuid_hash_extended(contact_id, 0))) as fingerprint
            from analytics.contact_activity
            where occurred_at >= run and occurred_at < run + interval '1 hour' and
-- include: within_shard
        ) as own
        where is_final
        union all
        select hour, 1, case when is_final then fingerprint else 0 end
        from lately
        join checked using (run)
        where
-- include: within_shard
        union all
        select lately.hour, -1, case when is_final then fingerprint else 0 end
        from lately
        join checked on checked.run = lately.hour
        where lately.run = :start and
-- include: within_shard
        union all
        select run, -cell.count, case when is_final then fingerprint else 0 end
        from checked
        cross join lateral (
            select count, fingerprint from analytics.hourly_cells
            where hour = run and booked_in <> :start and
-- include: within_shard
            offset 0
        ) as cell
        union all
        select cell.hour, -cell.count, case when is_final then fingerprint else 0 end
        from checked
        cross join lateral (
            select hour, count, fingerprint from analytics.hourly_cells
            where booked_in = run and booked_in > hour and
-- include: within_shard
            offset 0
        ) as cell
    ) as balance
    group by hour
    having sum(count) <> 0 or bit_xor(fingerprint) <> 0
),
-- Days that are not booked: ours, or of late events, whosever. They have no cell, or a split window
-- begins them and is not done. All its shards book such a day, whether or not they see by now what made
-- the split begin it.
unbegun as materialized (
    select date, midnight
    from (
        select date, date::timestamp at time zone 'UTC' as midnight
        from (
            select (cast(:start as timestamptz) at time zone 'UTC')::date as date
            union
            select (occurred_at at time zone 'UTC')::date from lately
            union
            select (hour at time zone 'UTC')::date from moved
            union
            select (hour at time zone 'UTC')::date from known_late
            union
            select locked_days.date from analytics.locked_days where job_type = :job_type and begun_by = :start
        ) as touched
    ) as day
    where not exists (
        select 1 from analytics.hourly_cells
        where hour >= midnight and hour < midnight + interval '1 day' and
-- include: within_shard
    ) or exists (
        select 1
        from analytics.locked_days
        where job_type = :job_type and locked_days.date = day.date and begun_by is not null and not exists (
                select 1 from ops.job_runs as split
                where split.job_type = :job_type and split.window_start = begun_by and split.shard = ''
                    and split.status = 'succeeded'
            )
    )
),
hours as materialized (
    select hour from moved
    union all -- an hour may be there twice
    -- Of a day that was counted before there were cells, also the hours to come.
    select hour
    from unbegun
    cross join generate_series(midnight, midnight + interval '23 hours', interval '1 hour') as hour
    where hour <> :start and (hour < :start or (
        select true from analytics.event_aggregates
        where event_aggregates.date = unbegun.date and event_type not like 'monthly:%' and
-- include: within_shard
        limit 1 -- by its index: `exists` has the planner hash the whole table
    ))
),
days as materialized (
    select distinct (hour at time zone 'UTC')::date as date
    from (
        select cast(:start as timestamptz) as hour
        union all select hour from hours
        union all select hour from known_late
        union all select occurred_at from late
    ) as touched
)
select own.count as own_events,
    exists (select 1 from late) or exists (select 1 from known_late) as has_late,
    array(select distinct hour from hours order by hour) as hours,
    array(select date from days order by date) as days,
    array(select date from unbegun) as unbegun,
    own.count + (
        select count(*)
        from (
            (select 1 from late limit cast(:most as bigint) + 1)
            union all
            (
                select 1
                from hours
                join analytics.contact_activity as event
                    on event.occurred_at >= hours.hour and event.occurred_at < hours.hour + interval '1 hour'
                limit cast(:most as bigint) + 1
            )
        ) as beside
    ) as events
from own

-- name: hour_sizes
-- How many events each organisation has in what the survey has found: in whole hours, and late ones.
-- Each type of those with more than :most.
select organization_id, case when total > :most then event_type else '' end as part, cast(sum(count) as bigint) as count
from (
    select organization_id, event_type, count(*) as count, sum(count(*)) over (partition by organization_id) as total
    from (
        select organization_id, event_type
        from unnest(cast(:hours as timestamptz[])) as hour
        join analytics.contact_activity on occurred_at >= hour and occurred_at < hour + interval '1 hour'
        union all
        select organization_id, event_type
        from analytics.contact_activity
        where
-- include: is_late
            and created_at >= :start and created_at < :until and occurred_at < :start
            and analytics.hour_of(occurred_at) <> all(cast(:hours as timestamptz[]))
    ) as event
    group by organization_id, event_type
) as sized
group by 1, 2
order by 1, 2
