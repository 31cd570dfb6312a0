-- name: messages_of_states
-- Messages in open states, the newest first: each state has an index of its own.
select id, organization_id, channel, class, state, reason, attempts, created_at, not_before, finished_at
from delivery.messages
where state = any(cast(:states as text[]))
    and (cast(:organization_id as uuid) is null or organization_id = :organization_id)
    and (cast(:channel as text) is null or channel = :channel)
order by created_at desc, id
limit :limit

-- name: messages_of_contact
select id, organization_id, channel, class, state, reason, attempts, created_at, not_before, finished_at
from delivery.messages
where organization_id = :organization_id and contact_id = :contact_id
    and (cast(:states as text[]) is null or state = any(cast(:states as text[])))
    and (cast(:channel as text) is null or channel = :channel)
order by created_at desc, id
limit :limit

-- name: messages_of_campaign
select message.id, message.organization_id, message.channel, message.class, message.state, message.reason,
    message.attempts, message.created_at, message.not_before, message.finished_at
from delivery.delivery_jobs as job
join delivery.messages as message on message.job_id = job.id
where job.campaign_id = :campaign_id
    and (cast(:states as text[]) is null or message.state = any(cast(:states as text[])))
    and (cast(:channel as text) is null or message.channel = :channel)
order by message.created_at desc, message.id
limit :limit

-- name: organization_of_contact
select organization_id from crm.contacts where id = :contact_id

-- name: message
-- Everything about a message but its address, its content and its variables.
select id, organization_id, idempotency_key, channel, class, state, reason, contact_id, job_id, campaign_id,
    journey_id, journey_execution_id, step_id, template_id, device_id, parent_id, address is not null as has_address,
    not_before, expires_at, lease_until, queued_until, attempts, retries, deferrals, lapses, on_uncertain,
    possible_duplicate, warmup_day, provider_config_id, provider_message_id, bounce_kind, created_at, claimed_at,
    called_at, sent_at, delivered_at, opened_at, clicked_at, bounced_at, complained_at, unsubscribed_at, finished_at
from delivery.messages
where id = :id

-- name: message_attempts
select attempt.attempt, attempt.started_at, attempt.finished_at, config.provider_type as provider, attempt.http_status,
    attempt.verdict, attempt.code, attempt.call_id
from delivery.attempts as attempt
left join delivery.provider_configs as config on config.id = attempt.provider_config_id
where attempt.message_id = :id
order by attempt.attempt

-- name: message_events
select occurred_at, event_type, event_id, metadata from delivery.delivery_events
where message_id = :id
order by occurred_at, event_id

-- name: note_resolution
-- What an operator decided, for the history of the message.
insert into delivery.delivery_events (
    job_id, organization_id, contact_id, channel, event_type, message_id, event_id, occurred_at, metadata
)
select job_id, organization_id, contact_id, channel, 'resolved', id,
    'resolve:' || id || ':' || extract(epoch from cast(:now as timestamptz)), cast(:now as timestamptz), jsonb_build_object('to', cast(:decision as text), 'by', cast(:by as text), 'note', cast(:note as text))
from delivery.messages
where id = any(cast(:ids as uuid[]))

-- name: waiting_message
-- A message as a claim reads it, without its lock.
select
-- include: waiting_columns
from delivery.messages as message
-- include: waiting_tables
where message.id = :id
