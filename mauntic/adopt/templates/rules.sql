-- The rules of adoption for rows.
-- `keep`: the order of equal rows; the first stays. A table without it keeps its newest row by updated_at, created_at,
-- or a numeric id.
-- `key`: what makes rows equal, if that is not the key's columns. `among`: which rows a key applies to.
-- `same`: what makes two rows with one id the same row; other rows with that id get new ids.
-- `other`: what rows with one id must have in common; otherwise a person must decide.
-- `fill`: the value of a column that must not be empty.
-- `tidy`: the value of a column whose value has the right meaning and the wrong spelling.

-- name: keep__analytics__event_aggregates
-- The old scheduler added on every retry, so neither row is reliable: the newest stays as a placeholder until its day
-- is recomputed from the events.
updated_at desc nulls last

-- name: keep__analytics__campaign_daily_stats
updated_at desc nulls last

-- name: keep__analytics__contact_activity
-- The first delivery of an event stays.
created_at nulls last

-- name: keep__delivery__sending_domains
-- Verified ones first, because e-mail must continue; then the oldest.
lower(btrim(status::text)) is not distinct from 'verified' desc, created_at nulls last, id

-- name: key__delivery__sending_domains__domain
-- Domain names are equal in any case.
lower(btrim(domain))

-- name: keep__crm__contacts
-- The newest version of a contact stays.
updated_at desc nulls last, last_activity_at desc nulls last

-- name: fill__analytics__contact_activity__created_at
-- The time of ingestion is unknown; the event's time is close enough.
occurred_at

-- name: fill__analytics__contact_activity__occurred_at
created_at

-- name: fill__analytics__event_aggregates__count
0

-- name: fill__analytics__event_aggregates__unique_count
0

-- name: fill__delivery__sending_domains__status
'pending'

-- name: fill__crm__contacts__created_at
coalesce(updated_at, now())

-- name: fill__crm__contacts__updated_at
coalesce(created_at, now())

-- name: same__delivery__sending_domains
id, organization_id, domain

-- name: other__crm__contacts
-- Two versions of a contact belong to one organization; contacts of two organizations are different people.
organization_id

-- name: keep__scoring__lead_scores
-- Scores are recomputed in any case.
scored_at desc nulls last, updated_at desc nulls last

-- name: keep__scoring__signal_alerts
-- Of two open alerts the most urgent stays.
deadline nulls last, created_at nulls last

-- name: among__scoring__signal_alerts_one_open
lower(btrim(status::text)) = 'open' and expired_at is null

-- name: same__scoring__signal_alerts
id, organization_id, contact_id, signal_type, priority, deadline, status, acknowledged_at, expired_at

-- name: same__scoring__intent_signals
id, organization_id, contact_id, signal_type, source, weight, detected_at, decay_model, decay_hours, expires_at, metadata::jsonb

-- name: key__scoring__scoring_configs__category
lower(btrim(category))

-- name: fill__scoring__lead_scores__grade
-- It is set from the total below.
'F'

-- name: fill__scoring__lead_scores__engagement_score
0

-- name: fill__scoring__lead_scores__fit_score
0

-- name: fill__scoring__lead_scores__intent_score
0

-- name: fill__scoring__lead_scores__scored_at
coalesce(updated_at, created_at, now())

-- name: fill__scoring__score_history__engagement_score
0

-- name: fill__scoring__score_history__fit_score
0

-- name: fill__scoring__score_history__intent_score
0

-- name: fill__scoring__intent_signals__detected_at
-- The decay of such a signal is unknown: it is set aside and not treated as new.
null

-- name: fill__scoring__signal_alerts__priority
'medium'

-- name: fill__scoring__signal_alerts__deadline
coalesce(created_at, now()) + case lower(btrim(priority::text))
when 'critical' then interval '1 hour' when 'high' then interval '4 hours' when 'low' then interval '72 hours'
else interval '24 hours' end

-- name: fill__scoring__signal_alerts__status
case when acknowledged_at is not null then 'acknowledged' when expired_at is not null then 'expired' else 'open' end

-- name: fill__scoring__signal_alerts__created_at
least(deadline, acknowledged_at, expired_at, now())

-- name: tidy__delivery__sending_domains__domain
lower(btrim(domain))

-- name: tidy__delivery__sending_domains__status
lower(btrim(status::text))

-- name: tidy__crm__contacts__status
lower(btrim(status::text))

-- name: tidy__analytics__event_aggregates__count
greatest(count, 0)

-- name: tidy__analytics__event_aggregates__unique_count
-- There cannot be more distinct contacts than events, nor fewer than none.
greatest(least(unique_count, count), 0)

-- name: tidy__scoring__lead_scores__total_score
greatest(least(total_score, 100), 0)

-- name: tidy__scoring__lead_scores__scored_at
-- A score with a future time would never be replaced.
least(scored_at, now())

-- name: tidy__scoring__lead_scores__grade
case
    when total_score >= 80 then 'A' when total_score >= 60 then 'B' when total_score >= 40 then 'C'
    when total_score >= 20 then 'D' else 'F'
end

-- name: tidy__scoring__intent_signals__decay_model
lower(btrim(decay_model))

-- name: tidy__scoring__intent_signals__decay_hours
-- A signal that decays in no time gets the shortest possible decay.
case when decay_hours <= 0 then 1 else decay_hours end

-- name: tidy__scoring__signal_configs__tier
lower(btrim(tier))

-- name: tidy__scoring__signal_configs__decay_hours
case when decay_hours <= 0 then 1 else decay_hours end

-- name: tidy__scoring__scoring_configs__category
lower(btrim(category))

-- name: tidy__scoring__signal_alerts__priority
lower(btrim(priority::text))

-- name: tidy__scoring__signal_alerts__status
-- An open alert with expired_at is expired.
case when lower(btrim(status::text)) = 'open' and expired_at is not null then 'expired' else lower(btrim(status::text)) end

-- name: tidy__scoring__signal_alerts__expired_at
-- If the time is unknown, it is the deadline. An acknowledged alert has not expired, whatever the column contains.
case lower(btrim(status::text)) when 'acknowledged' then null when 'expired' then coalesce(expired_at, deadline) else expired_at end

-- name: tidy__scoring__signal_alerts__acknowledged_at
case lower(btrim(status::text)) when 'acknowledged' then coalesce(acknowledged_at, created_at) else acknowledged_at end

-- name: same__analytics__contact_activity
-- Equal in everything except the time of ingestion: one event that was stored twice.
id, organization_id, contact_id, event_type, event_source, event_data::jsonb, occurred_at, event_id

-- name: activity__same_event
-- Equal in the producer's key, contact, type and time: one event that was delivered twice.
organization_id, event_id, contact_id, event_type, occurred_at

-- name: new_id
-- Different rows with one id: all stay, the later ones with new ids.
id = gen_random_uuid()

-- name: activity__no_event_id
-- Different events with one key of the producer: all stay, the later ones without the key.
event_id = null

-- Deliveries. The platform's tables have no key but a job's idempotency key.

-- name: keep__delivery__suppressions
-- The first reason stays.
created_at nulls last, id

-- name: fill__delivery__suppressions__address
-- The old column held telephone numbers too.
case when email like '%@%' then lower(btrim(email)) else btrim(email) end

-- name: fill__delivery__suppressions__channel
case when email like '%@%' then 'email' else 'sms' end

-- name: fill__delivery__suppressions__reason
'manual'

-- name: fill__delivery__suppressions__scope
-- An unsubscribed address may still receive receipts.
case lower(btrim(reason::text)) when 'unsubscribe' then 'marketing' else 'all' end

-- name: tidy__delivery__suppressions__reason
lower(btrim(reason::text))

-- name: same__delivery__suppressions
id, organization_id, email, reason

-- name: fill__delivery__delivery_events__event_id
-- The old rows have no key of the provider: each is an event of its own.
'adopted:' || id

-- name: fill__delivery__delivery_events__occurred_at
created_at

-- name: tidy__delivery__delivery_events__channel
lower(btrim(channel::text))

-- name: same__delivery__delivery_events
id, organization_id, contact_id, channel, event_type, provider_message_id

-- name: keep__delivery__delivery_jobs
created_at nulls last, id

-- name: tidy__delivery__delivery_jobs__channel
lower(btrim(channel::text))

-- name: tidy__delivery__delivery_jobs__status
lower(btrim(status::text))

-- name: fill__delivery__delivery_jobs__status
'failed'

-- name: tidy__delivery__delivery_jobs__recipient_count
greatest(recipient_count, 0)

-- name: tidy__delivery__delivery_jobs__sent_count
greatest(sent_count, 0)

-- name: tidy__delivery__delivery_jobs__failed_count
greatest(failed_count, 0)

-- name: tidy__delivery__provider_configs__channel
lower(btrim(channel::text))

-- name: tidy__delivery__provider_configs__provider_type
lower(btrim(provider_type::text))

-- name: tidy__campaign__campaigns__type
lower(btrim(type::text))

-- name: tidy__campaign__campaigns__status
-- Both spellings are in use.
case lower(btrim(status::text)) when 'cancelled' then 'canceled' else lower(btrim(status::text)) end

-- name: tidy__crm__segments__type
lower(btrim(type::text))

-- name: tidy__crm__segments__state
-- A static segment is always ready. A dynamic one is built: the old rows may not be those of its criteria.
case lower(btrim(type::text)) when 'static' then 'ready' else state end

-- name: tidy__crm__segments__ready_version
case lower(btrim(type::text)) when 'static' then criteria_version else ready_version end

-- name: keep__crm__segment_contacts
added_at nulls last, id

-- name: same__crm__segment_contacts
id, segment_id, contact_id

-- name: fill__crm__segment_contacts__organization_id
-- Members of a segment that does not exist are set aside.
(select segment.organization_id from crm.segments as segment where segment.id = segment_id)

-- name: tidy__content__templates__type
lower(btrim(type::text))

-- name: tidy__journey__journeys__status
lower(btrim(status::text))

-- name: keep__journey__journey_executions
-- Of two active executions of a contact the one that started last stays.
started_at desc nulls last, id

-- name: tidy__journey__journey_executions__status
case lower(btrim(status::text)) when 'cancelled' then 'canceled' else lower(btrim(status::text)) end

-- name: tidy__journey__step_executions__status
lower(btrim(status::text))

-- name: tidy__journey__execution_logs__level
case lower(btrim(level::text)) when 'warning' then 'warn' else lower(btrim(level::text)) end

-- name: tidy__journey__journey_steps__type
lower(btrim(type::text))

-- name: tidy__journey__journey_triggers__type
lower(btrim(type::text))

-- name: tidy__journey__journey_triggers__problem
-- journey.trigger_problem, which does not exist yet, decides when the trigger is saved.
case
    when lower(btrim(type::text)) in ('manual', 'api') then null
    when lower(btrim(type::text)) = 'event' and config ->> 'eventType' <> '' then null
    else coalesce(problem, 'not checked since the adoption: save the trigger again')
end
