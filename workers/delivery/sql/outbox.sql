-- name: has_events
-- Whether there are events to publish. Runs after a batch, outside a transaction.
select exists (select from delivery.platform_outbox) as found

-- name: take_events
-- Take the oldest events that no other transaction is publishing, with what their messages add. They are deleted by
-- the commit, and kept by a rollback.
with taken as (
    delete from delivery.platform_outbox
    where id in (select id from delivery.platform_outbox order by id limit :rows_max for update skip locked)
    returning *
)
select
    taken.event_id, taken.kind, taken.organization_id, taken.message_id, taken.contact_id, taken.occurred_at,
    taken.details, message.channel, message.job_id, message.campaign_id, message.journey_execution_id, message.step_id,
    coalesce(config.provider_type, 'capture') as provider
from taken
left join delivery.messages as message
    on message.id = taken.message_id and message.organization_id = taken.organization_id
left join delivery.provider_configs as config on config.id = message.provider_config_id
order by taken.id

-- name: count_events
-- Take and count the oldest events if no queue is bound.
with taken as (
    delete from delivery.platform_outbox
    where id in (select id from delivery.platform_outbox order by id limit :rows_max for update skip locked)
    returning organization_id, kind
),
counted as (
    select organization_id, kind, count(*) as count from taken group by organization_id, kind
)
select
    (select count(*) from taken) as taken,
    coalesce(jsonb_agg(to_jsonb(counted) order by organization_id, kind), '[]') as events
from counted
