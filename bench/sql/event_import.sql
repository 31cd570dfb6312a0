-- name: contacts_by_number
-- The contacts of `one_organization` in the order of their numbers.
select cast(md5('contact' || number) as uuid)
from generate_series(1, cast(:contacts as integer)) as number
order by number

-- name: copy_imported
-- The rows of an import, as COPY takes them.
copy analytics.contact_activity (
    organization_id, contact_id, event_type, event_source, event_data, occurred_at, event_id
)
from stdin
