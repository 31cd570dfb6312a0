-- name: demo_sender
-- An organization that may send; a provider's configuration, unless its messages are captured.
with settings as (
    insert into delivery.organization_settings (organization_id, from_address, postal_address)
    values (:organization_id, 'Shop <news@shop.example>', '1 Road, Town')
    on conflict do nothing
),
sending_domain as (
    insert into delivery.sending_domains (organization_id, domain, status, created_at)
    values (:organization_id, 'shop.example', 'verified', now() - interval '400 days')
    on conflict do nothing
)
insert into delivery.provider_configs (organization_id, channel, provider_type, config)
select cast(:organization_id as uuid), cast(:channel as text), cast(:provider as text), cast(:config as jsonb)
where cast(:config as jsonb) is not null

-- name: demo_recipients
-- The contacts of push messages, and their devices.
with recipient as (
    select * from jsonb_to_recordset(cast(:recipients as jsonb)) as own (
        contact_id uuid, address text, p256dh text, auth text
    )
    where contact_id is not null
),
contact as (
    insert into crm.contacts (id, organization_id)
    select contact_id, cast(:organization_id as uuid) from recipient
    on conflict do nothing
)
insert into delivery.device_tokens (organization_id, contact_id, kind, token, p256dh, auth)
select cast(:organization_id as uuid), contact_id, cast(:device as text), address, p256dh, auth
from recipient
where cast(:device as text) is not null

-- name: demo_enqueue
-- A message to each recipient, as the platform asks for it.
select count(
    delivery.enqueue(
        cast(:organization_id as uuid), cast(:channel as text), 'demo:' || number || ':' || cast(:channel as text),
        contact_id => contact_id,
        address => case when cast(:device as text) is null then address end,
        class => cast(:class as text),
        content => jsonb_build_object(
            'subject', 'Number {{variables.number}}', 'title', 'Number {{variables.number}}',
            'text', 'You are our customer number {{variables.number}}.'
        ),
        variables => jsonb_build_object('number', number)
    )
) as messages
from jsonb_to_recordset(cast(:recipients as jsonb)) as own (number bigint, contact_id uuid, address text)

-- name: demo_open_messages
-- Messages that may still be called, or are.
select count(*) as messages
from delivery.messages
where state in ('pending', 'queued', 'claimed', 'sending', 'deferred')

-- name: demo_states
-- How many messages of an organization's channel ended in which state, and their ids.
select state, count(*) as messages, json_agg(id::text) as ids
from delivery.messages
where organization_id = :organization_id and channel = :channel
group by state
