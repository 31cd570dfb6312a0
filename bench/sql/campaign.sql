-- name: campaign_contacts
-- Contacts of one organization. Every hundredth has the address of the contact before it.
insert into crm.contacts (id, organization_id, email, first_name)
select
    cast(md5('contact ' || number) as uuid), :organization_id,
    'Contact' || number - case when mod(number, 100) = 0 then 1 else 0 end || '@mail.example', 'Name ' || number
from generate_series(1, cast(:contacts as integer)) as number

-- name: campaign_members
-- A static segment of all of them.
with segment as (
    insert into crm.segments (id, organization_id, name, type)
    values (:segment_id, :organization_id, 'all', 'static')
)
insert into crm.segment_contacts (segment_id, contact_id, organization_id)
select :segment_id, id, :organization_id from crm.contacts

-- name: campaign_itself
insert into campaign.campaigns (id, organization_id, name, type) values (:id, :organization_id, 'c', 'email')

-- name: campaign_copy
-- An empty copy of the ledger with its indexes.
create schema if not exists bench;
create table bench.messages (like delivery.messages including all)

-- name: forget_campaign
truncate delivery.messages, delivery.delivery_jobs, ops.parts

-- name: plain_campaign
insert into bench.messages (
    organization_id, idempotency_key, channel, contact_id, job_id, address, expires_at
)
select
    :organization_id, 'campaign:' || contact.id, 'email', contact.id, :segment_id,
    lower(contact.email) || contact.id, now() + interval '72 hours'
from crm.segment_contacts as member
join crm.contacts as contact on contact.id = member.contact_id
where member.segment_id = :segment_id
