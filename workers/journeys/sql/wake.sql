-- name: fold_events
-- Take the changes of the feed: events wait in pending_events; executions of deleted contacts wake up.
with taken as (
    delete from crm.contact_changes
    where id in (
        select id from crm.contact_changes
        where consumer = 'events'
        order by organization_id, id
        limit :rows_max
        for update skip locked
    )
    returning organization_id, contact_id, source, name, activity_id
),
pending as (
    insert into journey.pending_events (activity_id, organization_id, contact_id, event_type, seen_at)
    select distinct on (activity_id) activity_id, organization_id, contact_id, name, cast(:now as timestamptz)
    from taken
    where source = 'event' and activity_id is not null
    order by activity_id
    on conflict do nothing
),
left_behind as (
    select execution.id
    from taken
    join journey.journey_executions as execution
        on execution.contact_id = taken.contact_id and execution.organization_id = taken.organization_id
    where taken.source = 'contact' and execution.status = 'active'
    order by execution.id
    for update of execution
),
woken as (
    update journey.journey_executions as execution set wake_at = :now, wake_queued_until = null
    from left_behind
    where execution.id = left_behind.id
)
select count(*) as count from taken

-- name: cancel_executions
-- End the executions of archived and deleted journeys. Their open messages are skipped by the sweep of deliveries.
with recursive inhabited as (
    (select journey_id from journey.journey_executions where status = 'active' order by journey_id limit 1)
    union all
    select further.journey_id
    from inhabited
    cross join lateral (
        select execution.journey_id from journey.journey_executions as execution
        where execution.status = 'active' and execution.journey_id > inhabited.journey_id
        order by execution.journey_id
        limit 1
    ) as further
),
over as (
    select inhabited.journey_id, case when own.id is null then 'journey_deleted' else 'journey_archived' end as reason
    from inhabited
    left join journey.journeys as own on own.id = inhabited.journey_id
    where own.id is null or own.status = 'archived'
),
held as (
    select execution.id, over.reason
    from over
    join journey.journey_executions as execution
        on execution.journey_id = over.journey_id and execution.status = 'active'
    order by execution.id
    limit :rows_max
    for update of execution skip locked
),
canceled as (
    update journey.journey_executions as execution set
        status = 'canceled', exit_reason = held.reason, completed_at = :now, wake_at = null, wake_queued_until = null
    from held
    where execution.id = held.id
    returning execution.id, execution.organization_id, execution.seq, held.reason
),
left_visits as (
    update journey.step_executions as visit set status = 'skipped', completed_at = :now
    from canceled
    where visit.execution_id = canceled.id and visit.seq = canceled.seq and visit.status = 'running'
)
insert into journey.execution_logs (execution_id, organization_id, level, code, message, created_at)
select id, organization_id, 'info', reason, 'the execution was canceled', :now from canceled

-- name: choose_due
-- Mark the executions that are due soon and have no queue message, the organization with the fewest marked next.
with due as (
    select
        execution.id, execution.wake_at,
        row_number() over (partition by execution.organization_id order by execution.wake_at, execution.id) as turn
    from journey.journey_executions as execution
    join journey.journeys as own on own.id = execution.journey_id and own.status = 'active'
    where execution.status = 'active' and execution.wake_at <= cast(:now as timestamptz) + cast(:ahead as interval)
        and (execution.wake_queued_until is null or execution.wake_queued_until <= :now)
),
chosen as (
    select id from due order by turn, wake_at, id limit :rows_max
),
held as (
    select execution.id
    from journey.journey_executions as execution
    where execution.id in (select id from chosen) and execution.status = 'active'
        and (execution.wake_queued_until is null or execution.wake_queued_until <= :now)
    order by execution.id
    for update skip locked
),
marked as (
    update journey.journey_executions as execution set
        wake_queued_until = greatest(execution.wake_at, cast(:now as timestamptz)) + cast(:patience as interval)
    from held
    where execution.id = held.id
    returning execution.organization_id, execution.id, execution.seq, execution.wake_at
)
select coalesce(
    jsonb_agg(
        jsonb_build_array(
            organization_id, id, seq, ceil(greatest(0, extract(epoch from wake_at - cast(:now as timestamptz))))
        )
        order by wake_at, id
    ), '[]'
) as due
from marked
