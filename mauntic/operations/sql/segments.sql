-- name: segments
-- Segments with their state, the least ready first.
select id, organization_id, name, type, state, contact_count, evaluated_at, failed_runs, problem
from crm.segments
where (cast(:organization_id as uuid) is null or organization_id = :organization_id)
    and (cast(:state as text) is null or state = :state)
order by array_position(array['invalid', 'building', 'ready'], state), organization_id, name, id
limit :limit

-- name: waiting_for_segments
-- What waits for the hourly evaluation, and since when.
select 'changes to fold' as what, count(*) as count, min(at) as since
from crm.contact_changes
where consumer = 'segments'
union all
select 'contacts to evaluate', count(*), min(requested_at) from crm.segment_backlog
union all
select 'contacts that time concerns now', count(*), min(recheck_at) from crm.segment_recheck where recheck_at <= :now
order by what

-- name: segment
select id, organization_id, name, type, state, problem, criteria_version, ready_version, contact_count, change_no,
    failed_runs, evaluated_at, filter_criteria
from crm.segments
where cast(id as text) = lower(:segment_id)

-- name: segment_changes
select change_no, kind, contact_id, criteria_version, at
from crm.segment_changes
where segment_id = :segment_id
order by change_no desc
limit :limit

-- name: membership
-- What is stored about a contact and a segment, and whether the contact waits to be evaluated.
select member.contact_id is not null as is_member, member.added_at, member.entered_no, recheck.recheck_at,
    exists (select from crm.segment_backlog as entry where entry.contact_id = wanted.contact_id)
    or exists (
        select from crm.contact_changes as change
        where change.consumer = 'segments' and change.contact_id = wanted.contact_id
    ) as waits
from (select cast(:segment_id as uuid) as segment_id, cast(:contact_id as uuid) as contact_id) as wanted
left join crm.segment_contacts as member using (segment_id, contact_id)
left join crm.segment_recheck as recheck using (segment_id, contact_id)

-- name: organizations_with_segments
select distinct organization_id
from crm.segments
where state = 'ready' and type = 'dynamic'
order by organization_id

-- name: wrong_counts
-- Segments whose count differs from their members, except those with changes that are not numbered yet.
select id, contact_count, members.count
from crm.segments as segment
cross join lateral (
    select count(*) as count from crm.segment_contacts as member where member.segment_id = segment.id
) as members
where segment.contact_count <> members.count and not exists (
    select from crm.contact_changes as change
    where change.consumer = 'segments' and change.organization_id = segment.organization_id
        and change.activity_id = segment.id
)
order by id
