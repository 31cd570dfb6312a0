-- migrate:up
-- Turns, retention and erasure: docs/decisions/0013-role-and-retention.md.

create table ops.turns (
    name text primary key
);
comment on table ops.turns is 'One row for each thing that one transaction does at a time, such as the archive of a queue: the row is locked until the transaction ends.';

-- Retention: what is deleted by age is found by age.
create index booking_turns_age on analytics.booking_turns (taken_at);
create index score_history_age on scoring.score_history (date);
create index signal_alerts_closed on scoring.signal_alerts (coalesce(expired_at, acknowledged_at))
where status <> 'open';
create index alert_requests_age on scoring.alert_requests (opened_at);
create index dead_letters_age on ops.dead_letters (coalesce(changed_at, dead_at));
create index dead_letters_descent on ops.dead_letters (redriven_from) where redriven_from is not null;
alter table ops.dead_letters drop constraint dead_letters_redriven_from_fkey;
alter table ops.dead_letters add constraint dead_letters_redriven_from_fkey
foreign key (redriven_from) references ops.dead_letters (id) on delete set null;

-- Erasure.
create function ops.mentions(content text) returns text []
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
    -- Two patterns, each linear: after each match of both as one, the rest of the text was looked through for an '@'.
    select array_agg(distinct rtrim(lower(word[1]), '.'))
    from (
        select regexp_matches(content, '([^][[:space:]"''<>(){}:;,@\\]+@[^][[:space:]"''<>(){}:;,@\\]+)', 'g') as word
        union all
        select regexp_matches(
            regexp_replace(content, '[^][[:space:]"''<>(){}:;,@\\]+@[^][[:space:]"''<>(){}:;,@\\]+', ' ', 'g'),
            '([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})', 'gi'
        )
    ) as found
$$;
comment on function ops.mentions is 'The UUIDs and e-mail addresses in a text, in lower case.';
create index dead_letters_mentions on ops.dead_letters using gin (ops.mentions(body::text || ' ' || coalesce(error, '')));
create index message_failures_mentions on ops.message_failures using gin (ops.mentions(error_text));
create index job_runs_mentions on ops.job_runs using gin (ops.mentions(error_text)) where error_text is not null;
create index threshold_outbox_contact on scoring.threshold_outbox (organization_id, contact_id);

create function ops.erase_contact(organization_id uuid, contact_id uuid, email text default null) returns bigint
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
    -- Last: the deletions above have noted changes of their own.
    delete from crm.contact_changes as gone
    where gone.consumer in ('scoring', 'segments', 'events')
        and gone.organization_id = erase_contact.organization_id and gone.contact_id = erase_contact.contact_id;
    get diagnostics touched = row_count; total := total + touched;
    return total;
end $$;
comment on function ops.erase_contact is 'Removes or empties all that our tables hold of a contact, by its id and its e-mail address. Call it after the contact and its events are deleted, in the same transaction. Repeating it does no harm.';
