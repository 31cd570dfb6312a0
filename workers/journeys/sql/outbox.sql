-- name: has_events
-- Whether there are events to publish. Runs after a batch, outside a transaction.
select exists (select from journey.outbox) as found

-- name: take_events
-- Take the oldest events that no other transaction is publishing. They are deleted by the commit, and kept by a
-- rollback.
with taken as (
    delete from journey.outbox
    where id in (select id from journey.outbox order by id limit :rows_max for update skip locked)
    returning id, event_id, type, body, created_at
)
select event_id, type, body, created_at from taken order by id

-- name: count_events
-- Take and count the oldest events if no queue is bound.
with taken as (
    delete from journey.outbox
    where id in (select id from journey.outbox order by id limit :rows_max for update skip locked)
    returning organization_id, type
),
counted as (
    select organization_id, type, count(*) as count from taken group by organization_id, type
)
select
    (select count(*) from taken) as taken,
    coalesce(jsonb_agg(to_jsonb(counted) order by organization_id, type), '[]') as events
from counted
