-- Statements over tables that are known only at run time. {table}, {column} and other placeholders are replaced by
-- names that Postgres has quoted, or by blocks of rules.sql. Values are parameters: no placeholder is inside quotes.

-- name: make_room
-- Adoption's own tables: rows that it set aside, objects to restore, and its report.
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
-- Without its default, so the table is not rewritten; the default and old rows follow.
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
-- In a session at UTC, `timestamp` to `timestamptz` changes only the catalog.
alter table {table} {changes}

-- name: retype_one
alter column {column} type {type}

-- name: add_copy_column
-- A second column of the new type; a trigger keeps it up to date while old rows are copied.
alter table {table} add column if not exists {copy_column} {type};
create or replace function adoption.{function}() returns trigger language plpgsql as $$
begin
    new.{copy_column} := {value};
    return new;
end $$;
create or replace trigger {copy_column} before insert or update on {table}
for each row execute function adoption.{function}()

-- name: fill_copy_column
update {table} set {copy_column} = cast({column} as {type})
where {copy_column} is null and {column} is not null and ctid >= cast(:first as tid) and ctid < cast(:last as tid)

-- name: count_uncopied
select count(*) as found from {table} where {copy_column} is null and {column} is not null

-- name: swap_column
-- The old column is dropped with the indexes that depend on it, and the new one gets its name.
drop trigger if exists {copy_column} on {table};
drop function if exists adoption.{function}();
alter table {table} drop column {column};
alter table {table} rename column {copy_column} to {column}

-- name: count_too_long
select count(*) as found from {table} where length({column}::text) > cast(:length as integer)

-- name: count_unreadable
-- Values that the type refuses.
select count(*) as found from {table} where not pg_input_is_valid({column}::text, :type)

-- name: count_mixed
-- Keys whose rows differ in what they must have in common.
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
-- All rows except the first of each group of equal rows; the source has each row's ctid as a column.
select count(*) as found
from (
    select row_number() over (partition by {key} order by {keep}, ctid) as rank
    from {table} where {predicate}
) as ranked
where rank > 1

-- name: left_by_merge
-- The rows of a source that a merge does not remove.
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
-- The rows stay; what they may not have in common with the first of their group is changed.
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
-- Rows that break a check even after types and values were corrected.
select count(*) as found
from (select {values} from (select {typed} from {table}) as typed) as tidied
where not {condition}

-- name: add_check
-- New rows must satisfy it at once; old rows are validated later, while other sessions write.
alter table {table} add constraint {name} {definition} not valid

-- name: validate
alter table {table} validate constraint {name}

-- name: refuse_null
alter table {table} drop constraint if exists {name};
alter table {table} add constraint {name} check ({column} is not null) not valid

-- name: set_not_null
-- Postgres uses the validated check, so it does not read the table under this lock.
alter table {table} alter column {column} set not null;
alter table {table} drop constraint {name}

-- name: allow_null
alter table {table} alter column {column} drop not null

-- name: rename_index
alter index {index} rename to {name}

-- name: build_unique
create unique index concurrently {name} on {table} ({columns}){nulls}

-- name: replace_primary
alter table {table} drop constraint {name}

-- name: use_index
alter table {table} add constraint {name} {kind} using index {index}

-- name: make_migrations
-- Equal to the table that the migration tool creates.
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
-- The days with duplicate rollups: one of the two was kept, and neither is reliable.
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
-- Function bodies are checked when they run: they may refer to objects that are created later.
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
-- All in one statement, because a row may refer to another one.
insert into {table} overriding system value
select * from jsonb_populate_recordset(null::{table}, cast(:rows as jsonb))
on conflict do nothing

-- name: count_unscored
-- Contacts without a score and without a request.
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
-- One row of the change feed for each organization with contacts without a score. The fold expands it; no writer waits
-- for that.
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
-- Since the day of the oldest event. For an organization with rollups but no events, the period begins today.
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
