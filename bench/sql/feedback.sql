-- name: fill_feedback
-- Messages that were sent to contacts of their own, and the config of their provider.
with config as (
    insert into delivery.provider_configs (id, organization_id, channel, provider_type, config)
    select cast(:config_id as uuid), md5('organization')::uuid, 'email', 'sendgrid', cast(:config as jsonb)
),
recipient as (
    select number, md5('contact ' || number)::uuid as contact_id, md5('message ' || number)::uuid as message_id
    from generate_series(1, cast(:messages as bigint)) as number
),
contact as (
    insert into crm.contacts (id, organization_id, email)
    select contact_id, md5('organization')::uuid, 'contact' || number || '@mail.example' from recipient
)
insert into delivery.messages (
    id, organization_id, idempotency_key, channel, contact_id, address, campaign_id, state, expires_at, attempts,
    provider_config_id, provider_message_id, called_at, sent_at, finished_at
)
select
    message_id, md5('organization')::uuid, 'bench ' || number, 'email', contact_id,
    'contact' || number || '@mail.example', md5('campaign')::uuid, 'sent', now() + interval '72 hours', 1,
    cast(:config_id as uuid), 'call ' || number / 1000, cast(:sent_at as timestamptz),
    cast(:sent_at as timestamptz), cast(:sent_at as timestamptz)
from recipient

-- name: message_ids
select md5('message ' || number)::uuid as id from generate_series(1, cast(:messages as bigint)) as number

-- name: forget_feedback
-- The tables as they were before the first event.
with reset as (
    update delivery.messages set delivered_at = null, opened_at = null, clicked_at = null
    where delivered_at is not null or opened_at is not null or clicked_at is not null
),
activities as (delete from analytics.contact_activity),
outbox as (delete from delivery.platform_outbox)
delete from delivery.delivery_events

-- name: recorded_feedback
select count(*) from delivery.delivery_events

-- name: plain_feedback
-- The same rows for a page of events, with nothing looked up but the message.
with event as materialized (
    select * from jsonb_to_recordset(cast(:events as jsonb)) as event (
        sg_event_id text, message_id uuid, event text, "timestamp" bigint, url text
    )
),
own as materialized (
    select event.*, 'sg:' || event.sg_event_id as event_id, to_timestamp(event."timestamp") as at,
        case event.event when 'processed' then 'accepted' when 'open' then 'opened' when 'click' then 'clicked'
            else event.event end as kind
    from event
),
changed as (
    update delivery.messages as message set
        delivered_at = least(message.delivered_at, first.delivered_at),
        opened_at = least(message.opened_at, first.opened_at),
        clicked_at = least(message.clicked_at, first.clicked_at)
    from (
        select message_id, min(at) filter (where kind = 'delivered') as delivered_at,
            min(at) filter (where kind = 'opened') as opened_at, min(at) filter (where kind = 'clicked') as clicked_at
        from own
        group by message_id
    ) as first
    where message.id = first.message_id
),
recorded as (
    insert into delivery.delivery_events (
        organization_id, contact_id, channel, event_type, message_id, event_id, occurred_at
    )
    select message.organization_id, message.contact_id, 'email', own.kind, message.id, own.event_id, own.at
    from own
    join delivery.messages as message on message.id = own.message_id
    on conflict (organization_id, event_id) do nothing
)
insert into analytics.contact_activity (
    organization_id, contact_id, event_type, event_source, event_data, occurred_at, event_id
)
select message.organization_id, message.contact_id, 'email_' || own.kind, message.campaign_id,
    jsonb_build_object('messageId', message.id, 'url', own.url), own.at, own.event_id
from own
join delivery.messages as message on message.id = own.message_id
where own.kind <> 'accepted'
on conflict (organization_id, event_id) where event_id is not null do nothing
