-- name: fill_senders
-- Organizations that may send, each with one provider.
with organization as (
    select md5('organization ' || number)::uuid as id from generate_series(1, cast(:organizations as bigint)) as number
),
settings as (
    insert into delivery.organization_settings (organization_id, from_address, postal_address, weight)
    select id, 'Shop <news@shop.example>', '1 Road, Town', cast(:weight as integer) from organization
    on conflict (organization_id) do update set weight = excluded.weight
),
sending_domain as (
    insert into delivery.sending_domains (organization_id, domain, status, created_at)
    select id, 'shop.example', 'verified', now() - interval '400 days' from organization
    on conflict do nothing
),
-- One of 3 kB: the id of the template is that of its organization.
template as (
    insert into content.templates (id, organization_id, type, subject, body_html)
    select
        id, id, 'email', 'Hello {{contact.first_name}}',
        '<p>Hello {{contact.first_name}}</p>' || repeat('<p>News of the week, for you.</p>', 100)
    from organization
)
insert into delivery.provider_configs (organization_id, channel, provider_type, config)
select id, 'email', cast(:provider as text), cast(:config as jsonb) from organization

-- name: fill_emails
-- Marketing messages to contacts of their own, in turn of the organizations.
with recipient as (
    select
        md5('organization ' || 1 + number % cast(:organizations as bigint))::uuid as organization_id,
        md5('contact ' || number)::uuid as contact_id,
        number
    from generate_series(1, cast(:messages as bigint)) as number
),
contact as (
    insert into crm.contacts (id, organization_id, email, first_name)
    select contact_id, organization_id, 'contact' || number || '@mail.example', 'Name ' || number from recipient
)
insert into delivery.messages (
    organization_id, idempotency_key, channel, class, contact_id, template_id, created_at, expires_at
)
select
    organization_id, 'bench ' || number, 'email', 'marketing', contact_id, organization_id,
    now() + number * interval '1 microsecond', now() + interval '72 hours'
from recipient

-- name: forget_emails
-- The tables as they were before.
truncate delivery.messages, delivery.attempts, delivery.calls, delivery.recipients, delivery.provider_configs,
    content.templates, analytics.contact_activity, crm.contacts, crm.contact_changes, ops.job_runs

-- name: sent_emails
-- How many are sent, and how many are not.
select count(*) filter (where state = 'sent') as sent, count(*) filter (where state <> 'sent') as others
from delivery.messages

-- name: active_ms
-- How long Postgres has worked for the sessions of this database.
select active_time from pg_stat_database where datname = current_database()

-- name: unfeed
-- Every message waits again.
update delivery.messages set state = 'pending', queued_until = null where state <> 'pending'

-- name: plain_feed
-- What the feeder writes, by the ids that it has found.
update delivery.messages set state = 'queued', queued_until = now() + interval '15 minutes'
where id = any(cast(:ids as uuid[]))
returning organization_id, id

-- name: plain_send
-- What is written of a call and its messages in the end, without any check or intermediate state.
with next as (
    select id from delivery.messages where state = 'pending' order by created_at limit :rows
),
sent as (
    update delivery.messages as message set
        state = 'sent', attempts = 1, token = 1, claimed_at = now(), called_at = now(), sent_at = now(), finished_at = now(),
        provider_message_id = cast(message.id as text), address = 'contact@mail.example'
    from next
    where message.id = next.id
    returning message.*
),
call as (
    insert into delivery.calls (id, organization_id, channel, message_count, started_at, finished_at, http_status)
    select gen_random_uuid(), organization_id, 'email', count(*), now(), now(), 200 from sent group by organization_id
    returning id
),
attempts as (
    insert into delivery.attempts (message_id, attempt, call_id, started_at, finished_at, http_status, verdict)
    select sent.id, 1, (select min(cast(id as text)) from call)::uuid, now(), now(), 200, 'accepted' from sent
),
events as (
    insert into delivery.delivery_events (organization_id, contact_id, channel, event_type, message_id, event_id, occurred_at)
    select organization_id, contact_id, channel, 'sent', id, 'msg:' || id || ':sent', now() from sent
)
insert into analytics.contact_activity (organization_id, contact_id, event_type, event_data, occurred_at, event_id)
select organization_id, contact_id, 'email_sent', jsonb_build_object('messageId', id), now(), 'msg:' || id || ':sent'
from sent
