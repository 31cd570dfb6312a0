-- migrate:up
-- Segments follow their criteria: what they depend on, which contacts to evaluate, and when. docs/segments.md.

-- The platform's tables that criteria read.

create table crm.tags (
    id uuid primary key default gen_random_uuid(),
    organization_id uuid not null,
    name text not null
);
create index tags_organization on crm.tags (organization_id, id);

create table crm.contact_tags (
    contact_id uuid not null,
    tag_id uuid not null,
    primary key (contact_id, tag_id)
);

create table crm.fields (
    id uuid primary key default gen_random_uuid(),
    organization_id uuid not null,
    entity_type text not null default 'contact',
    name text not null,
    field_type text not null check (field_type in ('text', 'number', 'date', 'select', 'multiselect')),
    unique (organization_id, entity_type, name)
);

create table crm.companies (
    id uuid primary key default gen_random_uuid(),
    organization_id uuid not null,
    name text,
    domain text,
    industry text,
    size text
);

create table crm.contact_companies (
    contact_id uuid not null,
    company_id uuid not null,
    primary key (contact_id, company_id)
);
create index contact_companies_company on crm.contact_companies (company_id, contact_id);

-- What an evaluation needs.

alter table crm.segments add column prepared_version bigint, add column failed_at timestamptz;
comment on column crm.segments.prepared_version is 'The version of the criteria whose dependencies are recorded.';
comment on column crm.segments.failed_at is 'The time for which the newest failed evaluation was: one hour counts once.';
create index segments_building on crm.segments (id) where state = 'building';

create table crm.segment_changes (
    segment_id uuid not null,
    change_no bigint not null,
    organization_id uuid not null,
    contact_id uuid not null,
    kind text not null check (kind in ('entered', 'left')),
    criteria_version bigint not null,
    at timestamptz not null,
    primary key (segment_id, change_no)
);
create index segment_changes_at on crm.segment_changes (at);
create index segment_changes_contact on crm.segment_changes (organization_id, contact_id);
comment on table crm.segment_changes is 'Who entered and left, numbered without gaps within a segment.';

create table crm.segment_recheck (
    segment_id uuid not null,
    contact_id uuid not null,
    organization_id uuid not null,
    recheck_at timestamptz not null check (isfinite(recheck_at)),
    primary key (segment_id, contact_id)
);
create index segment_recheck_due on crm.segment_recheck (recheck_at);
create index segment_recheck_contact on crm.segment_recheck (organization_id, contact_id);
comment on table crm.segment_recheck is 'The moment at which time alone can change a contact''s membership. Deleted with the evaluation.';

create sequence crm.backlog_version;
create table crm.segment_backlog (
    organization_id uuid not null,
    contact_id uuid not null,
    version bigint not null default nextval('crm.backlog_version'),
    reason text not null,
    requested_at timestamptz not null default now(),
    primary key (organization_id, contact_id)
);
comment on table crm.segment_backlog is 'Contacts to evaluate. Only jobs write it.';
comment on column crm.segment_backlog.version is 'Marks the entries that one evaluation has taken.';

create table crm.segment_dependencies (
    organization_id uuid not null,
    source text not null check (
        source in ('contact', 'custom', 'event', 'tag', 'score', 'segment', 'company', 'config')
    ),
    name text not null,
    segment_id uuid not null,
    since_xid xid8,
    primary key (organization_id, source, name, segment_id)
);
create index segment_dependencies_segment on crm.segment_dependencies (segment_id);
comment on table crm.segment_dependencies is 'What the criteria of a segment read: the triggers note only changes of this.';
comment on column crm.segment_dependencies.name is 'A column, a key, a type of event (* for any of the contact''s own), a segment; otherwise empty.';
comment on column crm.segment_dependencies.since_xid is 'A transaction that began after the dependency was visible: every writer before it has ended before a build reads.';

-- Values of custom fields, as criteria understand them. Null: the value has no such meaning.

create function crm.number_of(value jsonb) returns numeric language sql immutable as $$
    select case jsonb_typeof(value)
        when 'number' then value::numeric
        when 'string' then case
            when length(value #>> '{}') <= 100
                and value #>> '{}' ~ '^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]{1,3})?$'
                then (value #>> '{}')::numeric
        end
    end
$$;

create function crm.text_of(value jsonb) returns text language sql immutable as $$
    select case when jsonb_typeof(value) in ('string', 'number', 'boolean') then nullif(value #>> '{}', '') end
$$;

create function crm.texts_of(value jsonb) returns text [] language sql immutable as $$
    select case jsonb_typeof(value)
        when 'array' then nullif(array(
            select crm.text_of(element)
            from jsonb_array_elements(value) as list (element)
            where crm.text_of(element) is not null
        ), '{}')
        else array_remove(array[crm.text_of(value)], null)
    end
$$;

create function crm.boolean_of(value jsonb) returns boolean language sql immutable as $$
    select case when value #>> '{}' in ('true', 'false') and jsonb_typeof(value) in ('string', 'boolean')
        then (value #>> '{}')::boolean end
$$;

create function crm.is_day(value text) returns boolean language sql immutable as $$
    select case
        when value ~ '^(19|2[0-9])[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])(T|$)'
            then substr(value, 9, 2)::integer <= case substr(value, 6, 2)
                when '02' then case
                    when substr(value, 1, 4)::integer % 400 = 0
                        or substr(value, 1, 4)::integer % 4 = 0 and substr(value, 1, 4)::integer % 100 <> 0
                        then 29
                    else 28
                end
                when '04' then 30
                when '06' then 30
                when '09' then 30
                when '11' then 30
                else 31
            end
        else false
    end
$$;
comment on function crm.is_day is 'Whether a text begins with a day of the calendar, of the years 1900 to 2999.';

-- Where the clock goes back at midnight, the day has two midnights: the first is its start.
create function crm.day_start(day date, zone text) returns timestamptz language sql stable as $$
    select case
        when (midnight - interval '1 hour') at time zone zone = day::timestamp then midnight - interval '1 hour'
        else midnight
    end
    from (select day::timestamp at time zone zone as midnight) as start
$$;

create function crm.moment_of(value jsonb, zone text) returns timestamptz language sql stable as $$
    select case
        when jsonb_typeof(value) <> 'string' or not crm.is_day(value #>> '{}') then null
        when length(value #>> '{}') = 10 then crm.day_start((value #>> '{}')::date, zone)
        when substr(value #>> '{}', 11)
            ~ '^T([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,6})?)?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])$'
            then (value #>> '{}')::timestamptz
    end
$$;

create function crm.anniversary_in(day date, year integer) returns date language sql immutable as $$
    select make_date(year, extract(month from day)::integer, case
        when extract(month from day) = 2 and extract(day from day) = 29
            and not (year % 400 = 0 or year % 4 = 0 and year % 100 <> 0) then 28
        else extract(day from day)::integer
    end)
$$;
comment on function crm.anniversary_in is 'The day on which an anniversary counts in a year: 29 February on the 28th of other years.';

create function crm.next_anniversary(day date, today date) returns date language sql immutable as $$
    select case
        when crm.anniversary_in(day, extract(year from today)::integer) = today then today + 1
        when crm.anniversary_in(day, extract(year from today)::integer) > today
            then crm.anniversary_in(day, extract(year from today)::integer)
        else crm.anniversary_in(day, extract(year from today)::integer + 1)
    end
$$;
comment on function crm.next_anniversary is 'The first day after today on which "the anniversary is today" has another answer.';

create function crm.finite(moment timestamptz) returns timestamptz language sql immutable as $$
    select case when moment < '9000-01-01T00:00:00Z' then moment end
$$;
comment on function crm.finite is 'Null for a moment in the year 9000 or later, as infinity is.';

-- The feed. The triggers append rows, take no lock, and note only what a dynamic segment reads.

create function crm.note_contacts_added() returns trigger language plpgsql
security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into crm.contact_changes (consumer, organization_id, contact_id, source)
    select 'segments', organization_id, id, 'contact'
    from changed
    where exists (select from crm.segment_dependencies as needed where needed.organization_id = changed.organization_id);
    return null;
end $$;

create function crm.note_contacts_updated() returns trigger language plpgsql
security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into crm.contact_changes (consumer, organization_id, contact_id, source)
    select distinct 'segments', needed.organization_id, became.id, needed.source
    from became
    join was on was.id = became.id
    join crm.segment_dependencies as needed on needed.organization_id in (was.organization_id, became.organization_id)
    where was is distinct from became
        and (
            was.organization_id <> became.organization_id
            or needed.source = 'custom'
                and was.custom_fields -> needed.name is distinct from became.custom_fields -> needed.name
            or needed.source = 'contact' and case needed.name
                when 'email' then was.email is distinct from became.email
                when 'first_name' then was.first_name is distinct from became.first_name
                when 'last_name' then was.last_name is distinct from became.last_name
                when 'phone' then was.phone is distinct from became.phone
                when 'status' then was.status is distinct from became.status
                when 'stage' then was.stage is distinct from became.stage
                when 'created_at' then was.created_at is distinct from became.created_at
                when 'updated_at' then was.updated_at is distinct from became.updated_at
                when 'last_activity_at' then was.last_activity_at is distinct from became.last_activity_at
            end
        );
    return null;
end $$;

create function crm.is_own_event(event_type text) returns boolean language sql immutable as $$
    select event_type !~ '_(sent|delivered|bounced|shown)$'
$$;
comment on function crm.is_own_event is 'Whether an event is an activity of the contact, and not something that was done to them.';

create function crm.note_events() returns trigger language plpgsql
security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into crm.contact_changes (consumer, organization_id, contact_id, source)
    select distinct 'segments', changed.organization_id, changed.contact_id, 'event'
    from changed
    where exists (
            select from crm.segment_dependencies as needed
            where needed.organization_id = changed.organization_id and needed.source = 'event'
                and needed.name = changed.event_type
        )
        or exists (
            select from crm.segment_dependencies as needed
            where needed.organization_id = changed.organization_id and needed.source = 'event' and needed.name = '*'
        ) and crm.is_own_event(changed.event_type);
    return null;
end $$;

create function crm.note_events_updated() returns trigger language plpgsql
security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into crm.contact_changes (consumer, organization_id, contact_id, source)
    select distinct 'segments', changed.organization_id, changed.contact_id, 'event'
    from (table was union all table became) as changed
    where exists (
            select from crm.segment_dependencies as needed
            where needed.organization_id = changed.organization_id and needed.source = 'event'
                and needed.name = changed.event_type
        )
        or exists (
            select from crm.segment_dependencies as needed
            where needed.organization_id = changed.organization_id and needed.source = 'event' and needed.name = '*'
        ) and crm.is_own_event(changed.event_type);
    return null;
end $$;

create function crm.note_tags() returns trigger language plpgsql
security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into crm.contact_changes (consumer, organization_id, contact_id, source)
    select distinct 'segments', contact.organization_id, contact.id, 'tag'
    from changed
    join crm.contacts as contact on contact.id = changed.contact_id
    where exists (
        select from crm.segment_dependencies as needed
        where needed.organization_id = contact.organization_id and needed.source = 'tag'
    );
    return null;
end $$;

create function crm.note_companies_of_contacts() returns trigger language plpgsql
security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into crm.contact_changes (consumer, organization_id, contact_id, source)
    select distinct 'segments', contact.organization_id, contact.id, 'company'
    from changed
    join crm.contacts as contact on contact.id = changed.contact_id
    where exists (
        select from crm.segment_dependencies as needed
        where needed.organization_id = contact.organization_id and needed.source = 'company'
    );
    return null;
end $$;

-- A company with many contacts is one row, which the job expands.
create function crm.note_companies() returns trigger language plpgsql
security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into crm.contact_changes (consumer, organization_id, contact_id, source, name)
    with sized as (
        select distinct organization_id, id, (
            select count(*)
            from (select from crm.contact_companies as own where own.company_id = changed.id limit 101) as first
        ) as contacts
        from changed
        where exists (
            select from crm.segment_dependencies as needed
            where needed.organization_id = changed.organization_id and needed.source = 'company'
        )
    )
    select 'segments', organization_id, null::uuid, 'company', id::text from sized where contacts > 100
    union
    select 'segments', organization_id, own.contact_id, 'company', null
    from sized
    join crm.contact_companies as own on own.company_id = sized.id
    where contacts <= 100;
    return null;
end $$;

create function crm.note_scores() returns trigger language plpgsql
security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into crm.contact_changes (consumer, organization_id, contact_id, source)
    select 'segments', organization_id, contact_id, 'score'
    from changed
    where exists (
        select from crm.segment_dependencies as needed
        where needed.organization_id = changed.organization_id and needed.source = 'score'
    );
    return null;
end $$;

create function crm.note_scores_updated() returns trigger language plpgsql
security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into crm.contact_changes (consumer, organization_id, contact_id, source)
    select 'segments', became.organization_id, became.contact_id, 'score'
    from became
    join was using (organization_id, contact_id)
    where (was.total_score, was.grade) is distinct from (became.total_score, became.grade)
        and exists (
            select from crm.segment_dependencies as needed
            where needed.organization_id = became.organization_id and needed.source = 'score'
        );
    return null;
end $$;

-- The type of a field, and the zone of an organization, decide over the meaning of criteria: one row.
create function crm.note_fields() returns trigger language plpgsql
security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into crm.contact_changes (consumer, organization_id, source, name)
    select distinct 'segments', changed.organization_id, 'custom', changed.name
    from changed
    join crm.segment_dependencies as needed
        on needed.organization_id = changed.organization_id and needed.source = 'custom' and needed.name = changed.name
    where changed.entity_type = 'contact';
    return null;
end $$;

create function crm.note_time_zone() returns trigger language plpgsql
security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into crm.contact_changes (consumer, organization_id, source, name)
    select distinct 'segments', needed.organization_id, 'config', 'time_zone'
    from crm.segment_dependencies as needed
    where needed.organization_id = coalesce(new.organization_id, old.organization_id)
        and needed.source = 'config' and needed.name = 'time_zone';
    return null;
end $$;

-- The platform's changes of members. An evaluation numbers its own, and a job numbers these.
create function crm.note_members() returns trigger language plpgsql
security definer set search_path = pg_catalog, pg_temp as $$
begin
    if current_setting('mauntic.numbers_members', true) = 'on' then
        return null;
    end if;
    insert into crm.contact_changes (consumer, organization_id, contact_id, source, name, activity_id)
    select 'segments', organization_id, contact_id, 'segment',
        case tg_op when 'INSERT' then 'entered' else 'left' end, segment_id
    from changed
    where organization_id is not null;
    return null;
end $$;

create trigger segments_insert after insert on crm.contacts
referencing new table as changed for each statement execute function crm.note_contacts_added();
create trigger segments_update after update on crm.contacts
referencing old table as was new table as became for each statement execute function crm.note_contacts_updated();
create trigger segments_insert after insert on analytics.contact_activity
referencing new table as changed for each statement execute function crm.note_events();
create trigger segments_delete after delete on analytics.contact_activity
referencing old table as changed for each statement execute function crm.note_events();
create trigger segments_update after update on analytics.contact_activity
referencing old table as was new table as became for each statement execute function crm.note_events_updated();
create trigger segments_insert after insert on crm.contact_tags
referencing new table as changed for each statement execute function crm.note_tags();
create trigger segments_delete after delete on crm.contact_tags
referencing old table as changed for each statement execute function crm.note_tags();
create trigger segments_update_from after update on crm.contact_tags
referencing old table as changed for each statement execute function crm.note_tags();
create trigger segments_update_to after update on crm.contact_tags
referencing new table as changed for each statement execute function crm.note_tags();
create trigger segments_insert after insert on crm.contact_companies
referencing new table as changed for each statement execute function crm.note_companies_of_contacts();
create trigger segments_delete after delete on crm.contact_companies
referencing old table as changed for each statement execute function crm.note_companies_of_contacts();
create trigger segments_update_from after update on crm.contact_companies
referencing old table as changed for each statement execute function crm.note_companies_of_contacts();
create trigger segments_update_to after update on crm.contact_companies
referencing new table as changed for each statement execute function crm.note_companies_of_contacts();
create trigger segments_update after update on crm.companies
referencing new table as changed for each statement execute function crm.note_companies();
create trigger segments_delete after delete on crm.companies
referencing old table as changed for each statement execute function crm.note_companies();
create trigger segments_insert after insert on scoring.lead_scores
referencing new table as changed for each statement execute function crm.note_scores();
create trigger segments_delete after delete on scoring.lead_scores
referencing old table as changed for each statement execute function crm.note_scores();
create trigger segments_update after update on scoring.lead_scores
referencing old table as was new table as became for each statement execute function crm.note_scores_updated();
create trigger segments_insert after insert on crm.fields
referencing new table as changed for each statement execute function crm.note_fields();
create trigger segments_delete after delete on crm.fields
referencing old table as changed for each statement execute function crm.note_fields();
create trigger segments_update_from after update on crm.fields
referencing old table as changed for each statement execute function crm.note_fields();
create trigger segments_update_to after update on crm.fields
referencing new table as changed for each statement execute function crm.note_fields();
create trigger segments_zone after insert or update or delete on delivery.organization_settings
for each row execute function crm.note_time_zone();
create trigger note_insert after insert on crm.segment_contacts
referencing new table as changed for each statement execute function crm.note_members();
create trigger note_delete after delete on crm.segment_contacts
referencing old table as changed for each statement execute function crm.note_members();

-- A segment that the platform deletes takes its rows along.
create function crm.forget_segments() returns trigger language plpgsql
security definer set search_path = pg_catalog, pg_temp as $$
begin
    delete from crm.segment_dependencies where segment_id in (select id from gone);
    delete from crm.segment_recheck where segment_id in (select id from gone);
    delete from crm.segment_changes where segment_id in (select id from gone);
    delete from crm.segment_contacts where segment_id in (select id from gone);
    delete from ops.parts where kind = 'segment.build' and subject_id in (select id from gone);
    return null;
end $$;
create trigger forget after delete on crm.segments
referencing old table as gone for each statement execute function crm.forget_segments();

-- Called by ops.erase_contact.
create function crm.erase_contact(organization_id uuid, contact_id uuid) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
    touched bigint;
    total bigint := 0;
begin
    delete from crm.segment_changes as gone
    where gone.organization_id = erase_contact.organization_id and gone.contact_id = erase_contact.contact_id;
    get diagnostics touched = row_count; total := total + touched;
    delete from crm.segment_recheck as gone
    where gone.organization_id = erase_contact.organization_id and gone.contact_id = erase_contact.contact_id;
    get diagnostics touched = row_count; total := total + touched;
    delete from crm.segment_backlog as gone
    where gone.organization_id = erase_contact.organization_id and gone.contact_id = erase_contact.contact_id;
    get diagnostics touched = row_count; total := total + touched;
    if not exists (
        select from crm.contacts as other where other.id = contact_id and other.organization_id <> organization_id
    ) then
        delete from crm.contact_tags as gone where gone.contact_id = erase_contact.contact_id;
        get diagnostics touched = row_count; total := total + touched;
        delete from crm.contact_companies as gone where gone.contact_id = erase_contact.contact_id;
        get diagnostics touched = row_count; total := total + touched;
    end if;
    return total;
end $$;
comment on function crm.erase_contact is 'The part of ops.erase_contact for segments. Memberships end with the contact''s row.';

do $do$
declare
    was constant text := pg_get_functiondef('ops.erase_contact'::regproc);
    last_step constant text := '    -- Last: the deletions above';
    own_step constant text := '    total := total + crm.erase_contact(erase_contact.organization_id, erase_contact.contact_id);
    -- Last: the deletions above';
begin
    if position(last_step in was) = 0 then
        raise exception 'ops.erase_contact has no last step where it is expected';
    end if;
    execute replace(was, last_step, own_step);
end $do$;

-- What the platform calls.

create function crm.request_evaluation(organization_ids uuid [], contact_ids uuid [])
returns bigint language sql security definer set search_path = pg_catalog, pg_temp as $$
    with requested as (
        insert into crm.contact_changes (consumer, organization_id, contact_id, source)
        select distinct 'segments', contact.organization_id, contact.contact_id, 'contact'
        from unnest(organization_ids, contact_ids) as contact (organization_id, contact_id)
        where contact.contact_id is not null
        returning 1
    )
    select count(*) from requested
$$;
comment on function crm.request_evaluation is 'Asks for contacts to be evaluated: for a bulk load that no trigger sees. Returns how many contacts it asked for.';
