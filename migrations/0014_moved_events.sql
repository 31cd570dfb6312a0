-- migrate:up
-- An update can move an event to an hour that no run looks at again: docs/decisions/0011.

create table analytics.changed_hours (
    id bigint generated always as identity primary key,
    organization_id uuid not null,
    event_type varchar(100) not null,
    hour timestamptz not null,
    changed_at timestamptz not null default now()
);
create index changed_hours_organization on analytics.changed_hours (organization_id, id);
comment on table analytics.changed_hours is 'Hours of an organization and type in which an update has put, taken or altered an event. Writers only append; the next hourly run deletes the rows and looks at the hours. No unique key but the id, so that no writer waits for another.';

-- Both the place that an event had and the one that it has. Other columns are in no rollup.
create function analytics.hours_changed() returns trigger language plpgsql
security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into analytics.changed_hours (organization_id, event_type, hour)
    select organization_id, event_type, analytics.hour_of(occurred_at)
    from (
        select id, organization_id, event_type, contact_id, occurred_at, created_at from was
        except all
        select id, organization_id, event_type, contact_id, occurred_at, created_at from became
    ) as lost
    where isfinite(occurred_at)
    union
    select organization_id, event_type, analytics.hour_of(occurred_at)
    from (
        select id, organization_id, event_type, contact_id, occurred_at, created_at from became
        except all
        select id, organization_id, event_type, contact_id, occurred_at, created_at from was
    ) as gained
    where isfinite(occurred_at);
    return null;
end $$;

create trigger hours_update after update on analytics.contact_activity
referencing old table as was new table as became for each statement execute function analytics.hours_changed();
