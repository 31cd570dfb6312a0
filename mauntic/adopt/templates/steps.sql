-- Statements over tables that are known only when they run: {table}, {column} and their like are
-- filled in with names that Postgres itself has quoted, or with blocks of rules.sql. Values are
-- parameters: a word never stands inside quotes.

-- name: make_room
-- Where adoption keeps what it takes out, what it must put back, and what it did. Nobody else uses it.
create schema if not exists adoption;
create table if not exists adoption.set_aside (
    table_name text not null,
    reason text not null,
    content jsonb not null,
    set_aside_at timestamptz not null default now()
);
create table if not exists adoption.indexes (
    name text primary key,
    definition text not null
);
alter table adoption.indexes add column if not exists full_name text;
create table if not exists adoption.report (
    number bigint generated always as identity primary key,
    phase text not null,
    table_name text,
    what text not null,
    found bigint,
    done bigint,
    done_at timestamptz not null default now()
)

-- name: add_column
-- Without its default, so that the table is not written anew; the default and old rows follow.
alter table {table} add column if not exists {column} {type}

-- name: set_default
alter table {table} alter column {column} set default {expression}

-- name: keep_index
insert into adoption.indexes (name, full_name, definition) values (:name, :full_name, :definition)
on conflict (name) do nothing

-- name: drop_index
drop index concurrently if exists {index}

-- name: drop_constraint
alter table {table} drop constraint if exists {name}

-- name: forget_index
delete from adoption.indexes where name = :name

-- name: retype
-- With the session's time zone at UTC, `timestamp` to `timestamptz` changes the catalogue alone.
alter table {table} {changes}

-- name: retype_one
alter column {column} type {type}

-- name: beside_column
-- A column of the new type beside the old one, kept in step by a trigger while old rows are copied.
alter table {table} add column if not exists {beside} {type};
create or replace function adoption.{function}() returns trigger language plpgsql as $$
begin
    new.{beside} := {value};
    return new;
end $$;
create or replace trigger {beside} before insert or update on {table}
for each row execute function adoption.{function}()

-- name: copy_beside
update {table} set {beside} = cast({column} as {type})
where {beside} is null and {column} is not null and ctid >= cast(:first as tid) and ctid < cast(:last as tid)

-- name: uncopied
select count(*) as found from {table} where {beside} is null and {column} is not null

-- name: swap_column
-- The old column goes, with whatever index still leans on it; the new one takes its name.
drop trigger if exists {beside} on {table};
drop function if exists adoption.{function}();
alter table {table} drop column {column};
alter table {table} rename column {beside} to {column}

-- name: count_too_long
select count(*) as found from {table} where length({column}::text) > cast(:length as integer)

-- name: count_unreadable
-- Values that the type will refuse.
select count(*) as found from {table} where not pg_input_is_valid({column}::text, :type)

-- name: count_mixed
-- Keys under which rows differ in what they must share.
select count(*) as found
from (select 1 from {table} group by {key} having count(distinct {other}) > 1) as mixed

-- name: count_orphans
select count(*) as found
from {table} as child
where not (jsonb_build_array({columns})::text = any(cast(:parents as text[])))

-- name: set_aside_orphans
with gone as (
    delete from {table} as child
    where not (jsonb_build_array({columns})::text = any(cast(:parents as text[])))
    returning to_jsonb(child) as content
)
insert into adoption.set_aside (table_name, reason, content)
select :table_name, :reason, content from gone

-- name: count_null
select count(*) as found from {table} where {column} is null

-- name: fill_null
update {table} set {column} = {expression}
where {column} is null and ctid >= cast(:first as tid) and ctid < cast(:last as tid)

-- name: set_aside_null
with gone as (
    delete from {table} as strange where {column} is null returning to_jsonb(strange) as content
)
insert into adoption.set_aside (table_name, reason, content)
select :table_name, :reason, content from gone

-- name: count_duplicates
-- All but the first of every group of equals; the source has the ctid of each row as a column.
select count(*) as found
from (
    select row_number() over (partition by {key} order by {keep}, ctid) as rank
    from {table} where {predicate}
) as ranked
where rank > 1

-- name: left_by_merge
-- The rows of a source that a merge leaves where they are.
select *
from {table}
where not coalesce({predicate}, false) or ctid in (
    select ctid
    from (
        select ctid, row_number() over (partition by {key} order by {keep}, ctid) as rank
        from {table} where {predicate}
    ) as ranked
    where rank = 1
)

-- name: set_aside_duplicates
with ranked as (
    select ctid as place, row_number() over (partition by {key} order by {keep}, ctid) as rank
    from {table} where {predicate}
),
gone as (
    delete from {table} as double using ranked
    where double.ctid = ranked.place and ranked.rank > 1
    returning to_jsonb(double) as content
)
insert into adoption.set_aside (table_name, reason, content)
select :table_name, :reason, content from gone

-- name: change_duplicates
-- The rows stay; what they may not share with the first of their group is changed.
with ranked as (
    select ctid as place, row_number() over (partition by {key} order by {keep}, ctid) as rank
    from {table} where {predicate}
)
update {table} as double set {change}
from ranked
where double.ctid = ranked.place and ranked.rank > 1

-- name: count_untidy
select count(*) as found from {table} where {untidy}

-- name: tidy
update {table} set {change} where {untidy}

-- name: count_offenders
-- Rows that break a check even when their types are those they are to become, and they are tidied.
select count(*) as found
from (select {values} from (select {typed} from {table}) as typed) as tidied
where not {condition}

-- name: add_check
-- New rows are held to it at once; old ones are read afterwards, while others go on writing.
alter table {table} add constraint {name} {definition} not valid

-- name: validate
alter table {table} validate constraint {name}

-- name: refuse_null
alter table {table} drop constraint if exists {name};
alter table {table} add constraint {name} check ({column} is not null) not valid

-- name: set_not_null
-- Postgres believes the validated check, and so need not read the table under this lock.
alter table {table} alter column {column} set not null;
alter table {table} drop constraint {name}

-- name: allow_null
alter table {table} alter column {column} drop not null

-- name: rename_index
alter index {index} rename to {name}

-- name: build_unique
create unique index concurrently {name} on {table} ({columns})

-- name: replace_primary
alter table {table} drop constraint {name}

-- name: use_index
alter table {table} add constraint {name} {kind} using index {index}

-- name: make_migrations
-- As the migration tool makes it.
create schema if not exists ops;
create table if not exists ops.schema_migrations (version varchar(128) primary key)

-- name: know_migrations
insert into ops.schema_migrations (version)
select unnest(cast(:versions as text[]))
on conflict do nothing

-- name: report
insert into adoption.report (phase, table_name, what, found, done)
values (:phase, :table_name, :what, :found, :done)

-- name: days_to_recompute
-- The days whose rollups existed twice: one of the two was kept, and which was right nobody knows.
select table_name, min(content ->> 'date') as first_date, max(content ->> 'date') as last_date,
    count(distinct content ->> 'date') as days
from adoption.set_aside
where table_name in ('analytics.event_aggregates', 'analytics.campaign_daily_stats')
group by table_name
order by table_name

-- name: kept_indexes
select name, full_name, definition from adoption.indexes order by name

-- name: rename_constraint
alter table {table} rename constraint {old} to {name}

-- name: known_migrations
select version from ops.schema_migrations

-- name: begin_shortly
-- Bodies of functions are read when they run: what they speak of may be made after them.
set local lock_timeout = {lock_wait_ms};
set local check_function_bodies = off

-- name: begin_at_length
set statement_timeout = 0;
set lock_timeout = 0;
set timezone = 'UTC'

-- name: keyed_rows
-- The rows of a small table, each with its key as text.
select jsonb_build_array({key})::text as key, to_jsonb(known) as content from {table} as known

-- name: insert_rows
-- All at once: a row may refer to another of them.
insert into {table} overriding system value
select * from jsonb_populate_recordset(null::{table}, cast(:rows as jsonb))
on conflict do nothing

-- name: count_unscored
-- Contacts without a score for whom nobody has asked.
select count(*) as found
from crm.contacts as contact
where not exists (
        select 1 from scoring.lead_scores as score
        where score.organization_id = contact.organization_id and score.contact_id = contact.id
    )
    and not exists (
        select 1 from scoring.recompute_backlog as entry
        where entry.organization_id = contact.organization_id and entry.contact_id = contact.id
    )
    and not exists (
        select 1 from crm.contact_changes as change
        where change.consumer = 'scoring' and change.organization_id = contact.organization_id
            and coalesce(change.contact_id, contact.id) = contact.id and change.name is null
    )

-- name: ask_for_scores
-- One row of the change feed for each organization that has a contact without a score: the fold
-- expands it, and no writer waits for that.
insert into crm.contact_changes (consumer, organization_id, source)
select distinct 'scoring', contact.organization_id, 'config'
from crm.contacts as contact
where not exists (
    select 1 from scoring.lead_scores as score
    where score.organization_id = contact.organization_id and score.contact_id = contact.id
)

-- name: count_undeclared
-- Organizations with events or rollups, before any retained period was declared.
select count(*) as found
from (
    select organization_id from analytics.contact_activity
    union
    select organization_id from analytics.event_aggregates
) as organization
where not exists (select 1 from ops.retention)

-- name: declare_retention
-- Since the day of the oldest event. An organization that has rollups and no event has nothing to count
-- before today.
insert into ops.retention (source, organization_id, retained_since, changed_by)
select 'contact_activity', organization_id,
    coalesce(min((occurred_at at time zone 'UTC')::date) filter (where isfinite(occurred_at)), current_date), 'adoption'
from (
    select organization_id, occurred_at from analytics.contact_activity
    union all
    select distinct organization_id, cast(null as timestamptz) from analytics.event_aggregates
) as organization
group by organization_id
on conflict do nothing
