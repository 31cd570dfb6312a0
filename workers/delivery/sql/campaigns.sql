-- name: lock_campaign
-- Of two messages that start a campaign, the second waits and sees what the first has done.
select id from campaign.campaigns
where id = :campaign_id and organization_id = :organization_id
for no key update

-- name: campaign
-- A campaign with everything that decides whether its run can start.
select
    campaign.id, campaign.organization_id, campaign.type, campaign.status, campaign.run, campaign.name,
    campaign.subject, campaign.segment_id, campaign.settings, campaign.template_id, campaign.problem,
    job.id as job_id,
    case when template.id is not null then
        jsonb_build_object(
            'type', template.type, 'is_active', template.is_active, 'subject', template.subject,
            'html', template.body_html, 'text', template.body_text
        )
    end as template,
    case
        when segment.id is null then 'missing'
        when segment.type = 'static' then 'ready'
        when segment.state = 'ready' and segment.ready_version is distinct from segment.criteria_version then 'building'
        else segment.state
    end as segment_state,
    organization.from_address, organization.postal_address,
    array(
        select domain.domain from delivery.sending_domains as domain
        where domain.organization_id = campaign.organization_id and domain.status = 'verified'
    ) as verified_domains,
    array(
        select config.provider_type from delivery.provider_configs as config
        where config.organization_id = campaign.organization_id and config.channel = campaign.type and config.is_active
    ) as provider_types
from campaign.campaigns as campaign
left join delivery.delivery_jobs as job
    on job.organization_id = campaign.organization_id
    and job.idempotency_key = 'campaign:' || campaign.id || ':' || campaign.run
left join content.templates as template
    on template.id = campaign.template_id and template.organization_id = campaign.organization_id
left join crm.segments as segment
    on segment.id = campaign.segment_id and segment.organization_id = campaign.organization_id
left join delivery.organization_settings as organization on organization.organization_id = campaign.organization_id
where campaign.id = :campaign_id and campaign.organization_id = :organization_id

-- name: part_edges
-- The first contact of every part of a segment, each of :size members.
select contact_id
from (
    select contact_id, row_number() over (order by contact_id) as place
    from crm.segment_contacts
    where segment_id = :segment_id
) as member
where mod(place - 1, cast(:size as bigint)) = 0
order by contact_id

-- name: start_run
-- The campaign is sending, and its run has a job with the content that all of its messages have.
with started as (
    update campaign.campaigns set status = 'sending', started_at = :now, completed_at = null, problem = null
    where id = :campaign_id and organization_id = :organization_id
    returning id, organization_id, type, run
)
insert into delivery.delivery_jobs (
    organization_id, channel, status, idempotency_key, campaign_id, run, content, metadata, created_at
)
select
    started.organization_id, started.type, 'queued', 'campaign:' || started.id || ':' || started.run, started.id,
    started.run, cast(:content as jsonb), cast(:metadata as jsonb), :now
from started
returning id

-- name: refuse_campaign
-- A problem is written, and so reported, once.
update campaign.campaigns set problem = :problem
where id = :campaign_id and organization_id = :organization_id and problem is distinct from cast(:problem as text)
returning id

-- name: postpone_campaign
-- Its segment is not ready: the sweep tries again.
update campaign.campaigns set status = 'scheduled', scheduled_at = :now, problem = null
where id = :campaign_id and organization_id = :organization_id

-- name: due_campaigns
-- Scheduled campaigns whose time has come, the earliest first. One that is later than its messages would live is not
-- started: an operator decides.
select id, organization_id
from campaign.campaigns
where status = 'scheduled' and scheduled_at <= :now and scheduled_at > cast(:now as timestamptz) - cast(:patience as interval)
order by scheduled_at, id
limit :rows_max

-- name: refuse_late
update campaign.campaigns set problem = :problem
where id = any(array(
    select id from campaign.campaigns
    where status = 'scheduled' and scheduled_at <= cast(:now as timestamptz) - cast(:patience as interval)
        and problem is distinct from cast(:problem as text)
    order by scheduled_at
    limit :rows_max
    for update skip locked
))
returning id, organization_id

-- name: campaigns_of_jobs
select id, campaign_id, organization_id from delivery.delivery_jobs where id = any(cast(:ids as uuid[]))

-- name: run_of_part
-- The oldest run of a campaign in which this part is open.
select
    job.id, job.organization_id, job.campaign_id, job.channel, job.metadata,
    campaign.status = 'canceled' or coalesce(job.run <= campaign.canceled_run, false) as is_canceled
from campaign.campaigns as campaign
join delivery.delivery_jobs as job
    on job.campaign_id = campaign.id and job.organization_id = campaign.organization_id
join ops.parts as part on part.kind = :kind and part.subject_id = job.id and part.part = :part and part.done_at is null
where campaign.id = :campaign_id and campaign.organization_id = :organization_id
order by job.created_at, job.id
limit 1

-- name: is_campaign
select id from campaign.campaigns where id = :campaign_id and organization_id = :organization_id

-- name: finish_runs
-- Runs all of whose parts are done and all of whose messages are final.
update delivery.delivery_jobs as job set
    status = case
        when not found.has_failed and not found.has_unknown then 'sent'
        when not found.has_sent and not found.has_unknown then 'failed'
        else 'partial'
    end,
    completed_at = :now
from (
    select
        run.id,
        exists (select from delivery.messages where job_id = run.id and state = 'sent') as has_sent,
        exists (select from delivery.messages where job_id = run.id and state = 'failed') as has_failed,
        exists (select from delivery.messages where job_id = run.id and state = 'uncertain') as has_unknown
    from delivery.delivery_jobs as run
    where run.completed_at is null and run.content is not null and run.campaign_id is not null
        and not exists (
            select from ops.parts as part
            where part.kind = :kind and part.subject_id = run.id and part.done_at is null
        )
        and not exists (
            select from delivery.messages as message
            where message.campaign_id = run.campaign_id and message.job_id = run.id and message.finished_at is null
        )
) as found
where job.id = found.id and job.completed_at is null
returning job.id, job.organization_id, job.campaign_id, job.status

-- name: finish_campaigns
-- A campaign has ended with the run that it has now.
update campaign.campaigns as campaign set status = 'sent', completed_at = job.completed_at
from delivery.delivery_jobs as job
where campaign.status = 'sending' and job.organization_id = campaign.organization_id
    and job.idempotency_key = 'campaign:' || campaign.id || ':' || campaign.run and job.completed_at is not null
returning campaign.id
