-- name: insert_recipients
-- The messages of one part of a run: one for each member of its range of contacts. Of the members with one address,
-- the lowest contact gets the message; an address that another part has is not used again. The others are skipped, so
-- that every member has a row. Rows go in by address, so that two parts never wait for each other.
with member as materialized (
    select
        known.contact_id, contact.id is null as is_unknown,
        case when octet_length(found.address) between 1 and 254 then found.address end as address
    from crm.segment_contacts as known
    left join crm.contacts as contact
        on contact.id = known.contact_id and contact.organization_id = :organization_id
    cross join lateral (
        select delivery.suppressed_address(
            cast(:channel as text),
            case cast(:channel as text) when 'email' then contact.email when 'sms' then contact.phone end
        ) as address
    ) as found
    where known.segment_id = :segment_id
        and (cast(:first_contact as uuid) is null or known.contact_id >= :first_contact)
        and (cast(:until_contact as uuid) is null or known.contact_id < :until_contact)
),
chosen as (
    select distinct on (address, case when address is null then contact_id end) contact_id, address, is_unknown
    from member
    order by address, case when address is null then contact_id end, contact_id
),
inserted as (
    insert into delivery.messages (
        organization_id, idempotency_key, channel, class, contact_id, job_id, campaign_id, template_id, address, state,
        reason, expires_at, finished_at, on_uncertain, created_at
    )
    select
        :organization_id, cast(:key as text) || chosen.contact_id, :channel, :class, chosen.contact_id, :job_id,
        :campaign_id, :template_id, chosen.address,
        case when chosen.is_unknown then 'skipped' else 'pending' end,
        case when chosen.is_unknown then 'unknown_contact' end,
        :expires_at, case when chosen.is_unknown then cast(:now as timestamptz) end,
        delivery.default_on_uncertain(:channel, :class), :now
    from chosen
    order by chosen.address, chosen.contact_id
    on conflict do nothing
    returning contact_id
),
others as (
    insert into delivery.messages (
        organization_id, idempotency_key, channel, class, contact_id, job_id, campaign_id, template_id, state, reason,
        expires_at, finished_at, on_uncertain, created_at
    )
    select
        :organization_id, cast(:key as text) || member.contact_id, :channel, :class, member.contact_id, :job_id,
        :campaign_id, :template_id, 'skipped', 'duplicate_address', :expires_at, :now,
        delivery.default_on_uncertain(:channel, :class), :now
    from member
    where not exists (select from inserted where inserted.contact_id = member.contact_id)
    on conflict (organization_id, idempotency_key) do nothing
    returning contact_id
)
select
    (select count(*) from member) as members,
    (select count(*) from inserted) as messages,
    (select count(*) from others) as duplicates

-- name: lock_run
-- A job is split once: its parts have version 1.
select 1 as version from delivery.delivery_jobs where id = :job_id for no key update

-- name: complete_fan_out
update delivery.delivery_jobs set
    status = 'sending',
    recipient_count = (
        select count(*) from delivery.messages where job_id = :job_id and parent_id is null
    )
where id = :job_id and completed_at is null
returning recipient_count

-- name: set_recipients
-- A campaign's recipients are those of all of its runs.
update campaign.campaigns as campaign set recipient_count = summed.recipients
from (select sum(recipient_count) as recipients from delivery.delivery_jobs where campaign_id = :campaign_id) as summed
where campaign.id = :campaign_id and campaign.organization_id = :organization_id
    and campaign.recipient_count is distinct from summed.recipients

-- name: sender_domain
-- The age of a verified domain decides how much of it goes out in a day.
select created_at from delivery.sending_domains
where organization_id = :organization_id and domain = :domain and status = 'verified'
