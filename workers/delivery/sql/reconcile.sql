-- name: due_calls
-- The calls whose messages are uncertain and due for a look-up, the longest due first.
select organization_id, call_id
from (
    select message.organization_id, unknown.call_id, min(message.not_before) as since
    from delivery.messages as message
    cross join lateral (
        select attempt.call_id from delivery.attempts as attempt
        where attempt.message_id = message.id and (attempt.verdict = 'unknown' or attempt.verdict is null)
        order by attempt.attempt desc
        limit 1
    ) as unknown
    where message.state = 'uncertain' and message.finished_at is null and message.not_before <= :now
    group by message.organization_id, unknown.call_id
) as due
order by since
limit :calls_max

-- name: uncertain_of_call
-- The messages of a call that are uncertain and due, with the config of the call.
select
    attempt.started_at as called_at, call.provider_config_id as config_id, config.provider_type,
-- include: waiting_columns
from delivery.calls as call
join delivery.attempts as attempt on attempt.call_id = call.id
join delivery.messages as message on message.id = attempt.message_id
join delivery.provider_configs as config on config.id = call.provider_config_id
-- include: waiting_tables
where call.id = :call_id and call.organization_id = :organization_id
    and (attempt.verdict = 'unknown' or attempt.verdict is null)
    and message.state = 'uncertain' and message.finished_at is null and message.not_before <= :now
order by message.id
limit :messages_max

-- name: addresses_of_call
-- The addresses of a call whose domain has another spelling: suppressions may have that.
select message.id, message.address
from delivery.attempts as attempt
join delivery.messages as message on message.id = attempt.message_id
where attempt.call_id = :call_id and message.organization_id = :organization_id and message.address like '%xn--%'

-- name: repeatable_request
-- The bytes of a call, if it is recent and the second check allows every message of it: the first request may
-- never have arrived. For the same reason each message without a clear verdict must still be uncertain, or be proved
-- by this call: one that was called again or settled by a person would be sent by the repetition too.
select call.request
from delivery.calls as call
where call.id = :call_id and call.organization_id = :organization_id and call.request is not null
    and call.started_at > :since
    and not exists (
        select
        from delivery.attempts as attempt
        join (
            select own.*, spelled.other_address
            from delivery.messages as own
            left join unnest(cast(:ids as uuid[]), cast(:other_addresses as text[])) as spelled (id, other_address)
                using (id)
        ) as message on message.id = attempt.message_id
-- include: second_check
        where attempt.call_id = call.id
            and (
                first.reason is not null
                or (
                    coalesce(attempt.verdict, 'unknown') = 'unknown'
                    and (
                        attempt.attempt < message.attempts
                        or not (
                            (message.state = 'uncertain' and message.finished_at is null)
                            or (message.state = 'sent' and message.reason is null)
                        )
                    )
                )
            )
    )

-- name: settle_repetition
-- What a look-up or a repetition proves: accepted or refused. Anything else proves nothing. An acceptance counts in
-- any state: it stops a second call. A refusal leaves the doubt about another call.
with asked as (
    select *
    from unnest(
        cast(:ids as uuid[]), cast(:verdicts as text[]), cast(:codes as text[]), cast(:provider_message_ids as text[])
    ) as asked (id, verdict, code, provider_message_id)
),
held as materialized (
    select message.*, asked.verdict, asked.code as proved_code, asked.provider_message_id as proved_id
    from asked
    join delivery.messages as message using (id)
    where message.organization_id = :organization_id
        and (
            (asked.verdict = 'accepted' and message.state <> 'sent')
            or (asked.verdict = 'refused' and message.state = 'uncertain' and message.finished_at is null)
        )
    order by message.id
    for update of message
),
decided as materialized (
    select
        held.*, coalesce(held.called_at, :now) as happened_at, cast(null as integer) as segments,
        case
            when held.verdict = 'accepted' then 'sent'
            when exists (
                select from delivery.attempts as other
                where other.message_id = held.id and other.call_id <> :call_id
                    and coalesce(other.verdict, 'unknown') = 'unknown'
            ) then 'uncertain'
            else 'failed'
        end as next_state
    from held
),
changed as (
    update delivery.messages as message set
        state = decided.next_state,
        reason = case decided.next_state when 'failed' then coalesce(decided.proved_code, 'refused') end,
        provider_message_id = coalesce(decided.proved_id, message.provider_message_id),
        sent_at = case decided.next_state when 'sent' then coalesce(message.called_at, :now) end,
        finished_at = :now,
        not_before = null,
        lease_until = null,
        queued_until = null
    from decided
    where message.id = decided.id and decided.next_state <> 'uncertain'
    returning message.id, message.organization_id, message.contact_id, message.state, message.reason
),
announced as (
-- include: announce_failures
),
closed as (
    update delivery.attempts as attempt set
        verdict = decided.verdict, code = decided.proved_code, finished_at = coalesce(attempt.finished_at, :now)
    from decided
    where attempt.message_id = decided.id and attempt.call_id = :call_id
),
-- include: sent_events
select decided.id, decided.next_state as state from decided where decided.next_state <> 'uncertain'

-- name: next_lookup
-- When to look again: an hour, six hours and a day after the call. After that only evidence or a person helps.
update delivery.messages set
    not_before = case
        when cast(:now as timestamptz) < called_at + interval '1 hour' then called_at + interval '1 hour'
        when cast(:now as timestamptz) < called_at + interval '6 hours' then called_at + interval '6 hours'
        when cast(:now as timestamptz) < called_at + interval '24 hours' then called_at + interval '24 hours'
    end
where id = any(cast(:ids as uuid[])) and state = 'uncertain' and finished_at is null
