-- name: import_scope
-- The first day of the organization's retained period, if it has one; whether it has contacts; whether this role may
-- create contacts; the server's time.
select nullif(ops.retained_since(:organization_id), '-infinity') as retained_since,
    exists (select from crm.contacts where organization_id = :organization_id) as has_contacts,
    has_table_privilege('crm.contacts', 'insert') as may_create,
    now() as now

-- name: take_import_turn
-- Imports that create contacts of one organization run one after the other: the second sees the contacts of the first.
insert into ops.turns as known (name) values ('import ' || cast(:organization_id as text))
on conflict (name) do update set name = known.name

-- name: contacts_of_addresses
-- The contacts of these addresses. `spellings` contains each spelling of an address, at the position of the address.
-- Two contacts are enough to know that there are several. The limit makes each address a look-up in the index: a plain
-- join reads all contacts of the organization for each batch.
select given.address, count(distinct contact.id) as matches, cast(min(contact.id::text) as uuid) as contact_id
from unnest(cast(:addresses as text[]), cast(:spellings as text[])) as given (address, spelling)
cross join lateral (
    select known.id
    from crm.contacts as known
    where known.organization_id = :organization_id and lower(btrim(known.email)) = given.spelling
    limit 2
) as contact
group by given.address

-- name: contacts_of_ids
select id
from crm.contacts
where organization_id = :organization_id and id = any(cast(:ids as uuid[]))

-- name: create_contacts
-- An export of events is no consent: a created contact receives nothing until the platform knows better.
insert into crm.contacts (organization_id, email, status)
select :organization_id, address, 'do_not_contact'
from unnest(cast(:addresses as text[])) as address
returning id as contact_id, email as address

-- name: import_events
-- The events whose ids are new. In the order of the ids, so that concurrent imports never wait for each other in a circle.
insert into analytics.contact_activity (
    organization_id, contact_id, event_type, event_source, event_data, occurred_at, event_id
)
select :organization_id, contact_id, event_type, event_source, event_data, occurred_at, event_id
from json_to_recordset(cast(:events as json)) as event (
    contact_id uuid, event_type text, event_source text, event_data jsonb, occurred_at timestamptz, event_id text
)
order by event_id
on conflict (organization_id, event_id) where event_id is not null do nothing
returning event_id

-- name: stored_events
-- Which of these ids are stored, with what distinguishes two events.
select event_id, event_type, occurred_at
from analytics.contact_activity
where organization_id = :organization_id and event_id = any(cast(:event_ids as text[]))
