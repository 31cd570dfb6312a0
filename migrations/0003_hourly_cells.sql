-- migrate:up
-- What makes the hourly run cost what its hour holds, not what its day holds: docs/decisions/0002.

create table analytics.hourly_cells (
    organization_id uuid not null,
    date date not null,
    event_type varchar(100) not null,
    hour timestamptz not null,
    count bigint not null check (count >= 0),
    first_seen bigint not null check (first_seen between 0 and count),
    fingerprint bigint not null,
    primary key (organization_id, date, event_type, hour),
    check (date = (hour at time zone 'UTC')::date)
);
comment on table analytics.hourly_cells is 'The events of one hour of an organisation and type. A day''s row in event_aggregates is the sum of its cells.';
comment on column analytics.hourly_cells.first_seen is 'Contacts who have no event of this type earlier on the same day: summed over the day they are its distinct contacts.';
comment on column analytics.hourly_cells.fingerprint is 'Exclusive or over the hour''s events of a 64-bit hash of (id, contact): tells a changed hour without reading its day.';
create index hourly_cells_hour on analytics.hourly_cells (hour);

create function analytics.visitor_key(occurred_at timestamptz, contact_id uuid) returns bigint
language sql immutable parallel safe
return case when isfinite(occurred_at) then
    ((occurred_at at time zone 'UTC')::date - date '1970-01-01')::bigint << 32
    | (uuid_hash(contact_id)::bigint & 4294967295)
end;
comment on function analytics.visitor_key is 'A contact on a day, in eight bytes: the day and a 32-bit hash. Two contacts may share one.';

-- Who was seen earlier today? A third as large as an index over the names themselves, a day's part
-- of it in one piece, and its keys compared as one number: what the hourly run costs hangs on that.
create index contact_activity_visitor on analytics.contact_activity
(analytics.visitor_key(occurred_at, contact_id), occurred_at);

create table analytics.booked_days (
    date date primary key,
    booked_at timestamptz not null
);
comment on table analytics.booked_days is 'One row a day, locked by whoever books into it: runs of one day go one after the other.';
