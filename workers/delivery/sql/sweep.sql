-- name: sweep_queued
-- References that are overdue: the feeder sends them again.
update delivery.messages set state = 'pending', queued_until = null
where id = any(array(
    select id from delivery.messages
    where state = 'queued' and queued_until <= :now
    order by queued_until
    limit :rows_max
    for update skip locked
))

-- name: sweep_lapsed
-- Claims whose consumer is gone: no call was begun. After the third, an operator decides.
update delivery.messages as message set
    state = case when message.lapses >= 2 then 'held' else 'pending' end,
    reason = case when message.lapses >= 2 then 'lapsed' end,
    lapses = message.lapses + 1,
    lease_until = null,
    not_before = null,
    claimed_at = case when message.possible_duplicate then message.claimed_at end
where message.id = any(array(
    select id from delivery.messages
    where state = 'claimed' and lease_until <= :now
    order by lease_until
    limit :rows_max
    for update skip locked
))

-- name: sweep_sending
-- Calls whose consumer is gone: the provider may have the message. The attempt stays open for a late verdict.
update delivery.messages set
    state = 'uncertain',
    reason = 'no_verdict',
    lease_until = null,
    not_before = cast(:now as timestamptz) + interval '10 minutes'
where id = any(array(
    select id from delivery.messages
    where state = 'sending' and lease_until <= :now
    order by lease_until
    limit :rows_max
    for update skip locked
))

-- name: sweep_uncertain
-- Ten minutes after an unknown call one more, where that is allowed; two days after it the message is final.
update delivery.messages as message set
    state = case when due.is_repeated then 'pending' else 'uncertain' end,
    reason = case when not due.is_repeated then message.reason end,
    possible_duplicate = message.possible_duplicate or due.is_repeated,
    not_before = null,
    warmup_day = null,
    finished_at = case when not due.is_repeated then cast(:now as timestamptz) end
from (
    select id, on_uncertain = 'retry' and not possible_duplicate and expires_at > :now as is_repeated
    from delivery.messages
    where state = 'uncertain' and finished_at is null
        and called_at <= cast(:now as timestamptz) - case
            when on_uncertain = 'retry' and not possible_duplicate and expires_at > :now then interval '10 minutes'
            else interval '48 hours'
        end
    order by called_at
    limit :rows_max
    for update skip locked
) as due
where message.id = due.id

-- name: sweep_expired
with changed as (
    update delivery.messages as message set
        state = case
            when message.possible_duplicate then 'uncertain' when message.state = 'held' then 'failed' else 'skipped'
        end,
        reason = case when message.state = 'held' then 'dead_letter' else 'expired' end,
        queued_until = null,
        not_before = case when message.possible_duplicate then cast(:now as timestamptz) end,
        finished_at = case when not message.possible_duplicate then cast(:now as timestamptz) end
    where message.id = any(array(
        select id from delivery.messages
        where state in ('pending', 'queued', 'deferred', 'held') and expires_at <= :now
            and not_before is distinct from 'infinity'
        order by expires_at
        limit :rows_max
        for update skip locked
    ))
    returning message.id, message.organization_id, message.contact_id, message.state, message.reason
),
announced as (
-- include: announce_failures
)
select id from changed

-- name: sweep_canceled
-- What waits for a canceled campaign or execution.
with recursive open_campaigns (campaign_id) as (
    (
        select campaign_id from delivery.messages
        where finished_at is null and campaign_id is not null
        order by campaign_id
        limit 1
    )
    union all
    select (
        select next.campaign_id from delivery.messages as next
        where next.finished_at is null and next.campaign_id is not null
            and next.campaign_id > open_campaigns.campaign_id
        order by next.campaign_id
        limit 1
    )
    from open_campaigns
    where open_campaigns.campaign_id is not null
),
canceled as materialized (
    -- Each limit ends its search: a chunk must not read all messages of a campaign again.
    (
        select message.id, 'campaign_canceled' as reason
        from open_campaigns
        join campaign.campaigns as campaign
            on campaign.id = open_campaigns.campaign_id and campaign.status = 'canceled'
        join delivery.messages as message
            on message.campaign_id = campaign.id and message.organization_id = campaign.organization_id
        where message.finished_at is null and message.state in ('pending', 'queued', 'deferred', 'held')
        limit :rows_max
    )
    union all
    (
        select message.id, 'campaign_canceled'
        from delivery.delivery_jobs as job
        join campaign.campaigns as campaign
            on campaign.id = job.campaign_id and campaign.organization_id = job.organization_id
        join delivery.messages as message
            on message.campaign_id = campaign.id and message.organization_id = campaign.organization_id
            and message.job_id = job.id
        where job.completed_at is null and job.content is not null and job.run <= campaign.canceled_run
            and campaign.status <> 'canceled'
            and message.finished_at is null and message.state in ('pending', 'queued', 'deferred', 'held')
        limit :rows_max
    )
    union all
    (
        select message.id, 'execution_canceled'
        from delivery.messages as message
        join journey.journey_executions as execution
            on execution.id = message.journey_execution_id and execution.organization_id = message.organization_id
        where message.finished_at is null and message.journey_execution_id is not null
            and message.state in ('pending', 'queued', 'deferred', 'held') and execution.status = 'canceled'
        limit :rows_max
    )
),
held as (
    select message.id, canceled.reason
    from canceled
    join delivery.messages as message using (id)
    where message.state in ('pending', 'queued', 'deferred', 'held')
    order by message.id
    limit :rows_max
    for update of message skip locked
)
update delivery.messages as message set
    state = case when message.possible_duplicate then 'uncertain' else 'skipped' end,
    reason = held.reason,
    queued_until = null,
    not_before = case when message.possible_duplicate then cast(:now as timestamptz) end,
    finished_at = case when not message.possible_duplicate then cast(:now as timestamptz) end
from held
where message.id = held.id

-- name: sweep_resumed
-- Messages that wait for the end of a pause which is over. They get their whole time from now on.
with resumed as (
    select waiting.id
    from delivery.messages as waiting
    where waiting.state = 'deferred' and waiting.not_before = 'infinity'
        and case waiting.reason
            when 'campaign_paused' then not exists (
                select from campaign.campaigns as campaign
                where campaign.id = waiting.campaign_id and campaign.organization_id = waiting.organization_id
                    and campaign.status = 'paused'
            )
            when 'journey_paused' then not exists (
                select from journey.journeys as journey
                where journey.organization_id = waiting.organization_id and journey.status = 'paused'
                    and journey.id = coalesce(
                        waiting.journey_id,
                        (
                            select execution.journey_id from journey.journey_executions as execution
                            where execution.id = waiting.journey_execution_id
                        )
                    )
            )
            when 'organization_paused' then not exists (
                select from delivery.organization_settings as settings
                where settings.organization_id = waiting.organization_id and settings.marketing_paused_at is not null
            )
            else true
        end
    limit :rows_max
),
held as (
    select message.id
    from resumed
    join delivery.messages as message using (id)
    where message.state = 'deferred' and message.not_before = 'infinity'
    for update of message skip locked
)
update delivery.messages as message set
    not_before = :now,
    expires_at = greatest(message.expires_at, delivery.default_expiry(message.class, :now))
from held
where message.id = held.id

-- name: empty_deleted
-- What the messages of deleted contacts hold of them.
with gone as materialized (
    select id, organization_id, contact_id
    from delivery.deleted_contacts
    order by id
    limit :rows_max
    for update skip locked
),
emptied as (
    update delivery.messages as message set address = null, content = null, variables = null
    from gone
    where message.organization_id = gone.organization_id and message.contact_id = gone.contact_id
        and (message.address is not null or message.content is not null or message.variables is not null)
)
delete from delivery.deleted_contacts as noted
using gone
where noted.id = gone.id

-- name: empty_content
-- Addresses, content and variables of messages that ended 90 days ago.
update delivery.messages set address = null, content = null, variables = null
where id = any(array(
    select id from delivery.messages
    where (address is not null or content is not null or variables is not null)
        and finished_at < cast(:now as timestamptz) - interval '90 days'
    order by finished_at
    limit :rows_max
    for update skip locked
))

-- name: empty_requests
-- Stored requests: a repetition after 23 hours would be a new call.
update delivery.calls set request = null
where id = any(array(
    select call.id from delivery.calls as call
    where call.request is not null
        and (
            call.started_at < cast(:now as timestamptz) - interval '24 hours'
            or (
                call.finished_at is not null
                and not exists (
                    select from delivery.attempts as attempt
                    join delivery.messages as message on message.id = attempt.message_id
                    where attempt.call_id = call.id and message.state = 'uncertain'
                )
            )
        )
    order by call.started_at
    limit :rows_max
    for update skip locked
))

-- name: gauges
-- What stands open, by channel and state, with the age of the oldest; and the addresses suppressed since :today. A
-- number of none is a row too: a gauge that is not written looks like its last value. Each state has an index of its own,
-- so finished messages are not read. Of what waits, which may be a million, the index alone is read: the order chooses it.
with counted as (
    select channel, 'pending' as state, count(*) as count, min(created_at) as oldest_at
    from (
        select channel, created_at from delivery.messages
        where state = 'pending' order by channel, class, organization_id, created_at
    ) as pending
    group by channel
    union all
    select channel, 'deferred', count(*), min(created_at)
    from (
        select channel, created_at from delivery.messages
        where state = 'deferred' order by channel, class, organization_id, not_before
    ) as deferred
    group by channel
    union all
    select channel, 'queued', count(*), min(created_at) from delivery.messages
    where state = 'queued' group by channel
    union all
    select channel, 'claimed', count(*), min(created_at) from delivery.messages
    where state = 'claimed' group by channel
    union all
    select channel, 'sending', count(*), min(created_at) from delivery.messages
    where state = 'sending' group by channel
    union all
    select channel, 'held', count(*), min(created_at) from delivery.messages
    where state = 'held' group by channel
    union all
    select channel, 'uncertain', count(*), min(created_at) from delivery.messages
    where state = 'uncertain' and finished_at is null group by channel
),
suppressed as (
    select channel, count(*) as count
    from delivery.suppressions
    where created_at >= :today
    group by channel
)
select
    'open' as gauge, channel, state, coalesce(counted.count, 0) as count,
    cast(greatest(coalesce(extract(epoch from :now - counted.oldest_at), 0), 0) as integer) as age_s
from unnest(array['email', 'sms', 'push']) as channel
cross join unnest(
    array['pending', 'queued', 'deferred', 'claimed', 'sending', 'held', 'uncertain']
) as state
left join counted using (channel, state)
union all
select 'suppressed_today', channel, '', coalesce(suppressed.count, 0), 0
from unnest(array['email', 'sms', 'push']) as channel
left join suppressed using (channel)
order by gauge, channel, state
