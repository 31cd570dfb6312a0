-- name: feeder_has_work
-- Whether a class of the channel has at least :least places free in flight, and messages that wait.
select exists (
    select
    from unnest(cast(:classes as text[])) as own (class)
    where (
        select count(*) from delivery.messages
        where channel = :channel and class = own.class and state = 'queued'
    ) <= cast(:most as bigint) - :least
    and (
        exists (
            select from delivery.messages where channel = :channel and class = own.class and state = 'pending'
        )
        or exists (
            select from delivery.messages where channel = :channel and class = own.class and state = 'deferred'
        )
    )
) as has_work

-- name: lock_feeder
-- The turn of a channel's feeder. No row: another feeder has it, and does the work.
select channel from delivery.feeders where channel = :channel for update skip locked

-- name: feed
-- Turn waiting messages of a channel and class into queued ones. Each organization has at most :most_each
-- in flight for each unit of its weight, all together :most. The organization with the fewest in flight for its
-- weight is next, its oldest message first. A deferred message waits in the queue for at most :ahead. While fewer than
-- :least places are free, nothing is looked at.
-- The result is one JSON list of [organization, message, delay in seconds]. The messages of an organization stand
-- together, because a call carries those of one organization alone. Those with the fewest come first: they wait for
-- no other.
with recursive in_flight as (
    select organization_id, count(*) as used
    from delivery.messages
    where channel = :channel and class = :class and state = 'queued'
    group by organization_id
),
free as (
    select greatest(cast(:most as bigint) - coalesce(sum(used), 0), 0) as places from in_flight
),
room as (
    select case when places >= cast(:least as bigint) then places else 0 end as places from free
),
pending (organization_id) as (
    (
        select organization_id
        from delivery.messages
        where channel = :channel and class = :class and state = 'pending' and (select places > 0 from room)
        order by organization_id, created_at
        limit 1
    )
    union all
    select (
        select next.organization_id
        from delivery.messages as next
        where next.channel = :channel and next.class = :class and next.state = 'pending'
            and next.organization_id > pending.organization_id
        order by next.organization_id, next.created_at
        limit 1
    )
    from pending
    where pending.organization_id is not null
),
deferred (organization_id) as (
    (
        select organization_id
        from delivery.messages
        where channel = :channel and class = :class and state = 'deferred' and (select places > 0 from room)
        order by organization_id, not_before
        limit 1
    )
    union all
    select (
        select next.organization_id
        from delivery.messages as next
        where next.channel = :channel and next.class = :class and next.state = 'deferred'
            and next.organization_id > deferred.organization_id
        order by next.organization_id, next.not_before
        limit 1
    )
    from deferred
    where deferred.organization_id is not null
),
waiting as (
    select organization_id, coalesce(settings.weight, 1) as weight, coalesce(used, 0) as used
    from (
        select organization_id from pending where organization_id is not null
        union
        select organization_id from deferred where organization_id is not null
    ) as found
    left join delivery.organization_settings as settings using (organization_id)
    left join in_flight using (organization_id)
    where coalesce(used, 0) < cast(:most_each as bigint) * coalesce(settings.weight, 1)
),
-- With many organizations each can get few places: their further messages need not be looked at.
bounded as (
    select
        waiting.organization_id, waiting.weight, waiting.used,
        least(
            cast(:most_each as bigint) * waiting.weight - waiting.used,
            room.places,
            greatest(2, ceil(1.25 * room.places * waiting.weight / sum(waiting.weight) over ()))
        ) as places
    from waiting
    cross join room
),
candidates as (
    select bounded.*, own.*
    from bounded
    cross join lateral (
        select ctid as row_id, id, created_at
        from delivery.messages
        where channel = :channel and class = :class and state = 'pending'
            and organization_id = bounded.organization_id
        order by created_at
        limit bounded.places
    ) as own
    union all
    select bounded.*, own.*
    from deferred
    join bounded using (organization_id)
    cross join lateral (
        select ctid as row_id, id, created_at
        from delivery.messages
        where channel = :channel and class = :class and state = 'deferred'
            and organization_id = bounded.organization_id
            and not_before <= cast(:now as timestamptz) + cast(:ahead as interval)
        order by not_before
        limit bounded.places
    ) as own
),
ranked as (
    select
        candidates.*,
        used + row_number() over (partition by organization_id order by created_at, id) as place
    from candidates
),
-- Rows are named by their place in the table, as one list: the planner cannot know how few they are, and would read
-- the whole table for a join.
chosen as (
    select ctid
    from delivery.messages
    where state in ('pending', 'deferred') and ctid = any(array(
        select row_id
        from ranked
        where place <= cast(:most_each as bigint) * weight
        order by cast(place as double precision) / weight, created_at, id
        limit (select places from room)
    ))
    for update skip locked
),
fed as (
    update delivery.messages as message set
        state = 'queued',
        queued_until = greatest(coalesce(message.not_before, :now), :now) + cast(:patience as interval)
    where message.ctid = any(array(select ctid from chosen))
    returning
        message.organization_id, message.id, message.created_at,
        cast(ceil(greatest(extract(epoch from message.not_before - :now), 0)) as integer) as delay_s
)
select coalesce(
    json_agg(json_build_array(organization_id, id, delay_s) order by of_organization, organization_id, created_at, id),
    '[]'
) as fed
from (select fed.*, count(*) over (partition by organization_id) as of_organization from fed) as counted
