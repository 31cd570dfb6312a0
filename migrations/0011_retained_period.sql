-- migrate:up
-- Since which day an organization's source events are complete: declared, never inferred.
-- docs/decisions/0011.

create table ops.retention (
    source text not null default 'contact_activity' check (source in ('contact_activity')),
    organization_id uuid,
    retained_since date not null,
    changed_by text not null default session_user,
    changed_at timestamptz not null default now()
);
create unique index retention_key on ops.retention (source, organization_id) nulls not distinct;
comment on table ops.retention is 'The retained period. Since that day the source is the truth; figures of earlier days are kept as they are.';
comment on column ops.retention.organization_id is 'Null for all organizations. Of two rows that apply, the later day counts.';

create function ops.retained_since(organization_id uuid, source text default 'contact_activity') returns date
language sql stable parallel safe
return (
    select coalesce(max(retention.retained_since), '-infinity')
    from ops.retention
    where retention.source = retained_since.source
        and (retention.organization_id = retained_since.organization_id or retention.organization_id is null)
);
comment on function ops.retained_since is 'First day of which the events of an organization are complete; -infinity where no event was ever purged.';

create function ops.purged_before(date date, organization_id uuid default null) returns void
language sql security definer
begin atomic
    insert into ops.retention (source, organization_id, retained_since)
    values ('contact_activity', purged_before.organization_id, purged_before.date)
    on conflict (source, organization_id) do update set
        retained_since = excluded.retained_since,
        changed_by = excluded.changed_by,
        changed_at = excluded.changed_at
    where retention.retained_since < excluded.retained_since;
end;
comment on function ops.purged_before is 'To be called in the transaction that deletes the events before a day, of one organization or of all. The period only ever shrinks.';

-- What the run of an hour looks at besides its fresh events is asked by organization and type.
create index contact_activity_key on analytics.contact_activity (organization_id, event_type, occurred_at);

-- Empty but within a run's transaction, which deletes what it has written: nobody sees another's rows.
create unlogged table analytics.hourly_work (
    kind text not null check (kind in ('fresh', 'look', 'book', 'set')),
    organization_id uuid not null,
    date date not null,
    event_type varchar(100) not null,
    hour timestamptz not null,
    until timestamptz,
    booked_in timestamptz,
    count bigint not null default 0
);
comment on table analytics.hourly_work is 'The list of what a run of the hourly job has to do: empty outside of its transaction.';
comment on column analytics.hourly_work.kind is 'fresh: an hour without cells. look: a cell whose events may have changed. book: a cell that has to be written. set: a row to set without a look at its events.';
comment on column analytics.hourly_work.until is 'The cells from hour up to this are looked at together; null for late events alone.';

-- Runs that write the same day of the same organization go one after the other; no one else waits.
create table analytics.booking_turns (
    organization_id uuid not null,
    date date not null,
    taken_at timestamptz not null default now(),
    primary key (organization_id, date)
);
comment on table analytics.booking_turns is 'One row for each organization and day, locked by the run that writes its rollups. Rows of runs that have ended may be deleted.';
delete from analytics.locked_days where job_type = 'analytics.aggregate-hourly';
alter table analytics.locked_days drop column begun_by;
