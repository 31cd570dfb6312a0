-- name: moving_runs
-- Runs of campaigns that are open, or ended or had an event since the last count.
select
    job.id, job.campaign_id, job.recipient_count, max(event.occurred_at) as last_event_at
from delivery.delivery_jobs as job
left join (
    select job_id, max(occurred_at) as occurred_at
    from delivery.delivery_events
    where created_at > :since and job_id is not null and event_type <> 'resolved'
    group by job_id
) as event on event.job_id = job.id
where job.campaign_id is not null and job.content is not null
    and (job.completed_at is null or job.completed_at > :since or event.job_id is not null)
group by job.id
order by job.id

-- name: count_runs
-- What became of the recipients of runs. A push counts for a contact once, by its first device.
with counted as (
    select
        job_id,
        count(*) as recipients,
        count(*) filter (where state = 'sent') as sent,
        count(*) filter (where state = 'failed') as failed,
        count(*) filter (where state = 'skipped') as skipped,
        count(*) filter (where state = 'uncertain' and finished_at is not null) as uncertain,
        count(*) filter (where finished_at is null) as open,
        count(delivered_at) as delivered,
        count(opened_at) as opened,
        count(clicked_at) as clicked,
        count(bounced_at) as bounced,
        count(complained_at) as complained,
        count(unsubscribed_at) as unsubscribed
    from delivery.messages
    where job_id = any(cast(:ids as uuid[])) and parent_id is null
    group by job_id
)
update delivery.delivery_jobs as job set
    recipient_count = counted.recipients,
    sent_count = counted.sent,
    failed_count = counted.failed,
    counts = to_jsonb(counted) - 'job_id'
from counted
where job.id = counted.job_id and job.counts is distinct from to_jsonb(counted) - 'job_id'

-- name: sum_campaigns
-- The figures of a campaign are those of all of its runs.
with summed as (
    select
        campaign_id,
        sum(recipient_count) as recipients,
        sum(sent_count) as sent,
        sum(coalesce(cast(counts ->> 'delivered' as bigint), 0)) as delivered,
        sum(coalesce(cast(counts ->> 'opened' as bigint), 0)) as opened,
        sum(coalesce(cast(counts ->> 'clicked' as bigint), 0)) as clicked,
        sum(coalesce(cast(counts ->> 'bounced' as bigint), 0)) as bounced,
        sum(coalesce(cast(counts ->> 'complained' as bigint), 0)) as complained,
        sum(coalesce(cast(counts ->> 'unsubscribed' as bigint), 0)) as unsubscribed
    from delivery.delivery_jobs
    where campaign_id = any(cast(:campaign_ids as uuid[])) and content is not null
    group by campaign_id
),
rated as (
    select
        summed.*,
        round(summed.opened / nullif(summed.delivered, 0), 4) as open_rate,
        round(summed.clicked / nullif(summed.delivered, 0), 4) as click_rate,
        event.last_event_at
    from summed
    left join (
        select campaign_id, max(at) as last_event_at
        from unnest(cast(:campaign_ids as uuid[]), cast(:event_times as timestamptz[])) as heard (campaign_id, at)
        group by campaign_id
    ) as event using (campaign_id)
)
update campaign.campaigns as campaign set
    recipient_count = rated.recipients,
    sent_count = rated.sent,
    delivered_count = rated.delivered,
    opened_count = rated.opened,
    clicked_count = rated.clicked,
    bounced_count = rated.bounced,
    complained_count = rated.complained,
    unsubscribed_count = rated.unsubscribed,
    open_rate = rated.open_rate,
    click_rate = rated.click_rate,
    last_event_at = greatest(campaign.last_event_at, rated.last_event_at)
from rated
where campaign.id = rated.campaign_id
    and (
        campaign.recipient_count, campaign.sent_count, campaign.delivered_count, campaign.opened_count,
        campaign.clicked_count, campaign.bounced_count, campaign.complained_count, campaign.unsubscribed_count,
        campaign.open_rate, campaign.click_rate, campaign.last_event_at
    ) is distinct from (
        rated.recipients, rated.sent, rated.delivered, rated.opened, rated.clicked, rated.bounced, rated.complained,
        rated.unsubscribed, rated.open_rate, rated.click_rate, greatest(campaign.last_event_at, rated.last_event_at)
    )

-- name: counted_until
select at from delivery.progress where name = 'campaign_counts'

-- name: set_counted_until
update delivery.progress set at = :now where name = 'campaign_counts' and at < :now
