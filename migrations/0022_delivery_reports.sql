-- migrate:up
-- What deliveries report: gauges, alerts of configuration problems, events for the platform; and what the ledger keeps
-- of a contact.

create index suppressions_age on delivery.suppressions (created_at);

-- Alerts of configuration problems.

create table delivery.config_alerts (
    organization_id uuid,
    channel text not null check (channel in ('email', 'sms', 'push')),
    config_id uuid,
    problem text not null check (problem in ('paused', 'no_provider', 'unverified_sender', 'not_configured')),
    alerted_at timestamptz not null,
    unique nulls not distinct (organization_id, channel, config_id, problem)
);
create index config_alerts_age on delivery.config_alerts (alerted_at);
comment on table delivery.config_alerts is 'When a problem of a configuration was last reported: an hour passes before the next alert.';
comment on column delivery.config_alerts.organization_id is 'Null: a setting of the worker, which concerns every organization.';
comment on column delivery.config_alerts.config_id is 'The paused config; null of the other problems.';

create index messages_unconfigured on delivery.messages (organization_id, channel, reason)
where state = 'deferred' and reason in ('no_provider', 'unverified_sender', 'not_configured');

-- Events for the platform.

create table delivery.platform_outbox (
    id bigint generated always as identity primary key,
    event_id uuid not null default gen_random_uuid(),
    organization_id uuid not null,
    message_id uuid,
    contact_id uuid,
    kind text not null check (
        kind in ('sent', 'failed', 'delivered', 'opened', 'clicked', 'bounced', 'complained', 'unsubscribed')
    ),
    occurred_at timestamptz not null,
    details jsonb not null default '{}'
);
create index platform_outbox_contact on delivery.platform_outbox (organization_id, contact_id);
comment on table delivery.platform_outbox is 'What the platform learns about messages, written with the change and removed once it is published.';
comment on column delivery.platform_outbox.details is 'url, bounceKind, machine, reason.';

-- The statement that records an event of a message also announces it, whichever statement that is. A repeated event
-- inserts nothing, so it is not announced again.
create function delivery.announce_events() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    insert into delivery.platform_outbox (
        event_id, organization_id, message_id, contact_id, kind, occurred_at, details
    )
    select
        added.id, added.organization_id, added.message_id, added.contact_id,
        case added.event_type when 'gone' then 'bounced' else added.event_type end,
        added.occurred_at,
        case added.event_type
            when 'gone' then '{"bounceKind": "hard", "reason": "device_gone"}'
            else coalesce(added.metadata, '{}')
        end
    from added
    where added.event_type in (
        'sent', 'failed', 'delivered', 'opened', 'clicked', 'bounced', 'gone', 'complained', 'unsubscribed'
    );
    return null;
end $$;
create trigger announce_events after insert on delivery.delivery_events
referencing new table as added for each statement execute function delivery.announce_events();

-- What the ledger holds of a contact.
create or replace function delivery.erase_contact(organization_id uuid, contact_id uuid, mentioned text [] default '{}')
returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
    touched bigint;
    total bigint := 0;
begin
    -- The stored requests of calls have addresses and content. A repetition is no longer allowed in any case.
    update delivery.calls as kept set request = null
    where kept.request is not null and kept.organization_id = erase_contact.organization_id
        and exists (
            select from delivery.attempts as attempt
            join delivery.messages as message on message.id = attempt.message_id
            where attempt.call_id = kept.id
                and (message.contact_id = erase_contact.contact_id or lower(message.address) = any(mentioned))
        );
    get diagnostics touched = row_count; total := total + touched;
    -- Messages to the address alone.
    update delivery.messages as kept set
        idempotency_key = 'erased:' || kept.id, address = null, content = null, variables = null
    where kept.organization_id = organization_id and kept.contact_id is null
        and lower(kept.address) = any(mentioned);
    get diagnostics touched = row_count; total := total + touched;
    update delivery.messages as kept set
        idempotency_key = 'erased:' || kept.id, contact_id = null, address = null, content = null, variables = null,
        device_id = null
    where kept.organization_id = organization_id and kept.contact_id = contact_id;
    get diagnostics touched = row_count; total := total + touched;
    update delivery.delivery_events as kept set contact_id = null, metadata = null
    where kept.organization_id = organization_id and kept.contact_id = contact_id;
    get diagnostics touched = row_count; total := total + touched;
    delete from delivery.device_tokens as gone
    where gone.organization_id = organization_id and gone.contact_id = contact_id;
    get diagnostics touched = row_count; total := total + touched;
    delete from delivery.recipients as gone
    where gone.organization_id = organization_id and gone.contact_id = contact_id;
    get diagnostics touched = row_count; total := total + touched;
    delete from delivery.platform_outbox as gone
    where gone.organization_id = organization_id and gone.contact_id = contact_id;
    get diagnostics touched = row_count; total := total + touched;
    delete from delivery.deleted_contacts as gone
    where gone.organization_id = organization_id and gone.contact_id = contact_id;
    get diagnostics touched = row_count; total := total + touched;
    delete from delivery.unmatched_events as gone
    where ops.mentions(gone.body::text) && (ops.mentions(contact_id::text) || mentioned);
    get diagnostics touched = row_count; total := total + touched;
    return total;
end $$;

-- What a message holds of its contact.

alter table delivery.messages add column is_copied boolean not null default false;
comment on column delivery.messages.is_copied is 'The address is that of the contact at the newest claim: the next claim reads it again.';

create table delivery.deleted_contacts (
    id bigint generated always as identity primary key,
    organization_id uuid not null,
    contact_id uuid not null,
    deleted_at timestamptz not null default now()
);
comment on table delivery.deleted_contacts is 'Contacts that the platform has deleted: the next sweep empties the addresses of their messages.';

-- It appends alone, so the platform waits for no lock.
create function delivery.note_deleted_contacts() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into delivery.deleted_contacts (organization_id, contact_id)
    select gone.organization_id, gone.id from gone;
    return null;
end $$;
create trigger note_deleted_contacts after delete on crm.contacts
referencing old table as gone for each statement execute function delivery.note_deleted_contacts();
