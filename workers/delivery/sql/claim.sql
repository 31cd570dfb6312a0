-- name: lock_recipients
-- Hold the recipients of marketing messages until the end of the transaction: caps count without a gap.
insert into delivery.recipients as known (organization_id, contact_id)
select distinct message.organization_id, message.contact_id
from unnest(cast(:organization_ids as uuid[]), cast(:ids as uuid[])) as asked (organization_id, id)
join delivery.messages as message using (organization_id, id)
where message.contact_id is not null and message.class = 'marketing' and message.finished_at is null
order by message.organization_id, message.contact_id
on conflict (organization_id, contact_id) do update set contact_id = excluded.contact_id

-- name: lock_messages
-- The messages that may be claimed now, with what their address and sender are made of.
select
    message.device_id,
-- include: waiting_columns
from unnest(cast(:organization_ids as uuid[]), cast(:ids as uuid[])) as asked (organization_id, id)
join delivery.messages as message using (organization_id, id)
-- include: waiting_tables
where message.channel = :channel
    and (
        message.state = 'pending'
        or (message.state in ('queued', 'deferred') and coalesce(message.not_before, '-infinity') <= :now)
        or (message.state = 'claimed' and message.lease_until <= :now and message.lapses < 2)
    )
order by message.id
for update of message skip locked

-- name: decide
-- The first of the checks 1 to 11 that each message fails, and what follows from it. A message that passes all of
-- them has the state claimed and its provider. Checks: docs/deliveries.md.
with asked as (
    select *
    from unnest(
        cast(:ids as uuid[]), cast(:addresses as text[]), cast(:other_addresses as text[]),
        cast(:sender_domains as text[])
    ) as asked (id, address, other_address, sender_domain)
)
select
    message.id, decided.state, decided.reason, decided.until, coalesce(device.id, message.device_id) as device_id,
    case message.channel when 'push' then cast(device.id as text) else asked.address end as address,
    provider.id as config_id, provider.provider_type, coalesce(provider.is_limited, false) as is_limited,
    domain.created_at as domain_created_at
from asked
join delivery.messages as message using (id)
left join campaign.campaigns as campaign
    on campaign.id = message.campaign_id and campaign.organization_id = message.organization_id
left join delivery.delivery_jobs as job
    on job.id = message.job_id and job.organization_id = message.organization_id
left join journey.journey_executions as execution
    on execution.id = message.journey_execution_id and execution.organization_id = message.organization_id
left join journey.journeys as journey
    on journey.id = coalesce(message.journey_id, execution.journey_id)
    and journey.organization_id = message.organization_id
left join crm.contacts as contact
    on contact.id = message.contact_id and contact.organization_id = message.organization_id
left join delivery.organization_settings as settings on settings.organization_id = message.organization_id
left join delivery.sending_domains as domain
    on domain.organization_id = message.organization_id and domain.domain = asked.sender_domain
    and domain.status = 'verified'
left join lateral (
    select token.id, token.kind
    from delivery.device_tokens as token
    where message.channel = 'push' and token.organization_id = message.organization_id
        and token.contact_id = message.contact_id and token.status = 'active'
        and (message.device_id is null or token.id = message.device_id)
    order by token.id
    limit 1
) as device on true
cross join lateral (
    select
        case message.channel when 'push' then cast(device.id as text) else asked.address end as address,
        asked.other_address
) as target
-- include: provider_of
-- include: quiet_hours
cross join lateral (
    select
        message.class = 'marketing' as is_marketing,
-- include: consent
) as facts
cross join lateral (
    select
        case
            when message.expires_at <= :now and message.not_before is distinct from 'infinity' then 'expired'
-- include: source_reason
            when message.contact_id is not null and contact.id is null then 'unknown_contact'
            when target.address is null then 'no_address'
            when
-- include: is_suppressed
                then 'suppressed'
-- include: status_reason
            when facts.is_marketing and not facts.has_consent then 'no_consent'
            when message.job_id is not null and exists (
                select from delivery.messages as other
                where other.job_id = message.job_id and other.address = target.address
                    and other.state <> 'skipped' and other.id <> message.id
            ) then 'duplicate_address'
            when
-- include: is_capped
                then 'capped'
            when facts.is_marketing and quiet.until is not null then 'quiet_hours'
            when message.channel = 'email' and domain.id is null then 'unverified_sender'
            when not coalesce(provider.is_usable, false) then 'no_provider'
        end as reason
) as first
cross join lateral (
    select
        first.reason,
        case
            when first.reason is null then 'claimed'
            when first.reason in (
                'campaign_paused', 'journey_paused', 'organization_paused', 'quiet_hours', 'unverified_sender',
                'no_provider'
            ) then 'deferred'
            else 'skipped'
        end as state,
        case
            when first.reason in ('campaign_paused', 'journey_paused', 'organization_paused')
                then cast('infinity' as timestamptz)
            when first.reason = 'quiet_hours' then quiet.until
            when first.reason in ('unverified_sender', 'no_provider')
                then cast(:now as timestamptz) + interval '15 minutes'
        end as until
) as decided

-- name: take_tokens
-- Take rate tokens of configs with a limit, as many as there are; the rows are locked, so that two consumers share
-- them. A config holds the tokens of one second, at least one.
with wanted as (
    select * from unnest(cast(:config_ids as uuid[]), cast(:counts as integer[])) as wanted (id, count)
),
refilled as (
    select
        config.id, wanted.count, config.per_second,
        case
            when config.refilled_at is null then greatest(config.per_second, 1)
            else least(
                greatest(config.per_second, 1),
                config.tokens + config.per_second * greatest(extract(epoch from :now - config.refilled_at), 0)
            )
        end as available
    from wanted
    join delivery.provider_configs as config using (id)
    where config.per_second is not null
    order by config.id
    for update of config
)
update delivery.provider_configs as config set
    tokens = refilled.available - least(refilled.count, floor(refilled.available)),
    refilled_at = :now
from refilled
where config.id = refilled.id
returning
    config.id, cast(least(refilled.count, floor(refilled.available)) as integer) as granted,
    cast(config.per_second as double precision) as per_second

-- name: write_claims
-- Write what the checks have decided. A skipped message of which a call may have arrived stays uncertain.
update delivery.messages as message set
    state = decided.next_state,
    reason = decided.reason,
    not_before = case decided.next_state when 'deferred' then decided.until when 'uncertain' then :now end,
    queued_until = null,
    lease_until = case decided.next_state when 'claimed' then cast(:lease_until as timestamptz) end,
    token = message.token + case decided.next_state when 'claimed' then 1 else 0 end,
    lapses = message.lapses + case message.state when 'claimed' then 1 else 0 end,
    claimed_at = case
        when decided.next_state = 'claimed' then cast(:now as timestamptz)
        when message.possible_duplicate then message.claimed_at
    end,
    -- A message that waits has the address and device that it will have then.
    address = case decided.next_state
        when 'claimed' then coalesce(decided.address, message.address) else message.address
    end,
    is_copied = message.is_copied
    or (decided.next_state = 'claimed' and message.address is null and message.contact_id is not null),
    device_id = case decided.next_state
        when 'claimed' then coalesce(decided.device_id, message.device_id) else message.device_id
    end,
    warmup_day = case
        when message.warmup_day = :today
            and (decided.next_state = 'claimed' or decided.until < cast(:tomorrow as timestamptz))
            then message.warmup_day
    end,
    finished_at = case decided.next_state when 'skipped' then cast(:now as timestamptz) end
from (
    select
        asked.*,
        case when asked.state = 'skipped' and known.possible_duplicate then 'uncertain' else asked.state end
            as next_state
    from unnest(
        cast(:ids as uuid[]), cast(:states as text[]), cast(:reasons as text[]), cast(:untils as timestamptz[]),
        cast(:addresses as text[]), cast(:device_ids as uuid[])
    ) as asked (id, state, reason, until, address, device_id)
    join delivery.messages as known using (id)
) as decided
where message.id = decided.id
returning message.id, message.state, message.token, message.warmup_day

-- name: insert_devices
-- A push message goes to every active device of its contact: a row for each but the first.
insert into delivery.messages (
    organization_id, idempotency_key, channel, class, contact_id, job_id, campaign_id, journey_id, journey_execution_id,
    step_id, template_id, content, variables, device_id, parent_id, expires_at, on_uncertain, created_at
)
select
    message.organization_id, left(message.idempotency_key, 218) || ':' || token.id, message.channel, message.class,
    message.contact_id, message.job_id, message.campaign_id, message.journey_id, message.journey_execution_id,
    message.step_id, message.template_id, message.content, message.variables, token.id, message.id,
    message.expires_at, message.on_uncertain, :now
from delivery.messages as message
join delivery.device_tokens as token
    on token.organization_id = message.organization_id and token.contact_id = message.contact_id
    and token.status = 'active' and token.id <> message.device_id
where message.id = any(cast(:ids as uuid[])) and message.parent_id is null
order by token.id
on conflict (organization_id, idempotency_key) do nothing

-- name: set_places
-- After the reservation: a place for today, or a later try. Only for the newest claim; other places are lost. A place
-- of today stays with a message that is tried again today; one that waits longer releases it.
with held as materialized (
    select message.id, asked.until, asked.address, coalesce(message.warmup_day = :today, false) as has_place
    from unnest(
        cast(:ids as uuid[]), cast(:tokens as bigint[]), cast(:untils as timestamptz[]), cast(:addresses as text[])
    ) as asked (id, token, until, address)
    join delivery.messages as message using (id)
    where message.token = asked.token and message.state = 'claimed'
    order by message.id
    for update of message
)
update delivery.messages as message set
    warmup_day = case
        when held.until is null or (held.has_place and held.until < cast(:tomorrow as timestamptz))
            then cast(:today as date)
    end,
    state = case when held.until is null then 'claimed' else 'deferred' end,
    reason = case when held.until is not null then cast(:reason as text) end,
    address = case when held.until is null or message.attempts > 0 then message.address else held.address end,
    not_before = held.until,
    lease_until = case when held.until is null then message.lease_until end,
    claimed_at = case when held.until is null or message.possible_duplicate then message.claimed_at end
from held
where message.id = held.id
returning message.id, message.state, held.has_place and message.warmup_day is null as is_released

-- name: release
-- The time for calls is over: the messages go back, and the next claim sends them.
update delivery.messages as message set
    state = 'pending', reason = null, lease_until = null, not_before = null,
    address = case when message.attempts > 0 then message.address else asked.address end,
    claimed_at = case when message.possible_duplicate then message.claimed_at end
from unnest(cast(:ids as uuid[]), cast(:tokens as bigint[]), cast(:addresses as text[])) as asked (id, token, address)
where message.id = asked.id and message.token = asked.token and message.state = 'claimed'
returning message.id

-- name: finish_captured
-- In the mode shadow a message ends after its checks.
update delivery.messages as message set
    state = case when message.possible_duplicate then 'uncertain' else 'skipped' end,
    reason = 'captured', lease_until = null,
    claimed_at = case when message.possible_duplicate then message.claimed_at end,
    not_before = case when message.possible_duplicate then cast(:now as timestamptz) end,
    finished_at = case when not message.possible_duplicate then cast(:now as timestamptz) end
from unnest(cast(:ids as uuid[]), cast(:tokens as bigint[])) as asked (id, token)
where message.id = asked.id and message.token = asked.token and message.state = 'claimed'
returning message.id

-- name: unknown_messages
-- Which references name no message of their organization and channel.
select asked.id, exists (
    select from delivery.messages as other
    where other.organization_id = asked.organization_id and other.id = asked.id
) as is_elsewhere
from unnest(cast(:organization_ids as uuid[]), cast(:ids as uuid[])) as asked (organization_id, id)
where not exists (
    select from delivery.messages as message
    where message.organization_id = asked.organization_id and message.id = asked.id
        and message.channel = :channel
)

-- name: load_content
-- Templates, contents of runs, provider configs and devices of claimed messages, each row as JSON.
select
    'template' as kind, template.id,
    jsonb_build_object(
        'type', template.type, 'subject', template.subject, 'html', template.body_html, 'text', template.body_text
    ) as value
from unnest(cast(:template_organizations as uuid[]), cast(:template_ids as uuid[])) as asked (organization_id, id)
join content.templates as template using (organization_id, id)
union all
select 'run', job.id, job.content
from delivery.delivery_jobs as job
where job.id = any(cast(:run_ids as uuid[]))
union all
select 'config', config.id, jsonb_build_object('type', config.provider_type, 'config', config.config)
from delivery.provider_configs as config
where config.id = any(cast(:config_ids as uuid[]))
union all
select
    'device', token.id,
    jsonb_build_object('kind', token.kind, 'token', token.token, 'p256dh', token.p256dh, 'auth', token.auth)
from delivery.device_tokens as token
where token.id = any(cast(:device_ids as uuid[]))
