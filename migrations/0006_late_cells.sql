-- migrate:up
-- Late events get cells of their own, so that booking them costs what they are and not what their
-- hour holds; and who was seen earlier today is asked of a smaller index: docs/decisions/0002.

create function analytics.hour_of(moment timestamptz) returns timestamptz
language sql immutable parallel safe
return date_trunc('hour', moment at time zone 'UTC') at time zone 'UTC';

create function analytics.hour_of_day(moment timestamptz) returns smallint
language sql immutable parallel safe
return case when isfinite(moment) then date_part('hour', moment at time zone 'UTC')::smallint end;

-- A day without cells is booked whole by the next run that touches it.
truncate analytics.hourly_cells;
alter table analytics.hourly_cells add column booked_in timestamptz not null check (booked_in >= hour);
alter table analytics.hourly_cells drop constraint hourly_cells_pkey;
alter table analytics.hourly_cells add primary key (organization_id, date, event_type, hour, booked_in);
comment on table analytics.hourly_cells is 'The events of one hour of an organisation and type, as far as one run books them. A day''s row in event_aggregates is the sum of its cells.';
comment on column analytics.hourly_cells.booked_in is 'The hour whose run books the events: that of their ingestion, where it is later than their own.';
comment on column analytics.hourly_cells.first_seen is 'Contacts who have no event of this type in an earlier cell of the same day, in the order of (booked_in, hour): summed over the day they are its distinct contacts.';
create index hourly_cells_late on analytics.hourly_cells (booked_in) where booked_in > hour;

-- The hour of the day in place of the moment: a contact's events of one hour share an entry.
drop index analytics.contact_activity_visitor;
create index contact_activity_visitor on analytics.contact_activity
(analytics.visitor_key(occurred_at, contact_id), analytics.hour_of_day(occurred_at));
