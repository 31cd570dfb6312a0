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
update delivery.messages set
    state = cast(:state as text),
    reason = 'operator',
    possible_duplicate = possible_duplicate or :state = 'pending',
    on_uncertain = 'hold',
    not_before = null,
    warmup_day = null,
    sent_at = case when :state = 'sent' then coalesce(called_at, :now) end,
    finished_at = case when :state <> 'pending' then cast(:now as timestamptz) end,
    expires_at = case
        when :state = 'pending' then greatest(expires_at, delivery.default_expiry(class, :now)) else expires_at
    end
where id = any(cast(:ids as uuid[])) and state = 'uncertain'
returning id
