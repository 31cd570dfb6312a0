-- migrate:up
-- Changes go into a feed in place of the backlog: the platform's writers append rows and wait for
-- nothing; jobs fold the rows. docs/decisions/0008-change-feed.md.

create table crm.contact_changes (
    id bigint generated always as identity primary key,
    consumer text not null,
    organization_id uuid not null,
    contact_id uuid,
    source text not null,
    name text,
    activity_id uuid,
    at timestamptz not null default now()
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
comment on table crm.contact_changes is 'What changed, a row for each consumer. Writers only append; the consumer''s job deletes what it has folded. There is no unique key but the id and no foreign key, so that no writer waits for another.';
comment on column crm.contact_changes.consumer is 'scoring, segments or events. Checks of this and of the source would cost each writer 10 µs a statement; triggers alone write them.';
comment on column crm.contact_changes.source is 'contact, custom, event, tag, score, segment, company, signal or config.';
comment on column crm.contact_changes.contact_id is 'Null: the change concerns every contact of the organization.';
comment on column crm.contact_changes.name is 'What changed within the source. A new signal: its type. A setting: the type of signal it concerns, null for all contacts.';
comment on column crm.contact_changes.activity_id is 'The row that the change is about. A new signal, or a request for an alert: its id.';

-- A consumer takes its rows organization by organization, so that no organization waits for another's.
create index contact_changes_pending on crm.contact_changes (consumer, organization_id, id);
create index contact_changes_whole on crm.contact_changes (consumer, id) where contact_id is null;

create table crm.expanded_changes (
    change_id bigint primary key,
    reached uuid not null,
    expanded_at timestamptz not null
);
comment on table crm.expanded_changes is 'How far a job has come with a change that concerns a whole organization: the last contact it has taken. Deleted with the change.';

create table scoring.alert_requests (
    id uuid primary key default gen_random_uuid(),
    organization_id uuid not null,
    contact_id uuid not null,
    signal_type varchar(50) not null,
    priority text not null check (priority in ('critical', 'high', 'medium', 'low')),
    opened_at timestamptz not null
);
comment on table scoring.alert_requests is 'Alerts that the platform asks for (scoring.open_alert). The fold of the change feed opens them.';
create index alert_requests_contact on scoring.alert_requests (organization_id, contact_id, signal_type);

-- The old triggers wrote the backlog and the alerts, and kept those rows locked until the writer's commit.
drop trigger scoring_insert on crm.contacts;
drop trigger scoring_delete on crm.contacts;
drop trigger scoring_update on crm.contacts;
drop trigger scoring_insert on scoring.intent_signals;
drop trigger scoring_delete on scoring.intent_signals;
drop trigger scoring_update_from on scoring.intent_signals;
drop trigger scoring_update_to on scoring.intent_signals;
drop trigger scoring_alerts on scoring.intent_signals;
drop trigger scoring_insert on analytics.contact_activity;
drop trigger scoring_delete on analytics.contact_activity;
drop trigger scoring_update_from on analytics.contact_activity;
drop trigger scoring_update_to on analytics.contact_activity;
drop trigger scoring_insert on scoring.scoring_configs;
drop trigger scoring_delete on scoring.scoring_configs;
drop trigger scoring_update_from on scoring.scoring_configs;
drop trigger scoring_update_to on scoring.scoring_configs;
drop trigger scoring_insert on scoring.signal_configs;
drop trigger scoring_delete on scoring.signal_configs;
drop trigger scoring_update_from on scoring.signal_configs;
drop trigger scoring_update_to on scoring.signal_configs;
drop function scoring.contacts_changed();
drop function scoring.contacts_updated();
drop function scoring.signals_changed();
drop function scoring.activity_changed();
drop function scoring.scoring_configs_changed();
drop function scoring.signal_configs_changed();
drop function scoring.signals_alert();
drop function scoring.request_recompute(uuid [], uuid [], text);
drop function scoring.open_alert(uuid, uuid, text, text, timestamptz);

-- The triggers work on the rows of a whole statement, and run with the rights of their owner: the
-- platform's other services need none on the feed. They take no lock but that of the row they append.

create function scoring.contacts_changed() returns trigger language plpgsql
security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into crm.contact_changes (consumer, organization_id, contact_id, source)
    select 'scoring', organization_id, id, 'contact' from changed;
    return null;
end $$;

-- Most updates of a contact (its stage, its last activity) change nothing that counts.
create function scoring.contacts_updated() returns trigger language plpgsql
security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into crm.contact_changes (consumer, organization_id, contact_id, source)
    select 'scoring', organization_id, id, 'contact'
    from (
        select was.organization_id, was.id, was.email, was.phone, was.custom_fields from was
        except all
        select became.organization_id, became.id, became.email, became.phone, became.custom_fields from became
    ) as lost
    union
    select 'scoring', organization_id, id, 'contact'
    from (
        select became.organization_id, became.id, became.email, became.phone, became.custom_fields from became
        except all
        select was.organization_id, was.id, was.email, was.phone, was.custom_fields from was
    ) as gained;
    return null;
end $$;

-- The newest of a statement's signals of one contact and type decides over an alert.
create function scoring.signals_added() returns trigger language plpgsql
security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into crm.contact_changes (consumer, organization_id, contact_id, source, name, activity_id)
    select distinct on (organization_id, contact_id, signal_type)
        'scoring', organization_id, contact_id, 'signal', signal_type, id
    from changed
    order by organization_id, contact_id, signal_type, detected_at desc, id;
    return null;
end $$;

create function scoring.signals_removed() returns trigger language plpgsql
security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into crm.contact_changes (consumer, organization_id, contact_id, source)
    select distinct 'scoring', organization_id, contact_id, 'signal' from changed;
    return null;
end $$;

create function scoring.signals_updated() returns trigger language plpgsql
security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into crm.contact_changes (consumer, organization_id, contact_id, source)
    select 'scoring', organization_id, contact_id, 'signal' from was
    union
    select 'scoring', organization_id, contact_id, 'signal' from became;
    return null;
end $$;

create function scoring.activity_changed() returns trigger language plpgsql
security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into crm.contact_changes (consumer, organization_id, contact_id, source)
    select distinct 'scoring', organization_id, contact_id, 'event'
    from changed
    where event_type in ('email_opened', 'email_clicked', 'form_submitted', 'page_visited', 'content_download');
    return null;
end $$;

create function scoring.activity_updated() returns trigger language plpgsql
security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into crm.contact_changes (consumer, organization_id, contact_id, source)
    select 'scoring', organization_id, contact_id, 'event'
    from was
    where event_type in ('email_opened', 'email_clicked', 'form_submitted', 'page_visited', 'content_download')
    union
    select 'scoring', organization_id, contact_id, 'event'
    from became
    where event_type in ('email_opened', 'email_clicked', 'form_submitted', 'page_visited', 'content_download');
    return null;
end $$;

-- A setting concerns a whole organization: one row, which the job expands in ranges of contacts.

create function scoring.scoring_configs_changed() returns trigger language plpgsql
security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into crm.contact_changes (consumer, organization_id, source)
    select distinct 'scoring', organization_id, 'config' from changed;
    return null;
end $$;

create function scoring.scoring_configs_updated() returns trigger language plpgsql
security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into crm.contact_changes (consumer, organization_id, source)
    select 'scoring', organization_id, 'config' from was
    union
    select 'scoring', organization_id, 'config' from became;
    return null;
end $$;

create function scoring.signal_configs_changed() returns trigger language plpgsql
security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into crm.contact_changes (consumer, organization_id, source, name)
    select distinct 'scoring', organization_id, 'config', signal_type from changed;
    return null;
end $$;

create function scoring.signal_configs_updated() returns trigger language plpgsql
security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into crm.contact_changes (consumer, organization_id, source, name)
    select 'scoring', organization_id, 'config', signal_type from was
    union
    select 'scoring', organization_id, 'config', signal_type from became;
    return null;
end $$;

create trigger scoring_insert after insert on crm.contacts
referencing new table as changed for each statement execute function scoring.contacts_changed();
create trigger scoring_delete after delete on crm.contacts
referencing old table as changed for each statement execute function scoring.contacts_changed();
create trigger scoring_update after update on crm.contacts
referencing old table as was new table as became for each statement execute function scoring.contacts_updated();

create trigger scoring_insert after insert on scoring.intent_signals
referencing new table as changed for each statement execute function scoring.signals_added();
create trigger scoring_delete after delete on scoring.intent_signals
referencing old table as changed for each statement execute function scoring.signals_removed();
create trigger scoring_update after update on scoring.intent_signals
referencing old table as was new table as became for each statement execute function scoring.signals_updated();

create trigger scoring_insert after insert on analytics.contact_activity
referencing new table as changed for each statement execute function scoring.activity_changed();
create trigger scoring_delete after delete on analytics.contact_activity
referencing old table as changed for each statement execute function scoring.activity_changed();
create trigger scoring_update after update on analytics.contact_activity
referencing old table as was new table as became for each statement execute function scoring.activity_updated();

create trigger scoring_insert after insert on scoring.scoring_configs
referencing new table as changed for each statement execute function scoring.scoring_configs_changed();
create trigger scoring_delete after delete on scoring.scoring_configs
referencing old table as changed for each statement execute function scoring.scoring_configs_changed();
create trigger scoring_update after update on scoring.scoring_configs
referencing old table as was new table as became for each statement execute function scoring.scoring_configs_updated();

create trigger scoring_insert after insert on scoring.signal_configs
referencing new table as changed for each statement execute function scoring.signal_configs_changed();
create trigger scoring_delete after delete on scoring.signal_configs
referencing old table as changed for each statement execute function scoring.signal_configs_changed();
create trigger scoring_update after update on scoring.signal_configs
referencing old table as was new table as became for each statement execute function scoring.signal_configs_updated();

-- What the platform calls.

create function scoring.request_recompute(organization_ids uuid [], contact_ids uuid [], reason text)
returns bigint language sql security definer set search_path = pg_catalog, pg_temp as $$
    with requested as (
        insert into crm.contact_changes (consumer, organization_id, contact_id, source, name)
        select distinct 'scoring', contact.organization_id, contact.contact_id, 'contact', request_recompute.reason
        from unnest(organization_ids, contact_ids) as contact (organization_id, contact_id)
        where contact.contact_id is not null
        returning 1
    )
    select count(*) from requested
$$;
comment on function scoring.request_recompute is 'Asks for contacts to be scored: for a change that no trigger sees. Returns how many contacts it asked for.';

create function scoring.open_alert(
    organization_id uuid, contact_id uuid, signal_type text, priority text, opened_at timestamptz default now()
) returns uuid language sql security definer set search_path = pg_catalog, pg_temp as $$
    with request as (
        insert into scoring.alert_requests (organization_id, contact_id, signal_type, priority, opened_at)
        select open_alert.organization_id, open_alert.contact_id, open_alert.signal_type, open_alert.priority,
            open_alert.opened_at
        where not exists (
                select from scoring.signal_alerts as alert
                where alert.organization_id = open_alert.organization_id
                    and alert.contact_id = open_alert.contact_id and alert.signal_type = open_alert.signal_type
                    and alert.status = 'open' and alert.deadline > open_alert.opened_at
            )
            and not exists (
                select from scoring.alert_requests as earlier
                where earlier.organization_id = open_alert.organization_id
                    and earlier.contact_id = open_alert.contact_id and earlier.signal_type = open_alert.signal_type
            )
        returning id
    ),
    noted as (
        insert into crm.contact_changes (consumer, organization_id, contact_id, source, name, activity_id)
        select 'scoring', open_alert.organization_id, open_alert.contact_id, 'signal', open_alert.signal_type, id
        from request
    )
    select id from request
$$;
comment on function scoring.open_alert is 'Asks for an alert, which the next fold of the change feed opens (within a minute). Returns the id that the alert will have; null where one of this contact and type is open or asked for.';

-- The backlog keeps the entries that it has; from now on only the jobs write it.
comment on table scoring.recompute_backlog is 'Contacts whose score is older than what it depends on. Jobs fill it from the change feed. A row is locked by the run that writes the contact''s score.';
