-- name: begin_call
-- Immediately before a call: the messages of :ids that may still be sent become sending, with a row for the call and
-- one attempt each. A message that is claimed with our token but is no longer allowed gets what the check says.
-- A suppression, pause or cancel that was committed before this statement began is seen by it.
with asked as (
    select *
    from unnest(
        cast(:ids as uuid[]), cast(:tokens as bigint[]), cast(:other_addresses as text[])
    ) as asked (id, token, other_address)
),
held as materialized (
    select message.*, asked.other_address
    from asked
    join delivery.messages as message using (id)
    where message.state = 'claimed' and message.token = asked.token
    order by message.id
    for update of message
),
checked as materialized (
    select message.id, message.possible_duplicate, message.warmup_day, first.reason
    from held as message
-- include: second_check
),
called as (
    update delivery.messages as message set
        state = 'sending',
        lease_until = :lease_until,
        called_at = :now,
        attempts = message.attempts + 1,
        provider_config_id = :config_id
    from checked
    where message.id = checked.id and checked.reason is null
    returning message.id, message.attempts, message.channel, message.organization_id
),
dropped as (
    update delivery.messages as message set
        state = case
            when checked.reason in ('campaign_paused', 'journey_paused', 'organization_paused', 'mode') then 'deferred'
            when checked.possible_duplicate then 'uncertain'
            else 'skipped'
        end,
        reason = checked.reason,
        not_before = case
            when checked.reason in ('campaign_paused', 'journey_paused', 'organization_paused')
                then cast('infinity' as timestamptz)
            when checked.reason = 'mode' then cast(:now as timestamptz) + interval '15 minutes'
            when checked.possible_duplicate then cast(:now as timestamptz)
        end,
        lease_until = null,
        warmup_day = null,
        claimed_at = case when checked.possible_duplicate then message.claimed_at end,
        finished_at = case
            when checked.reason in ('campaign_paused', 'journey_paused', 'organization_paused', 'mode') then null
            when not checked.possible_duplicate then cast(:now as timestamptz)
        end
    from checked
    where message.id = checked.id and checked.reason is not null
    returning message.id, message.state
),
new_call as (
    insert into delivery.calls (
        id, organization_id, provider_config_id, channel, message_count, started_at
    )
    select
        cast(:call_id as uuid), called.organization_id, cast(:config_id as uuid), called.channel, count(*),
        cast(:now as timestamptz)
    from called
    group by called.organization_id, called.channel
),
new_attempts as (
    insert into delivery.attempts (message_id, attempt, call_id, provider_config_id, started_at)
    select id, attempts, cast(:call_id as uuid), cast(:config_id as uuid), cast(:now as timestamptz) from called
)
select called.id, 'sending' as state, called.attempts as attempt, false as is_released from called
union all
select dropped.id, dropped.state, null, coalesce(checked.warmup_day = :today, false)
from dropped
join checked using (id)

-- name: store_request
-- The exact bytes, before the call: a repetition of them is no new call.
update delivery.calls set request = :request where id = :call_id and finished_at is null

-- name: settle_call
-- What the provider's answer means for each message of a call. A message changes only by the newest claim's
-- verdict, in sending or uncertain; an accepted one is sent from any state. A repeated statement changes nothing,
-- because an attempt is closed once.
with asked as (
    select *
    from unnest(
        cast(:ids as uuid[]), cast(:tokens as bigint[]), cast(:attempts as integer[]), cast(:verdicts as text[]),
        cast(:codes as text[]), cast(:provider_message_ids as text[]), cast(:untils as timestamptz[]),
        cast(:suppressions as text[]), cast(:segments as integer[])
    ) as asked (id, token, attempt, verdict, code, provider_message_id, until, suppression, segments)
),
held as materialized (
    select
        asked.*, message.state, message.organization_id, message.channel, message.contact_id, message.campaign_id,
        message.journey_id, message.journey_execution_id, message.step_id, message.job_id, message.address,
        message.device_id, message.possible_duplicate, message.retries, message.deferrals, message.finished_at,
        message.token as newest_token
    from asked
    join delivery.messages as message using (id)
    order by message.id
    for update of message
),
closed as (
    update delivery.attempts as attempt set
        finished_at = :now,
        http_status = :http_status,
        verdict = case asked.verdict when 'refused_with_others' then 'refused' else asked.verdict end,
        code = asked.code
    from asked
    where attempt.message_id = asked.id and attempt.attempt = asked.attempt and attempt.call_id = :call_id
        and attempt.finished_at is null
    returning attempt.message_id
),
decided as materialized (
    select
        held.*, cast(:now as timestamptz) as happened_at,
        case
            when held.verdict = 'accepted' then 'sent'
            when held.verdict in ('refused', 'suppress') and held.possible_duplicate then 'uncertain'
            when held.verdict = 'refused' then 'failed'
            when held.verdict = 'suppress' then 'skipped'
            when held.verdict = 'defer' then 'deferred'
            when held.verdict = 'retry' and held.retries < cast(:retries_max as integer) then 'deferred'
            when held.verdict = 'retry' then 'held'
            when held.verdict = 'pause' then 'pending'
            when held.verdict = 'unknown' then 'uncertain'
            when held.verdict = 'refused_with_others' and held.state = 'sending' then 'claimed'
            when held.verdict = 'refused_with_others' then 'pending'
        end as next_state
    from held
    join closed on closed.message_id = held.id
    where (held.verdict = 'accepted' and held.state <> 'sent')
        or (
            held.verdict <> 'accepted' and held.state in ('sending', 'uncertain') and held.finished_at is null
            and held.token = held.newest_token
        )
),
changed as (
    update delivery.messages as message set
        state = decided.next_state,
        reason = case decided.verdict when 'accepted' then null else coalesce(decided.code, decided.verdict) end,
        provider_message_id = coalesce(decided.provider_message_id, message.provider_message_id),
        sent_at = case decided.verdict when 'accepted' then cast(:now as timestamptz) end,
        finished_at = case
            when decided.next_state in ('sent', 'failed', 'skipped') then cast(:now as timestamptz)
        end,
        lease_until = case decided.next_state when 'claimed' then cast(:lease_until as timestamptz) end,
        queued_until = null,
        retries = message.retries + case decided.verdict when 'retry' then 1 else 0 end,
        deferrals = message.deferrals + case decided.verdict when 'defer' then 1 else 0 end,
        claimed_at = case
            when decided.verdict in ('retry', 'defer', 'pause') and not message.possible_duplicate then null
            else message.claimed_at
        end,
        not_before = case
            when decided.verdict = 'defer' then coalesce(
                decided.until,
                cast(:now as timestamptz)
                + least(interval '1 hour', interval '60 seconds' * power(2, least(message.deferrals, 10)))
            )
            when decided.verdict = 'retry' then cast(:now as timestamptz) + interval '1 second'
                * ceil(cast(:random as double precision) * least(900, 10 * power(2, least(message.retries, 10))))
            when decided.next_state = 'uncertain' then cast(:now as timestamptz) + interval '10 minutes'
        end
    from decided
    where message.id = decided.id
    returning message.id, message.organization_id, message.contact_id, message.state, message.reason
),
named as (
    -- An event proved before this verdict that the provider has the message; its id is known only now.
    update delivery.messages as message set provider_message_id = held.provider_message_id
    from held
    join closed on closed.message_id = held.id
    where message.id = held.id and held.verdict = 'accepted' and held.state = 'sent'
        and message.provider_message_id is null
),
announced as (
-- include: announce_failures
),
finished_call as (
    update delivery.calls set finished_at = :now, http_status = :http_status,
        request = case when 'unknown' = any(cast(:verdicts as text[])) then request end
    where id = :call_id and finished_at is null
    returning provider_config_id
),
config as (
    -- Five calls in a row without a clear answer pause the config for a while; the account's refusal longer.
    update delivery.provider_configs as config set
        failures = counted.failures,
        paused_until = case
            when :call_verdict = 'pause'
                then greatest(config.paused_until, coalesce(cast(:paused_until as timestamptz), 'infinity'))
            when counted.failures >= 5 then greatest(
                config.paused_until,
                cast(:now as timestamptz)
                + least(interval '15 minutes', interval '30 seconds' * power(2, least(counted.failures - 5, 10)))
            )
            else config.paused_until
        end,
        paused_reason = case
            when config.paused_until = 'infinity' then config.paused_reason
            when :call_verdict = 'pause' then cast(:paused_reason as text)
            when counted.failures >= 5 then 'failures'
            else config.paused_reason
        end
    from finished_call
    join delivery.provider_configs as known on known.id = finished_call.provider_config_id
    cross join lateral (
        select case when cast(:call_verdict as text) in ('retry', 'unknown') then known.failures + 1 else 0 end as failures
    ) as counted
    where config.id = known.id and (config.failures <> counted.failures or :call_verdict = 'pause')
),
suppressed as (
    insert into delivery.suppressions (organization_id, channel, address, reason, source, message_id)
    select distinct on (decided.organization_id, decided.channel, decided.address)
        decided.organization_id, decided.channel, decided.address, decided.suppression, 'provider', decided.id
    from decided
    where decided.verdict = 'suppress' and decided.address is not null
        and decided.suppression in ('bounce', 'complaint', 'unsubscribe', 'invalid')
    on conflict (organization_id, channel, address, scope) do nothing
),
gone as (
    update delivery.device_tokens as token set status = 'gone', gone_at = :now
    from decided
    where decided.verdict = 'suppress' and decided.suppression = 'device_gone'
        and token.organization_id = decided.organization_id and token.id = decided.device_id
        and token.status = 'active'
),
bounced_pushes as (
    insert into analytics.contact_activity (
        organization_id, contact_id, event_type, event_source, event_data, occurred_at, created_at, event_id
    )
    select
        decided.organization_id, decided.contact_id, 'push_bounced',
        coalesce(cast(decided.campaign_id as text), 'journey:' || decided.journey_id),
        jsonb_strip_nulls(
            jsonb_build_object(
                'messageId', decided.id, 'campaignId', decided.campaign_id, 'journeyId', decided.journey_id,
                'journeyExecutionId', decided.journey_execution_id, 'stepId', decided.step_id, 'bounceKind', 'hard'
            )
        ),
        :now, :now, 'msg:' || decided.id || ':bounced'
    from decided
    where decided.verdict = 'suppress' and decided.suppression = 'device_gone' and decided.contact_id is not null
    on conflict (organization_id, event_id) where event_id is not null do nothing
),
-- include: sent_events
select decided.id, decided.next_state as state from decided

-- name: fail_rendering
-- A message whose content cannot be made.
with held as materialized (
    select message.id, asked.reason, coalesce(message.warmup_day = :today, false) as has_place
    from unnest(
        cast(:ids as uuid[]), cast(:tokens as bigint[]), cast(:reasons as text[])
    ) as asked (id, token, reason)
    join delivery.messages as message using (id)
    where message.token = asked.token and message.state = 'claimed'
    order by message.id
    for update of message
),
changed as (
    update delivery.messages as message set
        state = case when message.possible_duplicate then 'uncertain' else 'failed' end,
        reason = held.reason,
        lease_until = null,
        warmup_day = null,
        claimed_at = case when message.possible_duplicate then message.claimed_at end,
        not_before = case when message.possible_duplicate then cast(:now as timestamptz) end,
        finished_at = case when not message.possible_duplicate then cast(:now as timestamptz) end
    from held
    where message.id = held.id
    returning
        message.id, message.organization_id, message.contact_id, message.state, message.reason,
        held.has_place as is_released
),
announced as (
-- include: announce_failures
)
select id, is_released from changed
