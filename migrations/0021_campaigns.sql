-- migrate:up
-- Campaigns: the segments whose members they go to, and the figures of their runs.
-- docs/deliveries.md, Campaigns.

create table crm.segments (
    id uuid primary key default gen_random_uuid(),
    organization_id uuid not null,
    name varchar(255) not null,
    description text,
    type text not null check (type in ('static', 'dynamic')),
    filter_criteria jsonb,
    contact_count integer not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    criteria_version bigint not null default 1,
    ready_version bigint,
    state text not null default 'building' check (state in ('building', 'ready', 'invalid')),
    problem text,
    failed_runs integer not null default 0,
    change_no bigint not null default 0,
    evaluated_at timestamptz
);
create index segments_organization on crm.segments (organization_id, id);
comment on column crm.segments.criteria_version is 'A trigger increments it when type or filter_criteria change.';
comment on column crm.segments.ready_version is 'The version of the criteria that the members satisfy; null: none yet.';
comment on column crm.segments.state is 'A static segment is always ready. A dynamic one is building until its members satisfy its criteria.';
comment on column crm.segments.problem is 'Why the segment is invalid.';
comment on column crm.segments.failed_runs is 'Evaluations in a row that failed.';
comment on column crm.segments.change_no is 'The number of the newest change of the members.';

create function crm.version_segment() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if tg_op = 'UPDATE' then
        new.criteria_version := old.criteria_version + 1;
    end if;
    new.problem := null;
    new.failed_runs := 0;
    if new.type = 'static' then
        new.state := 'ready';
        new.ready_version := new.criteria_version;
    else
        new.state := 'building';
    end if;
    return new;
end $$;
comment on function crm.version_segment is 'New criteria have a new version, for which a dynamic segment is built.';
create trigger version_insert before insert on crm.segments
for each row execute function crm.version_segment();
create trigger version_update before update of type, filter_criteria on crm.segments
for each row when (
    new.type is distinct from old.type or new.filter_criteria is distinct from old.filter_criteria
) execute function crm.version_segment();

create table crm.segment_contacts (
    id uuid primary key default gen_random_uuid(),
    segment_id uuid not null,
    contact_id uuid not null,
    added_at timestamptz not null default now(),
    organization_id uuid not null,
    entered_no bigint,
    unique (segment_id, contact_id)
);
create index segment_contacts_contact on crm.segment_contacts (contact_id);
comment on column crm.segment_contacts.organization_id is 'A trigger takes it from the segment.';
comment on column crm.segment_contacts.entered_no is 'The number of the change with which the contact entered; null until it is numbered.';

create function crm.complete_membership() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    new.organization_id := (select organization_id from crm.segments where id = new.segment_id);
    return new;
end $$;
create trigger complete before insert on crm.segment_contacts
for each row when (new.organization_id is null) execute function crm.complete_membership();

create function crm.end_memberships() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    delete from crm.segment_contacts where contact_id in (select id from gone);
    return null;
end $$;
comment on function crm.end_memberships is 'A deleted contact leaves its segments in the same statement.';
create trigger end_memberships after delete on crm.contacts
referencing old table as gone
for each statement execute function crm.end_memberships();

-- A canceled run stays canceled, whatever status the campaign gets for its next run.

alter table campaign.campaigns add column canceled_run integer not null default 0;
comment on column campaign.campaigns.canceled_run is 'The newest run that was canceled. Messages of it and of earlier runs are not sent.';

create function campaign.note_cancel() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    new.canceled_run := greatest(new.canceled_run, old.run);
    return new;
end $$;
create trigger note_cancel before update of status on campaign.campaigns
for each row when (new.status = 'canceled' and old.status <> 'canceled') execute function campaign.note_cancel();

-- The figures of a run.

alter table delivery.delivery_jobs add column run integer;
comment on column delivery.delivery_jobs.run is 'The number of the campaign''s run.';

alter table delivery.delivery_jobs add column counts jsonb not null default '{}';
comment on column delivery.delivery_jobs.counts is 'Recipients by what became of them: sent, failed, skipped, uncertain, open; delivered, opened and so on.';
create index delivery_jobs_open on delivery.delivery_jobs (campaign_id) where completed_at is null and content is not null;
create index campaigns_problem on campaign.campaigns (organization_id) where problem is not null;

create table delivery.progress (
    name text primary key,
    at timestamptz not null
);
insert into delivery.progress values ('campaign_counts', '-infinity');
comment on table delivery.progress is 'How far a repeated work has come. campaign_counts: events recorded until then are counted.';

-- Its body was parsed when it was created, so it needs no search path. Without one Postgres inlines it: a fan-out
-- normalizes a million addresses.
alter function delivery.suppressed_address(text, text) reset search_path;
