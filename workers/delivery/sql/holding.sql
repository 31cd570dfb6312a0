-- name: hold_dead
-- Messages whose reference died by an error of ours. What is in a call, or was called, is left alone.
update delivery.messages as message set
    state = 'held', reason = 'dead_letter', queued_until = null, lease_until = null, not_before = null,
    claimed_at = case when message.possible_duplicate then message.claimed_at end
where message.id = any(cast(:ids as uuid[])) and message.state in ('pending', 'queued', 'claimed')

-- name: resend_held
-- An operator's decision: a held message is sent.
update delivery.messages set
    state = 'pending', reason = null, retries = 0, lapses = 0,
    expires_at = greatest(expires_at, delivery.default_expiry(class, :now))
where id = any(cast(:ids as uuid[])) and state = 'held'
returning id

-- name: resolve_uncertain
-- An operator's decision on uncertain messages: one more call, or what has become of them.
with decided as materialized (
    select
        message.*, cast(:state as text) as next_state,
        coalesce(message.called_at, cast(:now as timestamptz)) as happened_at, cast(null as integer) as segments
    from delivery.messages as message
    where message.id = any(cast(:ids as uuid[])) and message.state = 'uncertain'
    order by message.id
    for update of message
),
changed as (
    update delivery.messages as message set
        state = decided.next_state,
        reason = 'operator',
        possible_duplicate = message.possible_duplicate or decided.next_state = 'pending',
        on_uncertain = 'hold',
        not_before = null,
        warmup_day = null,
        sent_at = case when decided.next_state = 'sent' then decided.happened_at end,
        finished_at = case when decided.next_state <> 'pending' then cast(:now as timestamptz) end,
        expires_at = case
            when decided.next_state = 'pending'
                then greatest(message.expires_at, delivery.default_expiry(message.class, :now))
            else message.expires_at
        end
    from decided
    where message.id = decided.id
    returning message.id, message.organization_id, message.contact_id, message.state, message.reason
),
announced as (
-- include: announce_failures
),
-- include: sent_events
select id from changed
