-- migrate:up
-- What providers report about messages, and what follows from it. docs/deliveries.md, Feedback, explains the effects.

alter table delivery.messages add column failed_at timestamptz;
comment on column delivery.messages.failed_at is 'When the provider, which had accepted the message, gave up without a bounce.';

-- The id comes first: an event of Cloudflare names no config.
drop index delivery.messages_provider_id;
create index messages_provider_id on delivery.messages (provider_message_id, provider_config_id)
where provider_message_id is not null;

-- The sweep: rates of complaints and bounces, and addresses that bounce softly again and again.
create index delivery_events_trouble on delivery.delivery_events (created_at)
where channel = 'email' and event_type in ('bounced', 'complained');
create index delivery_events_delivered on delivery.delivery_events (organization_id, created_at)
where channel = 'email' and event_type = 'delivered';
alter table delivery.messages add column bounce_counted_at timestamptz;
comment on column delivery.messages.bounce_counted_at is 'When this soft bounce counted towards a suppression of its address.';
create index messages_soft_bounced on delivery.messages (organization_id, address)
where channel = 'email' and bounce_kind = 'soft' and bounce_counted_at is null;

alter table delivery.organization_settings add column marketing_resumed_at timestamptz;
comment on column delivery.organization_settings.marketing_resumed_at is 'When an operator ended the newest pause: earlier complaints and bounces no longer count.';

create or replace view delivery.message_status as
select
    id, organization_id, idempotency_key, channel, class, contact_id, job_id, campaign_id, journey_id,
    journey_execution_id, step_id, state, reason, finished_at is not null as is_final, possible_duplicate,
    not_before, expires_at, created_at, called_at, sent_at, finished_at, delivered_at, bounced_at, bounce_kind,
    complained_at, unsubscribed_at, opened_at, clicked_at, failed_at,
    case
        when complained_at is not null then 'complained'
        when bounced_at is not null then 'bounced'
        when failed_at is not null and delivered_at is null then 'failed'
        when delivered_at is not null then 'delivered'
        else state
    end as outcome
from delivery.messages;

create function delivery.gravity(reason text) returns integer
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
return array_position(array['unsubscribe', 'invalid', 'bounce', 'complaint', 'manual'], reason);
comment on function delivery.gravity is 'How grave a reason of a suppression is: a person''s decision most of all.';

drop function delivery.suppress(uuid, text, text, text, text, text, timestamptz);
create function delivery.suppress(
    organization_id uuid, address text, channel text default 'email', reason text default 'manual',
    scope text default null, source text default null, expires_at timestamptz default null,
    message_id uuid default null
) returns uuid
language sql security definer set search_path = pg_catalog, pg_temp
begin atomic
insert into delivery.suppressions as known (
    organization_id, channel, address, reason, scope, source, expires_at, message_id
)
values (
    $1, $3, delivery.suppressed_address($3, $2), $4,
    coalesce($5, case $4 when 'unsubscribe' then 'marketing' else 'all' end), $6, $7, $8
)
on conflict (organization_id, channel, address, scope) do update set
    expires_at = case when known.expires_at is null or excluded.expires_at is null then null
        else greatest(known.expires_at, excluded.expires_at) end,
    reason = case when delivery.gravity(excluded.reason) > delivery.gravity(known.reason) then excluded.reason
        else known.reason end,
    source = case when delivery.gravity(excluded.reason) > delivery.gravity(known.reason) then excluded.source
        else known.source end,
    message_id = case when delivery.gravity(excluded.reason) > delivery.gravity(known.reason) then excluded.message_id
        else known.message_id end
returning known.id;
end;
comment on function delivery.suppress is 'Sends nothing more to an address: nothing at all, or no marketing. Of several reasons the gravest stays.';

create function delivery.webhook_text(message jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
    content text;
begin
    content := encode(decode(message #>> '{data,body}', 'base64'), 'escape');
    -- A form separates its fields by = and &, and encodes the marks of an address.
    return content || ' ' || translate(replace(replace(content, '%40', '@'), '%2B', '+'), '=&', '  ');
exception when others then
    return null;
end $$;
comment on function delivery.webhook_text is 'The body of a webhook in a queue message, as text; null if it has none.';

-- What mentions a contact, also in the webhooks among the dead letters.
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
    -- The bytes of a webhook mention the contact in base64, which no index reads; there are few of them.
    update ops.dead_letters as kept set
        body = null,
        error = null,
        note = 'erased with a contact',
        status = case kept.status when 'dead' then 'discarded' else kept.status end,
        changed_by = session_user,
        changed_at = now()
    where kept.job_type = 'delivery.ProviderEvents' and kept.body is not null
        and ops.mentions(delivery.webhook_text(kept.body)) && mentioned;
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
