-- name: find_journey
-- Whether an organization has a journey.
select exists (select from journey.journeys where id = :journey_id and organization_id = :organization_id) as found

-- name: enter
-- Enter contacts on one occasion each. An occasion that was used changes nothing.
select
    entered.execution_id, cast(:organization_id as uuid) as organization_id, entered.contact_id, entered.outcome,
    entered.reason
from journey.enter(
    :journey_id, :trigger_id, cast(:contact_ids as uuid[]), cast(:occasions as text[]), :has_stay, :now, :queued_until
) as entered

-- name: enter_by_scores
-- Scores that crossed a threshold enter the journeys whose triggers name it. Journeys in key order.
with crossings as (
    select *
    from jsonb_to_recordset(cast(:crossings as jsonb)) as crossing (
        organization_id uuid, contact_id uuid, threshold integer, direction text, event_id text
    )
),
matched as (
    select
        known.id as trigger_id, known.journey_id, known.organization_id,
        array_agg(crossings.contact_id order by crossings.contact_id, crossings.event_id) as contact_ids,
        array_agg('score:' || crossings.event_id order by crossings.contact_id, crossings.event_id) as occasions
    from crossings
    join journey.journey_triggers as known
        on known.organization_id = crossings.organization_id and known.type in ('score', 'score_threshold')
        and known.enabled and known.problem is null
        and coalesce(known.config ->> 'threshold', known.config ->> 'minScore') = cast(crossings.threshold as text)
        and crossings.direction = coalesce(
            known.config ->> 'direction', case known.config ->> 'operator' when 'lte' then 'down' else 'up' end
        )
    join journey.journeys as own on own.id = known.journey_id and own.status = 'active'
    group by known.id, known.journey_id, known.organization_id
    order by known.journey_id, known.id
)
select entered.execution_id, matched.organization_id, entered.contact_id, entered.outcome, entered.reason
from matched
cross join lateral journey.enter(
    matched.journey_id, matched.trigger_id, matched.contact_ids, matched.occasions, false, :now, :queued_until
) as entered

-- name: take_pending
-- Lock the oldest events that no other run is applying.
select activity_id from journey.pending_events
order by seen_at, activity_id
limit :rows_max
for update skip locked

-- name: wake_waiting
-- Executions whose gate waits for one of these events look now.
with heard as (
    select execution.id
    from journey.pending_events as pending
    join journey.waits as waiting
        on waiting.organization_id = pending.organization_id and waiting.contact_id = pending.contact_id
        and waiting.event_type = pending.event_type
    join journey.journey_executions as execution
        on execution.id = waiting.execution_id and execution.seq = waiting.seq and execution.status = 'active'
    where pending.activity_id = any (cast(:activity_ids as uuid[]))
    order by execution.id
    for update of execution
)
update journey.journey_executions as execution set wake_at = :now, wake_queued_until = null
from heard
where execution.id = heard.id

-- name: enter_by_events
-- Events enter the journeys whose triggers name their type and match their data. Journeys in key order.
with matched as (
    select
        known.id as trigger_id, known.journey_id, known.organization_id,
        array_agg(activity.contact_id order by activity.contact_id, activity.occurred_at, activity.id) as contact_ids,
        array_agg('event:' || activity.id order by activity.contact_id, activity.occurred_at, activity.id) as occasions
    from journey.pending_events as pending
    join analytics.contact_activity as activity
        on activity.id = pending.activity_id and activity.organization_id = pending.organization_id
    join journey.journey_triggers as known
        on known.organization_id = pending.organization_id and known.type = 'event'
        and known.config ->> 'eventType' = pending.event_type and known.enabled and known.problem is null
    join journey.journeys as own on own.id = known.journey_id and own.status = 'active'
    where pending.activity_id = any (cast(:activity_ids as uuid[]))
        and not exists (
            select
            from jsonb_each(
                case when jsonb_typeof(known.config -> 'filters') = 'object' then known.config -> 'filters' else '{}' end
            ) as filter (key, value)
            where activity.event_data -> filter.key is distinct from filter.value
        )
    group by known.id, known.journey_id, known.organization_id
    order by known.journey_id, known.id
)
select entered.execution_id, matched.organization_id, entered.contact_id, entered.outcome, entered.reason
from matched
cross join lateral journey.enter(
    matched.journey_id, matched.trigger_id, matched.contact_ids, matched.occasions, false, :now, :queued_until
) as entered

-- name: drop_events
-- The events of this run are applied.
delete from journey.pending_events where activity_id = any (cast(:activity_ids as uuid[]))
