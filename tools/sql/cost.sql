-- name: make_contacts
-- Contacts to score.
insert into crm.contacts (organization_id, email, phone, custom_fields)
select md5((number % 10)::text)::uuid, 'contact' || number || '@example.com', '123', '{"seniority": "vp"}'
from generate_series(1, cast(:contacts as integer)) as number

-- name: contacts
select organization_id, id from crm.contacts order by id
