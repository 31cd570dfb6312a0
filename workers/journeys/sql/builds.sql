-- name: unprepared
-- The organizations with a segment whose criteria are new.
select distinct organization_id
from crm.segments
where state = 'building' and type = 'dynamic' and prepared_version is distinct from criteria_version
order by organization_id

-- name: prepare
-- Record what the criteria of a version read. The triggers see it once this is committed.
with prepared as (
    update crm.segments set prepared_version = :version
    where id = :segment_id and criteria_version = :version and state = 'building'
    returning id, organization_id
),

needed as materialized (
    select prepared.organization_id, prepared.id as segment_id, source, name
    from prepared, unnest(cast(:sources as text[]), cast(:names as text[])) as own (source, name)
),

dropped as (
    delete from crm.segment_dependencies as old
    using prepared
    where old.segment_id = prepared.id and not exists (
        select from needed where needed.source = old.source and needed.name = old.name
    )
)

insert into crm.segment_dependencies (organization_id, source, name, segment_id)
select organization_id, source, name, segment_id from needed
on conflict (organization_id, source, name, segment_id) do update set since_xid = null

-- name: mark_prepared
-- A transaction of its own: every writer that has not seen these dependencies has a lower number.
update crm.segment_dependencies set since_xid = pg_current_xact_id() where since_xid is null

-- name: due_builds
-- Segments that can be built: every writer that has not seen their dependencies has ended.
select segment.id, segment.organization_id, segment.criteria_version as version
from crm.segments as segment
where segment.state = 'building' and segment.type = 'dynamic' and segment.prepared_version = segment.criteria_version
    and not exists (
        select from crm.segment_dependencies as needed
        where needed.segment_id = segment.id
            and (needed.since_xid is null or needed.since_xid > pg_snapshot_xmin(pg_current_snapshot()))
    )
    and not exists (
        select from ops.parts as part
        where part.kind = :kind and part.subject_id = segment.id and part.version = segment.criteria_version
    )
order by segment.id
limit :rows_max

-- name: building
-- A segment that is built at a version.
select id
from crm.segments
where id = :segment_id and organization_id = :organization_id and criteria_version = :version and state = 'building'
    and prepared_version = criteria_version

-- name: part_edges
-- The first contact of every part of an organization, each of :size contacts.
select id as contact_id
from (
    select id, row_number() over (order by id) as place
    from crm.contacts
    where organization_id = :organization_id
) as contact
where mod(place - 1, cast(:size as bigint)) = 0
order by id

-- name: lock_segment
-- Of two parts that end at once, the second sees the first.
select criteria_version as version
from crm.segments
where id = :segment_id and state = 'building'
for no key update

-- name: finish_build
update crm.segments set
    state = 'ready', ready_version = criteria_version, evaluated_at = :t, failed_runs = 0, failed_at = null,
    contact_count = (select count(*) from crm.segment_contacts as member where member.segment_id = :segment_id)
where id = :segment_id and criteria_version = :version and state = 'building'

-- name: rebuild
-- The criteria get a new version, and the segment is built again.
update crm.segments set
    criteria_version = criteria_version + 1, state = 'building', problem = null, failed_runs = 0, failed_at = null
where id = :segment_id and type = 'dynamic'
returning id

-- name: recount
-- Count the members of a static segment, unless changes of them are not numbered yet.
update crm.segments as segment set
    contact_count = (select count(*) from crm.segment_contacts as member where member.segment_id = segment.id)
where segment.id = :segment_id and segment.type = 'static' and not exists (
    select from crm.contact_changes as change
    where change.consumer = 'segments' and change.organization_id = segment.organization_id
        and change.activity_id = segment.id
)

-- name: give_up
-- The build has failed finally.
with ended as (
    delete from ops.parts
    where kind = :kind and subject_id = :segment_id and version = :version and done_at is null
)

update crm.segments set state = 'invalid', problem = :problem
where id = :segment_id and criteria_version = :version and state = 'building'
