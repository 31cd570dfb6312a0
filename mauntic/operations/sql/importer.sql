-- name: stage_events
-- The copied events, to be compared with the existing ones. The commit drops the table.
create temporary table staged_events (like analytics.contact_activity including defaults) on commit drop

-- name: copy_events
copy staged_events (
    id, organization_id, contact_id, event_type, event_source, event_data, occurred_at, created_at, event_id
)
from stdin

-- name: keep_new_events
-- The missing events, in the order in which a platform would have written them.
insert into analytics.contact_activity (
    id, organization_id, contact_id, event_type, event_source, event_data, occurred_at, created_at, event_id
)
select id, organization_id, contact_id, event_type, event_source, event_data, occurred_at, created_at, event_id
from staged_events
order by created_at, id
on conflict do nothing

-- name: stage_contacts
create temporary table staged_contacts (like crm.contacts including defaults) on commit drop

-- name: copy_contacts
copy staged_contacts (id, organization_id, custom_fields, created_at, updated_at) from stdin

-- name: keep_new_contacts
-- An existing contact may have been edited, so it is not changed.
insert into crm.contacts (id, organization_id, custom_fields, created_at, updated_at)
select id, organization_id, custom_fields, created_at, updated_at
from staged_contacts
on conflict do nothing
