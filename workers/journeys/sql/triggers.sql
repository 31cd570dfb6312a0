-- name: ask_triggers
-- Ask the segment triggers of active journeys to run, for the organizations of a range.
insert into journey.trigger_progress as progress (trigger_id, organization_id, segment_id, changes_until, due_at)
select known.id, known.organization_id, cast(known.config ->> 'segmentId' as uuid), 0, :now
from journey.journey_triggers as known
join journey.journeys as own on own.id = known.journey_id and own.status = 'active'
where known.type = 'segment' and known.enabled and known.problem is null
    and known.organization_id >= :first_organization
    and (cast(:last_organization as uuid) is null or known.organization_id <= cast(:last_organization as uuid))
order by known.id
on conflict (trigger_id) do update set due_at = :now
returning progress.organization_id, progress.trigger_id

-- name: overdue_triggers
-- Triggers whose message was lost, or whose run has ended early.
select organization_id, trigger_id
from journey.trigger_progress
where due_at < cast(:now as timestamptz) - cast(:patience as interval)
order by due_at, trigger_id
limit :rows_max

-- name: lock_trigger
-- Lock a trigger that is due and that no other run is processing, with what its segment says now.
select
    known.journey_id, known.organization_id, cast(known.config ->> 'segmentId' as uuid) as segment_id,
    coalesce(cast(known.config ->> 'existing' as boolean), true) as takes_existing,
    progress.changes_until, progress.full_pass_at, progress.pass_after,
    segment.change_no, segment.state,
    progress.segment_id is distinct from cast(known.config ->> 'segmentId' as uuid) as is_another,
    -- Changes that are no longer kept are found by a pass over the members.
    progress.full_pass_at is null
    or own.status_changed_at > progress.full_pass_at
    or coalesce(
        (
            select min(change.change_no) from crm.segment_changes as change
            where change.segment_id = segment.id and change.change_no > progress.changes_until
        ),
        segment.change_no + 1
    ) > progress.changes_until + 1 as needs_pass
from journey.trigger_progress as progress
join journey.journey_triggers as known
    on known.id = progress.trigger_id and known.organization_id = progress.organization_id
    and known.type = 'segment' and known.enabled and known.problem is null
join journey.journeys as own on own.id = known.journey_id and own.status = 'active'
join crm.segments as segment
    on segment.id = cast(known.config ->> 'segmentId' as uuid) and segment.organization_id = known.organization_id
where progress.trigger_id = :trigger_id and progress.organization_id = :organization_id and progress.due_at is not null
for update of progress skip locked

-- name: begin_pass
-- A pass over all members begins: what changes from now on is processed after it.
update journey.trigger_progress set
    segment_id = :segment_id, changes_until = :changes_until,
    pass_after = '00000000-0000-0000-0000-000000000000'
where trigger_id = :trigger_id

-- name: next_members
-- The next members of a pass, each with its stay.
select contact_id, 'segment:' || segment_id || ':' || entered_no as occasion
from crm.segment_contacts
where segment_id = :segment_id and contact_id > cast(:pass_after as uuid) and entered_no is not null
order by contact_id
limit :rows_max

-- name: keep_pass
update journey.trigger_progress set pass_after = :pass_after where trigger_id = :trigger_id

-- name: end_pass
update journey.trigger_progress set pass_after = null, full_pass_at = greatest(cast(:now as timestamptz), now())
where trigger_id = :trigger_id

-- name: next_changes
-- The next changes of a segment; those who entered and are still in the same stay have an occasion.
select
    change.change_no, change.contact_id,
    case when member.contact_id is not null then 'segment:' || change.segment_id || ':' || change.change_no end as occasion
from crm.segment_changes as change
left join crm.segment_contacts as member
    on member.segment_id = change.segment_id and member.contact_id = change.contact_id
    and member.entered_no = change.change_no and change.kind = 'entered'
where change.segment_id = :segment_id and change.change_no > :changes_until
order by change.change_no
limit :rows_max

-- name: keep_changes
update journey.trigger_progress set changes_until = :changes_until where trigger_id = :trigger_id

-- name: drop_left
-- A blocked contact that has left the segment is not asked again.
update journey.trigger_entries as entry set outcome = 'refused', reason = 'left_segment', retry_at = null
where entry.journey_id = :journey_id and entry.trigger_id = :trigger_id and entry.outcome = 'blocked'
    and entry.retry_at <= :now
    and not exists (
        select from crm.segment_contacts as member
        where member.segment_id = :segment_id and member.contact_id = entry.contact_id
            and entry.occasion = 'segment:' || member.segment_id || ':' || member.entered_no
    )

-- name: next_blocked
-- Blocked contacts whose time has come.
select entry.contact_id, entry.occasion
from journey.trigger_entries as entry
where entry.journey_id = :journey_id and entry.trigger_id = :trigger_id and entry.outcome = 'blocked'
    and entry.retry_at <= :now
order by entry.retry_at, entry.contact_id
limit :rows_max

-- name: refuse_existing
-- The members of the first pass do not enter: their stay is used.
insert into journey.trigger_entries (
    journey_id, contact_id, occasion, organization_id, trigger_id, outcome, reason, at
)
select :journey_id, own.contact_id, own.occasion, :organization_id, :trigger_id, 'refused', 'existing', :now
from unnest(cast(:contact_ids as uuid[]), cast(:occasions as text[])) as own (contact_id, occasion)
order by own.contact_id
on conflict (journey_id, contact_id, occasion) do nothing

-- name: finish_trigger
update journey.trigger_progress set due_at = null where trigger_id = :trigger_id

-- name: enter_by_segment
-- Enter the members of a segment on their stays. Who must wait is asked again while the stay lasts.
select entered.execution_id, cast(:organization_id as uuid) as organization_id, entered.contact_id, entered.outcome,
    entered.reason
from journey.enter(
    :journey_id, :trigger_id, cast(:contact_ids as uuid[]), cast(:occasions as text[]), true, :now, :queued_until
) as entered
