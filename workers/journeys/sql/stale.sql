-- name: cancel_stale
-- Cancel the executions that nothing will move. The conditions stand in the statement that cancels: an execution that
-- moves in the meantime is not touched. A gate without a deadline is open for an event, so it is not stale.
with awake as (
    -- journey.wake-due has run on each of these days: whatever was due had its chance.
    select count(distinct cast(window_start at time zone 'UTC' as date)) as days
    from ops.job_runs
    where job_type = 'journey.wake-due' and status = 'succeeded'
        and window_start >= cast(:t as timestamptz) - interval '7 days' and window_start < cast(:t as timestamptz)
),
stale as (
    select
        execution.id, execution.wake_at, execution.wake_queued_until, execution.last_progress_at,
        own.status_changed_at, awake.days
    from awake
    cross join journey.journey_executions as execution
    join journey.journeys as own
        on own.id = execution.journey_id and own.status = 'active'
        and own.status_changed_at < cast(:t as timestamptz) - interval '7 days'
    where awake.days = 7
        and execution.status = 'active'
        and execution.last_progress_at < cast(:t as timestamptz) - interval '7 days'
        and coalesce(execution.wake_at, '-infinity') < cast(:t as timestamptz) - interval '7 days'
        and coalesce(execution.wake_queued_until, '-infinity') < :now
        and not exists (
            select from journey.waits as waiting
            where waiting.execution_id = execution.id
                and coalesce(waiting.until, 'infinity') >= cast(:t as timestamptz) - interval '7 days'
        )
        and not exists (
            select from delivery.messages as message
            where message.journey_execution_id = execution.id and message.finished_at is null
        )
    order by execution.id
    limit :rows_max
    for update of execution skip locked
),
canceled as (
    update journey.journey_executions as execution set
        status = 'canceled', exit_reason = 'stale', completed_at = :t, wake_at = null, wake_queued_until = null
    from stale
    where execution.id = stale.id
    returning
        execution.id, execution.organization_id, execution.seq, execution.current_step_id, stale.wake_at,
        stale.wake_queued_until, stale.last_progress_at, stale.status_changed_at, stale.days
),
left_visits as (
    update journey.step_executions as visit set status = 'skipped', completed_at = :t
    from canceled
    where visit.execution_id = canceled.id and visit.seq = canceled.seq and visit.status = 'running'
),
logs as (
    insert into journey.execution_logs (execution_id, organization_id, level, code, message, metadata, created_at)
    select
        id, organization_id, 'warn', 'stale_canceled', 'nothing had moved the execution for 7 days',
        jsonb_build_object(
            'lastProgressAt', last_progress_at, 'currentStepId', current_step_id, 'wakeAt', wake_at,
            'wakeQueuedUntil', wake_queued_until, 'journeyActiveSince', status_changed_at, 'openWaits', 0,
            'openMessages', 0, 'daysOfWakeDue', days
        ),
        :now
    from canceled
),
counted as (
    select organization_id, count(*) as count from canceled group by organization_id
)
select coalesce(jsonb_object_agg(organization_id, count), '{}') as counts from counted

-- name: count_active
-- The active executions of organizations.
select organization_id, count(*) as count
from journey.journey_executions
where organization_id = any (cast(:organization_ids as uuid[])) and status = 'active'
group by organization_id
