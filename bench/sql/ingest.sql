-- name: ingest_one
-- One event of a contact, as an ingester writes it.
insert into analytics.contact_activity (organization_id, contact_id, event_type, occurred_at)
values (:organization_id, :contact_id, :event_type, now())

-- name: one_organization
-- An organization with this number of contacts.
insert into crm.contacts (id, organization_id, email)
select cast(md5('contact' || number) as uuid), :organization_id, 'contact' || number || '@mail.example'
from generate_series(1, cast(:contacts as integer)) as number

-- name: some_ids
select id from crm.contacts limit :count

-- name: save_factor
-- A setting, as the platform saves it.
insert into scoring.scoring_configs (organization_id, category, factor, weight)
values (:organization_id, 'fit', 'has_email', :weight)
on conflict (organization_id, category, factor) do update set weight = excluded.weight

-- name: save_signal
insert into scoring.signal_configs (organization_id, signal_type, weight)
values (:organization_id, 'DEMO_REQUEST', :weight)
on conflict (organization_id, signal_type) do update set weight = excluded.weight
