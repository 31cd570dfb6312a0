-- name: organization
-- What the criteria of an organization's segments refer to, and the time of its newest evaluation.
select
    coalesce((
        select own.time_zone from delivery.organization_settings as own where own.organization_id = :organization_id
    ), 'UTC') as zone,
    (select max(evaluated_at) from crm.segments where organization_id = :organization_id) as evaluated_at,
    (
        select jsonb_object_agg(name, field_type)
        from crm.fields
        where organization_id = :organization_id and entity_type = 'contact'
    ) as field_types,
    array(select cast(id as text) from crm.tags where organization_id = :organization_id) as tags,
    array(select cast(id as text) from crm.segments where organization_id = :organization_id) as segments

-- name: dynamic_segments
-- The dynamic segments of an organization; no more of their criteria than a program reads.
select id, criteria_version as version, state, prepared_version,
    left(cast(filter_criteria as text), cast(:chars_max as integer) + 1) as document
from crm.segments
where organization_id = :organization_id and type = 'dynamic' and state <> 'invalid'
order by id

-- name: invalidate
-- The criteria of these versions cannot be evaluated. The members stay.
with refused as (
    update crm.segments as segment set state = 'invalid', problem = refusal.problem
    from unnest(cast(:segment_ids as uuid[]), cast(:versions as bigint[]), cast(:problems as text[]))
        as refusal (id, version, problem)
    where segment.id = refusal.id and segment.criteria_version = refusal.version and segment.state <> 'invalid'
    returning segment.id, segment.organization_id
),

silent as (
    delete from crm.segment_recheck where segment_id in (select id from refused)
),

ended as (
    delete from ops.parts
    where kind = 'segment.build' and subject_id in (select id from refused) and done_at is null
)

select id, organization_id from refused order by id

-- name: fail_segments
-- The evaluation of these segments failed at :t. One hour counts once; the third in a row makes a segment invalid.
with failed as (
    update crm.segments set
        failed_runs = failed_runs + 1,
        failed_at = :t,
        state = case when failed_runs + 1 >= cast(:runs_max as integer) then 'invalid' else state end,
        problem = case when failed_runs + 1 >= cast(:runs_max as integer) then :problem else problem end
    where id = any(cast(:segment_ids as uuid[])) and state = 'ready' and failed_at is distinct from :t
    returning id, state
)

select id from failed where state = 'invalid' order by id

-- name: time_of_run
-- The time of an evaluation: its window's end, or that of a later window whose run has begun.
select greatest(cast(:t as timestamptz), max(window_end)) as t
from ops.job_runs
where job_type = 'journey.segment-trigger-eval' and shard = '' and status in ('running', 'sharded', 'succeeded')
    and window_end > cast(:t as timestamptz)

-- name: enter_due
-- Enter the contacts for whom time alone changes something at :t, at most :rows_max. An entry that is there stands.
with due as materialized (
    select organization_id, contact_id, min(recheck_at) as at
    from crm.segment_recheck as kept
    where recheck_at <= cast(:t as timestamptz)
        and not exists (
            select from crm.segment_backlog as entry
            where entry.organization_id = kept.organization_id and entry.contact_id = kept.contact_id
        )
    group by organization_id, contact_id
    order by organization_id, contact_id
    limit :rows_max
)

insert into crm.segment_backlog (organization_id, contact_id, reason, requested_at)
select organization_id, contact_id, 'time', at
from due
order by organization_id, contact_id
on conflict (organization_id, contact_id) do nothing

-- name: count_backlog
-- The number of entries of each organization.
select organization_id, count(*) as count
from crm.segment_backlog
where
-- include: within_part
group by organization_id
order by organization_id

-- name: cut_backlog
-- The split points of one organization's entries, with :rows_max per part: the first contact of each part.
select contact_id
from (
    select contact_id, row_number() over (order by contact_id) as place
    from crm.segment_backlog
    where organization_id = :organization_id
) as entry
where mod(place - 1, cast(:rows_max as bigint)) = 0
order by contact_id

-- name: claim_backlog
-- Lock the next entries of an organization and mark them with one number. Locked entries are left to their run.
with claim as materialized (
    select nextval('crm.backlog_version') as version
),

next as materialized (
    select ctid as place
    from crm.segment_backlog
    where organization_id = :organization_id and contact_id >= cast(:first_contact as uuid)
        and (cast(:until_contact as uuid) is null or contact_id < cast(:until_contact as uuid))
    order by contact_id
    limit :rows_max
    for update skip locked
),

claimed as (
    update crm.segment_backlog as entry set version = claim.version
    from claim
    where entry.ctid = any(array(select place from next))
    returning entry.contact_id, entry.version
)

select version, count(*) as count, (array_agg(contact_id order by contact_id))[1] as first_contact,
    (array_agg(contact_id order by contact_id desc))[1] as last_contact
from claimed
group by version

-- name: settle_backlog
-- Delete the claimed entries, unless a dynamic segment was not evaluated at the version that it has now.
delete from crm.segment_backlog
where organization_id = :organization_id and version = :claim
    and contact_id between cast(:first_contact as uuid) and cast(:last_contact as uuid)
    and not exists (
        select from crm.segments as segment
        where segment.organization_id = :organization_id and segment.type = 'dynamic' and segment.state <> 'invalid'
            and not exists (
                select
                from unnest(cast(:segment_ids as uuid[]), cast(:versions as bigint[])) as evaluated (id, version)
                where evaluated.id = segment.id and evaluated.version = segment.criteria_version
            )
    )

-- name: note_evaluation
-- The members of these segments satisfy the criteria at :t. A row that another transaction has locked keeps its time.
update crm.segments set
    evaluated_at = greatest(evaluated_at, :t),
    failed_runs = case when failed_at < cast(:t as timestamptz) then 0 else failed_runs end
where ctid = any(array(
    select segment.ctid
    from crm.segments as segment
    join unnest(cast(:segment_ids as uuid[]), cast(:versions as bigint[])) as evaluated (id, version)
        on evaluated.id = segment.id and evaluated.version = segment.criteria_version
    for no key update of segment skip locked
))

-- name: take_over_members
-- Members whose changes the statements of this transaction number themselves.
select set_config('mauntic.numbers_members', 'on', true)
