-- name: journeys
-- Journeys with their executions by status, those that run first.
select
    own.id, own.organization_id, own.name, own.status,
    (select version.version_number from journey.journey_versions as version where version.id = own.active_version_id)
        as version,
    figures.active, figures.completed, figures.failed, figures.canceled,
    case
        when own.status = 'active' and own.active_version_id is null then 'no version is published'
        else (
            select min(format('%s: %s', known.type, known.problem)) from journey.journey_triggers as known
            where known.journey_id = own.id and known.enabled and known.problem is not null
        )
    end as problem
from journey.journeys as own
cross join lateral (
    select
        count(*) filter (where execution.status = 'active') as active,
        count(*) filter (where execution.status = 'completed') as completed,
        count(*) filter (where execution.status = 'failed') as failed,
        count(*) filter (where execution.status = 'canceled') as canceled
    from journey.journey_executions as execution
    where execution.journey_id = own.id
) as figures
where (cast(:statuses as text[]) is null or own.status = any (cast(:statuses as text[])))
    and (cast(:organization_id as uuid) is null or own.organization_id = :organization_id)
order by own.status = 'active' desc, own.created_at desc, own.id
limit :limit

-- name: journey
select
    own.id, own.organization_id, own.name, own.status, own.settings, own.active_version_id, own.status_changed_at
from journey.journeys as own
where own.id = :id

-- name: journey_versions
-- The versions of a journey, the newest first, each with what keeps it from being published.
select
    version.id, version.version_number as version, version.published_at,
    (select count(*) from journey.journey_steps as step where step.journey_version_id = version.id) as steps,
    (
        select count(*) from journey.journey_executions as execution
        where execution.journey_id = version.journey_id and execution.journey_version_id = version.id
            and execution.status = 'active'
    ) as active,
    case when version.published_at is null then journey.version_problem(version.id) end as problem
from journey.journey_versions as version
where version.journey_id = :id
order by version.version_number desc

-- name: journey_steps
-- The steps of the version that contacts enter, with the executions that stand there, of every version.
select
    step.id, step.type, coalesce(step.config ->> 'type', step.config ->> 'action') as action,
    step.id = version.entry_step_id as entry, standing.active, standing.oldest
from journey.journeys as own
join journey.journey_versions as version on version.id = own.active_version_id
join journey.journey_steps as step on step.journey_version_id = version.id
cross join lateral (
    select count(*) as active, min(execution.last_progress_at) as oldest
    from journey.journey_executions as execution
    where execution.journey_id = own.id and execution.status = 'active' and execution.current_step_id = step.id
) as standing
where own.id = :id
order by step.id = version.entry_step_id desc, standing.active desc, step.id

-- name: journey_triggers
select known.id, known.type, known.config, known.enabled, known.problem
from journey.journey_triggers as known
where known.journey_id = :id
order by known.type, known.id

-- name: journey_entries
-- What came of the occasions of the last seven days.
select entry.outcome, entry.reason, count(*) as contacts, max(entry.at) as newest
from journey.trigger_entries as entry
where entry.journey_id = :id and entry.at > cast(:now as timestamptz) - interval '7 days'
group by entry.outcome, entry.reason
order by contacts desc, entry.outcome, entry.reason

-- name: publish_version
-- The database refuses a version with a problem.
update journey.journey_versions set published_at = :now
where journey_id = :id and version_number = :version and published_at is null
returning id

-- name: set_journey_status
update journey.journeys set status = :status, updated_at = now()
where id = :id and status = any (cast(:sources as text[]))
returning status

-- name: executions
-- Executions, newest first.
select
    execution.id, execution.organization_id, execution.journey_id, execution.contact_id, execution.status,
    execution.exit_reason, execution.seq as visits, step.type as step, execution.wake_at, execution.last_progress_at
from journey.journey_executions as execution
left join journey.journey_steps as step on step.id = execution.current_step_id
where (cast(:statuses as text[]) is null or execution.status = any (cast(:statuses as text[])))
    and (cast(:organization_id as uuid) is null or execution.organization_id = :organization_id)
    and (cast(:journey_id as uuid) is null or execution.journey_id = :journey_id)
    and (cast(:contact_id as uuid) is null or execution.contact_id = :contact_id)
    and (not cast(:is_stale as boolean) or execution.exit_reason = 'stale')
order by execution.last_progress_at desc, execution.id
limit :limit

-- name: execution
select
    execution.id, execution.organization_id, execution.journey_id, own.name as journey, own.status as journey_status,
    execution.contact_id, execution.status, execution.exit_reason, execution.occasion, execution.entry_no,
    execution.seq as visits, execution.started_at, execution.completed_at, execution.last_progress_at,
    execution.wake_at, execution.wake_queued_until, step.type as step, execution.current_step_id
from journey.journey_executions as execution
left join journey.journeys as own on own.id = execution.journey_id
left join journey.journey_steps as step on step.id = execution.current_step_id
where execution.id = :id

-- name: execution_visits
select
    visit.seq as visit, step.type, coalesce(step.config ->> 'type', step.config ->> 'action') as action, visit.status,
    visit.started_at, visit.completed_at, visit.result ->> 'label' as label, message.state as message,
    message.reason as message_reason, message.id as message_id
from journey.step_executions as visit
left join journey.journey_steps as step on step.id = visit.step_id
left join delivery.messages as message
    on message.organization_id = visit.organization_id and message.idempotency_key = visit.result ->> 'message'
where visit.execution_id = :id
order by visit.seq

-- name: execution_waits
select waiting.event_type, waiting.scope, waiting.since, waiting.until
from journey.waits as waiting
where waiting.execution_id = :id
order by waiting.seq

-- name: execution_logs
select log.created_at, log.level, log.code, log.message, log.metadata
from journey.execution_logs as log
where log.execution_id = :id
order by log.created_at, log.id

-- name: cancel_execution
-- End active executions by an operator's decision.
with canceled as (
    update journey.journey_executions as execution set
        status = 'canceled', exit_reason = 'operator', completed_at = :now, wake_at = null, wake_queued_until = null
    where execution.id = any (cast(:ids as uuid[])) and execution.status = 'active'
    returning execution.id, execution.organization_id, execution.seq
),
left_visits as (
    update journey.step_executions as visit set status = 'skipped', completed_at = :now
    from canceled
    where visit.execution_id = canceled.id and visit.seq = canceled.seq and visit.status = 'running'
),
logs as (
    insert into journey.execution_logs (execution_id, organization_id, level, code, message, metadata, created_at)
    select
        id, organization_id, 'warn', 'operator', 'an operator canceled the execution',
        jsonb_strip_nulls(jsonb_build_object('by', cast(:by as text), 'note', cast(:note as text))), :now
    from canceled
)
select id from canceled order by id

-- name: journeys_with_problems
-- What an active journey has that has no effect.
select found.id, found.kind, found.trigger, found.problem
from (
    select own.id, 'unpublished' as kind, null as trigger, null as problem
    from journey.journeys as own
    where own.status = 'active' and own.active_version_id is null
    union all
    select own.id, 'trigger', known.type, known.problem
    from journey.journeys as own
    join journey.journey_triggers as known on known.journey_id = own.id
    where own.status = 'active' and known.enabled and known.problem is not null
    union all
    select own.id, 'goal', null, null
    from journey.journeys as own
    where own.status = 'active' and coalesce(own.settings -> 'goal', 'null') <> 'null'
) as found
order by found.id, found.kind, found.trigger
limit :limit
