-- name: campaigns
-- Campaigns with the newest of their runs, the ones that move first.
select
    campaign.id, campaign.organization_id, campaign.name, campaign.type, campaign.status, campaign.run,
    campaign.scheduled_at, campaign.started_at, campaign.completed_at, campaign.recipient_count as recipients,
    campaign.sent_count as sent, campaign.problem
from campaign.campaigns as campaign
where (cast(:statuses as text[]) is null or campaign.status = any(cast(:statuses as text[])))
    and (cast(:organization_id as uuid) is null or campaign.organization_id = :organization_id)
    and (not cast(:with_problem as boolean) or campaign.problem is not null)
order by campaign.status = 'sending' desc, coalesce(campaign.started_at, campaign.scheduled_at, campaign.created_at) desc,
    campaign.id
limit :limit

-- name: campaign_figures
select
    id, organization_id, name, type, status, run, problem, segment_id, template_id, scheduled_at, started_at,
    completed_at, recipient_count, sent_count, delivered_count, opened_count, clicked_count, bounced_count,
    complained_count, unsubscribed_count, open_rate, click_rate, last_event_at
from campaign.campaigns
where id = :id

-- name: campaign_runs
-- The runs of a campaign, the newest first, with the parts of their fan-out.
select
    cast(job.metadata ->> 'run' as integer) as run, job.id, job.status, job.recipient_count as recipients,
    job.sent_count as sent, job.failed_count as failed, cast(job.counts ->> 'skipped' as bigint) as skipped,
    cast(job.counts ->> 'uncertain' as bigint) as uncertain, cast(job.counts ->> 'open' as bigint) as open,
    part.done as parts_done, part.total as parts, job.created_at, job.completed_at
from delivery.delivery_jobs as job
cross join lateral (
    select count(*) filter (where done_at is not null) as done, count(*) as total
    from ops.parts
    where kind = 'campaign.fan-out' and subject_id = job.id
) as part
where job.campaign_id = :id and job.content is not null
order by job.created_at desc, job.id

-- name: campaign_progress
-- The messages of a run by state and reason, as they are now.
select state, reason, count(*) as messages
from delivery.messages
where job_id = :job_id
group by state, reason
order by messages desc, state, reason

-- name: campaign_audience
-- What the fan-out of a campaign would insert now: an address gets one message.
with member as (
    select
        contact.id is null as is_unknown,
        case campaign.type
            when 'push' then cast(known.contact_id as text)
            else delivery.suppressed_address(
                campaign.type, case campaign.type when 'email' then contact.email when 'sms' then contact.phone end
            )
        end as address
    from campaign.campaigns as campaign
    join crm.segment_contacts as known on known.segment_id = campaign.segment_id
    left join crm.contacts as contact
        on contact.id = known.contact_id and contact.organization_id = campaign.organization_id
    where campaign.id = :id
)
select
    count(*) as members,
    count(distinct address) filter (where not is_unknown and address <> '') as addresses,
    count(*) filter (where is_unknown) as unknown_contacts,
    count(*) filter (where not is_unknown and coalesce(address, '') = '') as without_address
from member

-- name: campaign_open_messages
-- What a cancel ends, and what it does not: a message whose call has begun may still arrive.
select
    count(*) filter (where state <> 'sending') as waiting,
    count(*) filter (where state = 'sending') as in_call
from delivery.messages
where campaign_id = :id and finished_at is null and state <> 'uncertain'

-- name: set_campaign_status
-- A decision of an operator about a campaign in one of these states.
update campaign.campaigns set status = :status
where id = :id and status = any(cast(:sources as text[]))
returning id

-- name: resume_campaign
-- A campaign that has started goes on; one that has not is scheduled, or a draft again.
update campaign.campaigns as campaign set status = case
    when exists (
        select from delivery.delivery_jobs as job
        where job.organization_id = campaign.organization_id
            and job.idempotency_key = 'campaign:' || campaign.id || ':' || campaign.run
    ) then 'sending'
    when campaign.scheduled_at is not null then 'scheduled'
    else 'draft'
end
where id = :id and status = 'paused'
returning status

-- name: campaigns_with_problems
-- Campaigns that cannot start, and those that are sending without a run: no message of theirs is in the ledger.
select campaign.id, campaign.problem, campaign.status
from campaign.campaigns as campaign
where (campaign.problem is not null and campaign.status in ('draft', 'scheduled', 'sending'))
    or (
        campaign.status = 'sending' and not exists (
            select from delivery.delivery_jobs as job
            where job.organization_id = campaign.organization_id
                and job.idempotency_key = 'campaign:' || campaign.id || ':' || campaign.run
        )
    )
order by campaign.id
limit :limit
