-- migrate:up
-- Deliveries: the message ledger, what it reads of the platform, and the platform's interface.
-- docs/deliveries.md explains the states.

create schema campaign;
create schema content;
create schema journey;

-- The platform's tables, as far as deliveries read them.

alter table crm.contacts add column time_zone text;
comment on column crm.contacts.time_zone is 'A name of pg_timezone_names; null is the organization''s zone.';

create function crm.check_time_zone() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if new.time_zone is not null then
        if not exists (select from pg_timezone_names where name = new.time_zone) then
            raise exception 'time zone "%" is not known', new.time_zone using errcode = '22023';
        end if;
    end if;
    return new;
end $$;
create trigger check_time_zone_insert before insert on crm.contacts
for each row when (new.time_zone is not null) execute function crm.check_time_zone();
create trigger check_time_zone_update before update of time_zone on crm.contacts
for each row when (new.time_zone is distinct from old.time_zone) execute function crm.check_time_zone();

create table campaign.campaigns (
    id uuid primary key default gen_random_uuid(),
    organization_id uuid not null,
    name varchar(255) not null,
    type text not null check (type in ('email', 'sms', 'push', 'multichannel')),
    status text not null default 'draft'
    check (status in ('draft', 'scheduled', 'sending', 'sent', 'paused', 'canceled')),
    subject text,
    template_id uuid,
    segment_id uuid,
    scheduled_at timestamptz,
    started_at timestamptz,
    completed_at timestamptz,
    recipient_count bigint not null default 0,
    sent_count bigint not null default 0,
    delivered_count bigint not null default 0,
    opened_count bigint not null default 0,
    clicked_count bigint not null default 0,
    bounced_count bigint not null default 0,
    complained_count bigint not null default 0,
    unsubscribed_count bigint not null default 0,
    open_rate numeric,
    click_rate numeric,
    last_event_at timestamptz,
    settings jsonb not null default '{}',
    run integer not null default 1,
    problem text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index campaigns_organization on campaign.campaigns (organization_id, id);
create index campaigns_scheduled on campaign.campaigns (scheduled_at) where status = 'scheduled';
create index campaigns_sending on campaign.campaigns (id) where status = 'sending';
comment on column campaign.campaigns.run is 'The platform increments it to send the campaign again.';
comment on column campaign.campaigns.settings is 'from, reply_to, message_class, expires_after_hours.';
comment on column campaign.campaigns.problem is 'Why the campaign cannot start.';

create table content.templates (
    id uuid primary key default gen_random_uuid(),
    organization_id uuid not null,
    name varchar(255),
    type text not null check (type in ('email', 'sms', 'push', 'page')),
    subject varchar(500),
    body_html text,
    body_text text,
    is_active boolean not null default true,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create table journey.journeys (
    id uuid primary key default gen_random_uuid(),
    organization_id uuid not null,
    name varchar(255) not null,
    description text,
    status text not null default 'draft' check (status in ('draft', 'active', 'paused', 'archived')),
    created_by uuid,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create table journey.journey_executions (
    id uuid primary key default gen_random_uuid(),
    journey_id uuid not null,
    journey_version_id uuid,
    organization_id uuid not null,
    contact_id uuid not null,
    status text not null default 'active' check (status in ('active', 'completed', 'failed', 'canceled')),
    started_at timestamptz not null default now(),
    completed_at timestamptz,
    current_step_id uuid
);

-- What an organization sets up.

create table delivery.provider_configs (
    id uuid primary key default gen_random_uuid(),
    organization_id uuid not null,
    channel text not null check (channel in ('email', 'sms', 'push')),
    provider_type text not null,
    config jsonb not null,
    is_active boolean not null default true,
    priority integer not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    per_second numeric check (per_second > 0),
    tokens numeric not null default 0,
    refilled_at timestamptz,
    failures integer not null default 0,
    paused_until timestamptz,
    paused_reason text
);
create index provider_configs_channel on delivery.provider_configs (organization_id, channel, priority desc, id)
where is_active;
comment on column delivery.provider_configs.config is 'Text: base64(iv):base64(ciphertext), AES-256-GCM with PROVIDER_KEY.';
comment on column delivery.provider_configs.per_second is 'How many messages a second the provider takes; null is no limit.';
comment on column delivery.provider_configs.failures is 'Calls in a row that ended in retry or unknown: from five on the config pauses.';
comment on column delivery.provider_configs.paused_until is 'Infinity: until an operator resumes it.';

create table delivery.organization_settings (
    organization_id uuid primary key,
    time_zone text not null default 'UTC',
    quiet_from time,
    quiet_until time,
    caps jsonb not null default '[]',
    from_address text,
    postal_address text,
    require_opt_in boolean not null default false,
    weight integer not null default 1 check (weight between 1 and 100),
    marketing_paused_at timestamptz,
    marketing_paused_reason text,
    check ((quiet_from is null) = (quiet_until is null)),
    check (jsonb_typeof(caps) = 'array')
);
comment on column delivery.organization_settings.caps is 'At most so many marketing messages to a contact: a list of {channel, most, days}.';
comment on column delivery.organization_settings.weight is 'The share of the queue in comparison with other organizations.';
create trigger check_time_zone_insert before insert on delivery.organization_settings
for each row when (new.time_zone <> 'UTC') execute function crm.check_time_zone();
create trigger check_time_zone_update before update of time_zone on delivery.organization_settings
for each row when (new.time_zone is distinct from old.time_zone) execute function crm.check_time_zone();

create table delivery.device_tokens (
    id uuid primary key default gen_random_uuid(),
    organization_id uuid not null,
    contact_id uuid not null,
    kind text not null check (kind in ('fcm', 'webpush')),
    token text not null,
    p256dh text,
    auth text,
    status text not null default 'active' check (status in ('active', 'gone')),
    created_at timestamptz not null default now(),
    gone_at timestamptz,
    check (kind = 'fcm' or (p256dh is not null and auth is not null))
);
create unique index device_tokens_token on delivery.device_tokens (organization_id, kind, md5(token));
create index device_tokens_contact on delivery.device_tokens (organization_id, contact_id, id);

create table delivery.suppressions (
    id uuid primary key default gen_random_uuid(),
    organization_id uuid not null,
    email varchar(255),
    reason text not null check (reason in ('bounce', 'complaint', 'unsubscribe', 'manual', 'invalid')),
    source text,
    created_at timestamptz not null default now(),
    channel text not null default 'email' check (channel in ('email', 'sms', 'push')),
    address text not null,
    scope text not null check (scope in ('all', 'marketing')),
    expires_at timestamptz,
    message_id uuid,
    unique (organization_id, channel, address, scope)
);
comment on column delivery.suppressions.address is 'Normalized. Without it the e-mail address is taken, in lower case.';
comment on column delivery.suppressions.scope is 'all stops everything; marketing, the default of unsubscribe, stops marketing.';

create function delivery.suppressed_address(channel text, address text) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
return case channel
    when 'email' then normalize(lower(trim(address)), nfc)
    when 'sms' then translate(trim(address), U&' -./()\00A0', '')
    else trim(address)
end;
comment on function delivery.suppressed_address is 'An address in the spelling of suppressions.';

create function delivery.complete_suppression() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    new.address := delivery.suppressed_address(
        new.channel, coalesce(new.address, case new.channel when 'email' then new.email end)
    );
    new.email := coalesce(new.email, case new.channel when 'email' then left(new.address, 255) end);
    new.scope := coalesce(new.scope, case new.reason when 'unsubscribe' then 'marketing' else 'all' end);
    return new;
end $$;
create trigger complete before insert or update on delivery.suppressions
for each row execute function delivery.complete_suppression();

-- The message ledger.

create table delivery.delivery_jobs (
    id uuid primary key default gen_random_uuid(),
    organization_id uuid not null,
    channel text not null check (channel in ('email', 'sms', 'push')),
    status text not null default 'queued' check (status in ('queued', 'sending', 'sent', 'failed', 'partial')),
    recipient_count bigint not null default 0,
    sent_count bigint not null default 0,
    failed_count bigint not null default 0,
    idempotency_key varchar(255),
    metadata jsonb,
    created_at timestamptz not null default now(),
    completed_at timestamptz,
    campaign_id uuid,
    content jsonb,
    unique (organization_id, idempotency_key)
);
create index delivery_jobs_age on delivery.delivery_jobs (created_at);
create index delivery_jobs_campaign on delivery.delivery_jobs (campaign_id);
comment on column delivery.delivery_jobs.content is 'The content of the run, frozen when it starts, with its hash.';

create table delivery.messages (
    id uuid primary key default gen_random_uuid(),
    organization_id uuid not null,
    idempotency_key text not null check (length(idempotency_key) <= 255),
    channel text not null check (channel in ('email', 'sms', 'push')),
    class text not null default 'marketing' check (class in ('marketing', 'transactional')),
    contact_id uuid,
    job_id uuid,
    campaign_id uuid,
    journey_id uuid,
    journey_execution_id uuid,
    step_id uuid,
    template_id uuid,
    content jsonb,
    variables jsonb,
    address text,
    device_id uuid,
    parent_id uuid,
    state text not null default 'pending' check (
        state in (
            'pending', 'queued', 'deferred', 'claimed', 'sending',
            'sent', 'skipped', 'failed', 'held', 'uncertain'
        )
    ),
    reason text,
    not_before timestamptz,
    expires_at timestamptz not null,
    queued_until timestamptz,
    lease_until timestamptz,
    token bigint not null default 0,
    attempts integer not null default 0,
    retries integer not null default 0,
    deferrals integer not null default 0,
    lapses integer not null default 0,
    on_uncertain text not null default 'hold' check (on_uncertain in ('hold', 'retry')),
    possible_duplicate boolean not null default false,
    warmup_day date,
    provider_config_id uuid,
    provider_message_id text,
    bounce_kind text check (bounce_kind in ('hard', 'soft')),
    created_at timestamptz not null default now(),
    claimed_at timestamptz,
    called_at timestamptz,
    sent_at timestamptz,
    finished_at timestamptz,
    delivered_at timestamptz,
    bounced_at timestamptz,
    complained_at timestamptz,
    unsubscribed_at timestamptz,
    opened_at timestamptz,
    clicked_at timestamptz,
    unique (organization_id, idempotency_key),
    check ((state in ('sent', 'skipped', 'failed')) <= (finished_at is not null)),
    check (state in ('sent', 'skipped', 'failed', 'uncertain') or finished_at is null),
    check (state not in ('claimed', 'sending') or lease_until is not null),
    check (state <> 'queued' or queued_until is not null),
    check (state <> 'deferred' or not_before is not null)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
comment on table delivery.messages is 'The message ledger: a row for each message to one address or device. docs/deliveries.md explains the states.';
comment on column delivery.messages.idempotency_key is 'Unique in its organization: a second insert changes nothing.';
comment on column delivery.messages.content is 'Overrides the template: subject, html, text, title, body, data, from, reply_to.';
comment on column delivery.messages.address is 'Where the message goes, normalized by the claim. Emptied 90 days after the end.';
comment on column delivery.messages.parent_id is 'A push message to a further device: the row of the first device.';
comment on column delivery.messages.not_before is 'Of a deferred message: when to try again. Infinity: when the reason ends. Of an uncertain one: the next look-up.';
comment on column delivery.messages.token is 'Increases with every claim: only the newest claim may call.';
comment on column delivery.messages.attempts is 'Calls that were begun.';
comment on column delivery.messages.retries is 'Verdicts retry since the message was held or inserted.';
comment on column delivery.messages.deferrals is 'Verdicts defer.';
comment on column delivery.messages.lapses is 'Claims whose lease expired without a call.';
comment on column delivery.messages.on_uncertain is 'What follows an unknown call: hold, or retry once.';
comment on column delivery.messages.possible_duplicate is 'A call followed an unknown one, or may follow it: only the config of the unknown call is used.';
comment on column delivery.messages.warmup_day is 'The day (UTC) of which the message has a place of the warm-up.';
comment on column delivery.messages.called_at is 'Start of the newest call.';

create unique index messages_job_address on delivery.messages (job_id, address)
where job_id is not null and state <> 'skipped';
create index messages_provider_id on delivery.messages (provider_config_id, provider_message_id)
where provider_message_id is not null;
-- The feeder finds the next organization, its class, and its oldest message.
create index messages_pending on delivery.messages (channel, class, organization_id, created_at) include (id)
where state = 'pending';
create index messages_deferred on delivery.messages (channel, class, organization_id, not_before) include (created_at)
where state = 'deferred';
create index messages_queued on delivery.messages (channel, class, organization_id) where state = 'queued';
-- The sweep.
create index messages_lease on delivery.messages (lease_until) where state in ('claimed', 'sending');
create index messages_expiry on delivery.messages (expires_at) where state in ('pending', 'queued', 'deferred', 'held');
create index messages_endless on delivery.messages (reason, id) where state = 'deferred' and not_before = 'infinity';
create index messages_held on delivery.messages (channel, created_at) where state = 'held';
create index messages_uncertain on delivery.messages (called_at) where state = 'uncertain' and finished_at is null;
create index messages_open_campaign on delivery.messages (campaign_id)
where finished_at is null and campaign_id is not null;
create index messages_open_execution on delivery.messages (journey_execution_id)
where finished_at is null and journey_execution_id is not null;
-- Caps, figures of a job, erasure, retention.
create index messages_contact on delivery.messages (organization_id, contact_id, channel, claimed_at);
create index messages_job on delivery.messages (job_id, state) where job_id is not null;
create index messages_parent on delivery.messages (parent_id) where parent_id is not null;
create index messages_to_address on delivery.messages (organization_id, lower(address))
where contact_id is null and address is not null;
-- Of final messages alone: each change of an open one would enter them again.
create index messages_age on delivery.messages (finished_at) where finished_at is not null;
create index messages_with_content on delivery.messages (finished_at)
    where finished_at is not null and (address is not null or content is not null or variables is not null);

create table delivery.recipients (
    organization_id uuid not null,
    contact_id uuid not null,
    primary key (organization_id, contact_id)
) with (fillfactor = 70);
comment on table delivery.recipients is 'One row for each contact with messages: a claim locks it, so that caps are exact.';

create table delivery.calls (
    id uuid primary key,
    organization_id uuid not null,
    provider_config_id uuid,
    channel text not null check (channel in ('email', 'sms', 'push')),
    message_count integer not null check (message_count > 0),
    started_at timestamptz not null,
    finished_at timestamptz,
    http_status integer,
    request bytea
);
create index calls_open on delivery.calls (started_at) where finished_at is null;
create index calls_age on delivery.calls (started_at);
create index calls_request on delivery.calls (started_at) where request is not null;
comment on table delivery.calls is 'Calls to providers. A row is committed before its call.';
comment on column delivery.calls.request is 'The exact request, compressed with gzip: only for providers with an idempotency key.';

create table delivery.attempts (
    message_id uuid not null,
    attempt integer not null,
    call_id uuid not null,
    provider_config_id uuid,
    started_at timestamptz not null,
    finished_at timestamptz,
    http_status integer,
    verdict text check (verdict in ('accepted', 'refused', 'suppress', 'defer', 'retry', 'pause', 'unknown')),
    code text,
    error text,
    primary key (message_id, attempt)
);
create index attempts_call on delivery.attempts (call_id);
create index attempts_age on delivery.attempts (started_at);
comment on table delivery.attempts is 'One row for each message of each call. An open attempt whose lease expired waits for a late verdict.';

create table delivery.delivery_events (
    id uuid primary key default gen_random_uuid(),
    job_id uuid,
    organization_id uuid not null,
    contact_id uuid,
    channel text not null,
    event_type text not null,
    provider_message_id text,
    metadata jsonb,
    created_at timestamptz not null default now(),
    message_id uuid,
    event_id text not null,
    occurred_at timestamptz not null default now(),
    unique (organization_id, event_id)
);
create index delivery_events_message on delivery.delivery_events (message_id);
create index delivery_events_contact on delivery.delivery_events (organization_id, contact_id);
create index delivery_events_age on delivery.delivery_events (created_at);

create table delivery.unmatched_events (
    provider_config_id uuid,
    event_id text not null,
    body jsonb not null,
    received_at timestamptz not null default now(),
    unique nulls not distinct (provider_config_id, event_id)
);
create index unmatched_events_age on delivery.unmatched_events (received_at);

create table delivery.feeders (
    channel text primary key check (channel in ('email', 'sms', 'push'))
);
insert into delivery.feeders values ('email'), ('sms'), ('push');
comment on table delivery.feeders is 'One row for each channel: the feeder locks it, so that limits hold.';

-- The platform's interface.

create view delivery.message_status as
select
    id, organization_id, idempotency_key, channel, class, contact_id, job_id, campaign_id, journey_id,
    journey_execution_id, step_id, state, reason, finished_at is not null as is_final, possible_duplicate,
    not_before, expires_at, created_at, called_at, sent_at, finished_at, delivered_at, bounced_at, bounce_kind,
    complained_at, unsubscribed_at, opened_at, clicked_at
from delivery.messages;
comment on view delivery.message_status is 'What became of a message, without its address and content.';

create function delivery.default_expiry(class text, since timestamptz) returns timestamptz
language sql immutable parallel safe
return since + case class when 'transactional' then interval '24 hours' else interval '72 hours' end;
comment on function delivery.default_expiry is 'When a message is too late: after 72 hours, a transactional one after 24.';

create function delivery.default_on_uncertain(channel text, class text) returns text
language sql immutable parallel safe
return case when channel = 'push' or (channel = 'email' and class = 'transactional') then 'retry' else 'hold' end;
comment on function delivery.default_on_uncertain is 'Transactional e-mail and push get one more call after an unknown one.';

create function delivery.enqueue(
    organization_id uuid, channel text, key text,
    contact_id uuid default null, address text default null, template_id uuid default null,
    content jsonb default null, variables jsonb default null, class text default 'marketing',
    campaign_id uuid default null, not_before timestamptz default null, expires_at timestamptz default null,
    on_uncertain text default null, device_id uuid default null
) returns uuid
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
    inserted uuid;
begin
    if contact_id is null and address is null then
        raise exception 'a message needs a contact or an address' using errcode = '22023';
    end if;
    if contact_id is null and class <> 'transactional' then
        raise exception 'a marketing message needs a contact' using errcode = '22023';
    end if;
    if (template_id is null) = (content is null) then
        raise exception 'a message needs either a template or a content' using errcode = '22023';
    end if;
    if length(key) > 200 then
        raise exception 'a key has at most 200 characters' using errcode = '22001';
    end if;
    if on_uncertain = 'retry' and class = 'marketing' and channel <> 'push' then
        raise exception 'marketing is not repeated after an unknown call' using errcode = '22023';
    end if;
    insert into delivery.messages (
        organization_id, idempotency_key, channel, class, contact_id, address, template_id, content, variables,
        campaign_id, device_id, state, reason, not_before, expires_at, finished_at, on_uncertain
    )
    select
        organization_id, key, channel, class, contact_id, address, template_id, content, variables,
        campaign_id, device_id,
        case when is_unknown then 'skipped' when not_before > now() then 'deferred' else 'pending' end,
        case when is_unknown then 'unknown_contact' when not_before > now() then 'not_before' end,
        case when not is_unknown and not_before > now() then not_before end,
        coalesce(expires_at, delivery.default_expiry(class, greatest(now(), not_before))),
        case when is_unknown then now() end,
        case
            when class = 'marketing' and channel <> 'push' then 'hold'
            else coalesce(on_uncertain, delivery.default_on_uncertain(channel, class))
        end
    from (
        select contact_id is not null and not exists (
            select from crm.contacts as known
            where known.id = contact_id and known.organization_id = enqueue.organization_id
        ) as is_unknown
    ) as checked
    on conflict on constraint messages_organization_id_idempotency_key_key do nothing
    returning id into inserted;
    return inserted;
end $$;
comment on function delivery.enqueue is 'Inserts a message, which the next run of the feeder sends. Returns its id; null: there is one with this key.';

create function delivery.suppress(
    organization_id uuid, address text, channel text default 'email', reason text default 'manual',
    scope text default null, source text default null, expires_at timestamptz default null
) returns uuid
language sql security definer set search_path = pg_catalog, pg_temp
begin atomic
insert into delivery.suppressions as known (organization_id, channel, address, reason, scope, source, expires_at)
values (
    $1, $3, delivery.suppressed_address($3, $2), $4,
    coalesce($5, case $4 when 'unsubscribe' then 'marketing' else 'all' end), $6, $7
)
on conflict (organization_id, channel, address, scope) do update
set expires_at = case when known.expires_at is null or excluded.expires_at is null then null
        else greatest(known.expires_at, excluded.expires_at) end
returning known.id;
end;
comment on function delivery.suppress is 'Sends nothing more to an address: nothing at all, or no marketing.';

create function delivery.unsuppress(
    organization_id uuid, address text, channel text, note text, scope text default null
) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
    removed bigint;
begin
    if coalesce(trim(note), '') = '' then
        raise exception 'a suppression is removed with a note' using errcode = '22023';
    end if;
    with gone as (
        delete from delivery.suppressions as known
        where known.organization_id = organization_id and known.channel = channel
            and known.address = delivery.suppressed_address(channel, address)
            and known.scope = coalesce(unsuppress.scope, known.scope)
        returning known.id, known.organization_id, known.channel, known.reason, known.scope
    )
    insert into delivery.delivery_events (organization_id, channel, event_type, event_id, metadata)
    select gone.organization_id, gone.channel, 'unsuppressed', 'unsuppress:' || gone.id,
        jsonb_build_object('reason', gone.reason, 'scope', gone.scope, 'note', note, 'by', session_user)
    from gone;
    get diagnostics removed = row_count;
    return removed;
end $$;
comment on function delivery.unsuppress is 'Removes suppressions of an address, for a person who says why.';

-- What the ledger holds of a contact.
create function delivery.erase_contact(organization_id uuid, contact_id uuid, mentioned text [] default '{}')
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
    delete from delivery.unmatched_events as gone
    where ops.mentions(gone.body::text) && (ops.mentions(contact_id::text) || mentioned);
    get diagnostics touched = row_count; total := total + touched;
    return total;
end $$;
comment on function delivery.erase_contact is 'The part of ops.erase_contact for deliveries. Suppressions stay: they keep a promise to the person.';

create or replace function ops.erase_contact(organization_id uuid, contact_id uuid, email text default null) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
    mentioned text [] := ops.mentions(concat_ws(' ', contact_id, email, (
        select known.email from crm.contacts as known
        where known.id = contact_id and known.organization_id = erase_contact.organization_id
    )));
    touched bigint;
    total bigint := 0;
begin
    delete from scoring.lead_scores as gone
    where gone.organization_id = erase_contact.organization_id and gone.contact_id = erase_contact.contact_id;
    get diagnostics touched = row_count; total := total + touched;
    delete from scoring.score_history as gone
    where gone.organization_id = erase_contact.organization_id and gone.contact_id = erase_contact.contact_id;
    get diagnostics touched = row_count; total := total + touched;
    delete from scoring.intent_signals as gone
    where gone.organization_id = erase_contact.organization_id and gone.contact_id = erase_contact.contact_id;
    get diagnostics touched = row_count; total := total + touched;
    delete from scoring.signal_alerts as gone
    where gone.organization_id = erase_contact.organization_id and gone.contact_id = erase_contact.contact_id;
    get diagnostics touched = row_count; total := total + touched;
    delete from scoring.alert_requests as gone
    where gone.organization_id = erase_contact.organization_id and gone.contact_id = erase_contact.contact_id;
    get diagnostics touched = row_count; total := total + touched;
    delete from scoring.threshold_outbox as gone
    where gone.organization_id = erase_contact.organization_id and gone.contact_id = erase_contact.contact_id;
    get diagnostics touched = row_count; total := total + touched;
    delete from scoring.recompute_backlog as gone
    where gone.organization_id = erase_contact.organization_id and gone.contact_id = erase_contact.contact_id;
    get diagnostics touched = row_count; total := total + touched;
    delete from ops.message_failures as gone where ops.mentions(gone.error_text) && mentioned;
    get diagnostics touched = row_count; total := total + touched;
    update ops.job_runs as kept set error_text = 'erased with a contact'
    where kept.error_text is not null and ops.mentions(kept.error_text) && mentioned;
    get diagnostics touched = row_count; total := total + touched;
    update ops.dead_letters as kept set
        body = null,
        error = null,
        note = 'erased with a contact',
        status = case kept.status when 'dead' then 'discarded' else kept.status end,
        changed_by = session_user,
        changed_at = now()
    where ops.mentions(kept.body::text || ' ' || coalesce(kept.error, '')) && mentioned;
    get diagnostics touched = row_count; total := total + touched;
    total := total + delivery.erase_contact(
        erase_contact.organization_id, erase_contact.contact_id,
        mentioned || array_remove(array[lower(trim(email)), (
            select lower(trim(known.email)) from crm.contacts as known
            where known.id = contact_id and known.organization_id = erase_contact.organization_id
        )], null)
    );
    delete from journey.journey_executions as gone
    where gone.organization_id = erase_contact.organization_id and gone.contact_id = erase_contact.contact_id;
    get diagnostics touched = row_count; total := total + touched;
    -- Last: the deletions above have noted changes of their own.
    delete from crm.contact_changes as gone
    where gone.consumer in ('scoring', 'segments', 'events')
        and gone.organization_id = erase_contact.organization_id and gone.contact_id = erase_contact.contact_id;
    get diagnostics touched = row_count; total := total + touched;
    return total;
end $$;
