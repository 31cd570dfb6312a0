-- name: lock_executions
-- Lock the active executions of a batch that no other message is advancing, at the visit that each message names.
with asked as (
    select distinct asked.organization_id, asked.id, asked.seq
    from unnest(cast(:organization_ids as uuid[]), cast(:ids as uuid[]), cast(:seqs as integer[]))
        as asked (organization_id, id, seq)
)
select execution.id, execution.journey_version_id, execution.wake_at
from asked
join journey.journey_executions as execution
    on execution.id = asked.id and execution.organization_id = asked.organization_id
where execution.status = 'active' and execution.seq = asked.seq
order by execution.id
for update of execution skip locked

-- name: read_executions
-- What the next decisions of locked executions depend on. A paused or archived journey has no row here.
select
    execution.id, execution.organization_id, execution.journey_id, execution.journey_version_id as version_id,
    execution.contact_id, execution.seq, execution.current_step_id, execution.started_at,
    contact.id is not null as has_contact,
    visit.started_at as waiting_since,
    waiting.until as waiting_until,
    waiting.execution_id is not null and exists (
        select from analytics.contact_activity as activity
        where activity.organization_id = waiting.organization_id and activity.contact_id = waiting.contact_id
            and activity.event_type = waiting.event_type and activity.occurred_at >= waiting.since
            and (
                waiting.scope = 'contact'
                or activity.event_data ->> 'journeyExecutionId' = cast(waiting.execution_id as text)
            )
            and (waiting.until is null or activity.occurred_at <= waiting.until)
    ) as has_happened,
    (
        select jsonb_object_agg(
            step.id,
            journey.next_local_time(
                cast(:now as timestamptz), cast(step.config ->> 'time' as time),
                case
                    when jsonb_typeof(step.config -> 'weekdays') = 'array' then array(
                        select cast(day as integer)
                        from jsonb_array_elements_text(step.config -> 'weekdays') as day
                    )
                end,
                case step.config ->> 'zone'
                    when 'organization' then coalesce(settings.time_zone, 'UTC')
                    else coalesce(contact.time_zone, settings.time_zone, 'UTC')
                end
            )
        )
        from journey.journey_steps as step
        where step.journey_version_id = execution.journey_version_id and step.type = 'delay'
            and step.config ->> 'type' = 'delay_until'
    ) as local_times
from journey.journey_executions as execution
join journey.journeys as own on own.id = execution.journey_id and own.status = 'active'
left join crm.contacts as contact
    on contact.id = execution.contact_id and contact.organization_id = execution.organization_id
left join delivery.organization_settings as settings on settings.organization_id = execution.organization_id
left join journey.step_executions as visit
    on visit.execution_id = execution.id and visit.seq = execution.seq and visit.status = 'running'
left join journey.waits as waiting on waiting.execution_id = execution.id and waiting.seq = execution.seq
where execution.id = any (cast(:ids as uuid[]))
order by execution.id

-- name: read_versions
-- The steps of versions, each with its connections by label.
select
    step.journey_version_id as version_id, step.id, step.type, journey.step_kind(step.type, step.config) as kind,
    step.config,
    (
        select coalesce(jsonb_object_agg(coalesce(connection.label, ''), connection.to_step_id), '{}')
        from journey.journey_step_connections as connection
        where connection.from_step_id = step.id
    ) as connections
from journey.journey_steps as step
where step.journey_version_id = any (cast(:version_ids as uuid[]))
order by step.id

-- name: write_progress
-- All visits of a batch, their effects, and where the executions stand now.
with moves as (
    select *
    from jsonb_to_recordset(cast(:moves as jsonb)) as move (
        id uuid, seq integer, was_seq integer, step_id uuid, wake_at timestamptz, wake_queued_until timestamptz,
        status text, reason text, is_closed boolean, result jsonb
    )
),
closed as (
    update journey.step_executions as visit set
        status = 'completed', completed_at = :now, result = coalesce(visit.result, '{}') || coalesce(moves.result, '{}')
    from moves
    where moves.is_closed and visit.execution_id = moves.id and visit.seq = moves.was_seq and visit.status = 'running'
),
left_waits as (
    delete from journey.waits as waiting using moves
    where moves.is_closed and waiting.execution_id = moves.id and waiting.seq = moves.was_seq
),
visited as (
    insert into journey.step_executions (
        execution_id, step_id, organization_id, status, started_at, completed_at, result, seq
    )
    select
        visit.execution_id, visit.step_id, visit.organization_id, visit.status, :now,
        case when visit.status = 'completed' then cast(:now as timestamptz) end, visit.result, visit.seq
    from jsonb_to_recordset(cast(:visits as jsonb)) as visit (
        execution_id uuid, step_id uuid, organization_id uuid, status text, result jsonb, seq integer
    )
),
waits as (
    insert into journey.waits (execution_id, seq, organization_id, contact_id, event_type, scope, since, until)
    select execution_id, seq, organization_id, contact_id, event_type, scope, since, until
    from jsonb_to_recordset(cast(:waits as jsonb)) as waiting (
        execution_id uuid, seq integer, organization_id uuid, contact_id uuid, event_type text, scope text,
        since timestamptz, until timestamptz
    )
),
messages as (
    insert into delivery.messages (
        organization_id, idempotency_key, channel, class, contact_id, journey_id, journey_execution_id, step_id,
        template_id, content, expires_at, on_uncertain, created_at
    )
    select
        new.organization_id, new.idempotency_key, new.channel, new.class, new.contact_id, new.journey_id,
        new.journey_execution_id, new.step_id, new.template_id, new.content,
        delivery.default_expiry(new.class, :now), delivery.default_on_uncertain(new.channel, new.class), :now
    from jsonb_to_recordset(cast(:messages as jsonb)) as new (
        organization_id uuid, idempotency_key text, channel text, class text, contact_id uuid, journey_id uuid,
        journey_execution_id uuid, step_id uuid, template_id uuid, content jsonb
    )
    order by new.organization_id, new.idempotency_key
    on conflict (organization_id, idempotency_key) do nothing
),
logs as (
    insert into journey.execution_logs (execution_id, organization_id, level, code, message, metadata, created_at)
    select execution_id, organization_id, level, code, message, metadata, :now
    from jsonb_to_recordset(cast(:logs as jsonb)) as log (
        execution_id uuid, organization_id uuid, level text, code text, message text, metadata jsonb
    )
),
handed_over as (
    insert into journey.outbox (type, organization_id, contact_id, body, created_at)
    select 'journey.ActionRequested', organization_id, contact_id, body, :now
    from jsonb_to_recordset(cast(:requests as jsonb)) as request (organization_id uuid, contact_id uuid, body jsonb)
)
update journey.journey_executions as execution set
    seq = moves.seq,
    current_step_id = moves.step_id,
    wake_at = moves.wake_at,
    wake_queued_until = moves.wake_queued_until,
    last_progress_at = :now,
    status = moves.status,
    exit_reason = moves.reason,
    completed_at = case when moves.status <> 'active' then cast(:now as timestamptz) end
from moves
where execution.id = moves.id

-- name: fail_executions
-- The step of a dead letter cannot be carried out. An execution that has moved on since is not touched.
with letters as (
    select distinct on (letter.id) letter.id, letter.seq, letter.error, letter.dead_letter_id
    from unnest(
        cast(:ids as uuid[]), cast(:seqs as integer[]), cast(:errors as text[]), cast(:dead_letter_ids as bigint[])
    ) as letter (id, seq, error, dead_letter_id)
    order by letter.id, letter.seq desc
),
failed as (
    update journey.journey_executions as execution set
        status = 'failed', exit_reason = 'step_failed', completed_at = now(), wake_at = null, wake_queued_until = null
    from letters
    where execution.id = letters.id and execution.status = 'active' and execution.seq = letters.seq
    returning execution.id, execution.organization_id, execution.current_step_id, letters.error, letters.dead_letter_id
)
insert into journey.execution_logs (execution_id, organization_id, level, code, message, metadata)
select
    id, organization_id, 'error', 'step_failed', 'the step cannot be carried out',
    jsonb_build_object('stepId', current_step_id, 'error', error, 'deadLetterId', dead_letter_id)
from failed

-- name: reopen_executions
-- An operator sends dead letters again: their executions stand where they were. One whose contact has entered the
-- journey again stays as it is.
with letters as (
    select distinct letter.id, letter.seq
    from unnest(cast(:ids as uuid[]), cast(:seqs as integer[])) as letter (id, seq)
),
entrants as (
    select entrant.journey_id, entrant.contact_id, execution.id
    from letters
    join journey.journey_executions as execution
        on execution.id = letters.id and execution.seq = letters.seq and execution.status = 'failed'
        and execution.exit_reason = 'step_failed'
    join journey.entrants as entrant
        on entrant.journey_id = execution.journey_id and entrant.contact_id = execution.contact_id
    where entrant.active_execution_id is null
    order by entrant.journey_id, entrant.contact_id
    for update of entrant
),
reopened as (
    update journey.journey_executions as execution set
        status = 'active', exit_reason = null, completed_at = null, wake_at = :now, wake_queued_until = null,
        last_progress_at = :now
    from entrants
    where execution.id = entrants.id
    returning execution.id, execution.organization_id, execution.journey_id, execution.contact_id
),
entered as (
    update journey.entrants as entrant set active_execution_id = reopened.id
    from reopened
    where entrant.journey_id = reopened.journey_id and entrant.contact_id = reopened.contact_id
)
insert into journey.execution_logs (execution_id, organization_id, level, code, message)
select id, organization_id, 'info', 'reopened', 'an operator sent the dead letter again' from reopened
