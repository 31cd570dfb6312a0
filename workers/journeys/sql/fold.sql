-- name: fold_contacts
-- Fold changes of single contacts: delete the feed's rows and enter their contacts into the backlog. If another
-- transaction has locked a contact's entry, its rows stay in the feed. The platform's changes of members get numbers.
with
-- include: pending_changes
,

subject as materialized (
    select organization_id, contact_id, min(source) as reason, min(at) as at
    from pending
    group by organization_id, contact_id
),

-- include: enter_backlog
,

folded as materialized (
    select pending.*
    from pending
    where not exists (
        select from passed_over
        where passed_over.organization_id = pending.organization_id and passed_over.contact_id = pending.contact_id
    )
),

removed as (
    delete from crm.contact_changes where ctid = any(array(select place from folded))
),

-- All members that the platform added and removed, in the order of the segments, so that two folds wait in one order.
locked as materialized (
    select id
    from crm.segments
    where id in (select activity_id from folded where source = 'segment' and name in ('entered', 'left'))
    order by id
    for no key update
),

moved as materialized (
    select folded.activity_id as segment_id, folded.organization_id, folded.contact_id, folded.name as kind, folded.at,
        row_number() over (partition by folded.activity_id order by folded.id) as number
    from folded
    join locked on locked.id = folded.activity_id
    where folded.source = 'segment' and folded.name in ('entered', 'left')
),

numbered as (
    update crm.segments as segment
    set change_no = segment.change_no + total.changes,
        contact_count = greatest(0, segment.contact_count + total.entered - total.gone)
    from (
        select segment_id, count(*) as changes, count(*) filter (where kind = 'entered') as entered,
            count(*) filter (where kind = 'left') as gone
        from moved
        group by segment_id
    ) as total
    where segment.id = total.segment_id
    returning segment.id, segment.change_no - total.changes as base, segment.criteria_version as version
),

noted as (
    insert into crm.segment_changes (segment_id, change_no, organization_id, contact_id, kind, criteria_version, at)
    select moved.segment_id, numbered.base + moved.number, moved.organization_id, moved.contact_id, moved.kind,
        numbered.version, moved.at
    from moved
    join numbered on numbered.id = moved.segment_id
    returning 1
),

marked as (
    update crm.segment_contacts as member set entered_no = newest.change_no
    from (
        select moved.segment_id, moved.contact_id, max(numbered.base + moved.number) as change_no
        from moved
        join numbered on numbered.id = moved.segment_id
        where moved.kind = 'entered'
        group by moved.segment_id, moved.contact_id
    ) as newest
    where member.segment_id = newest.segment_id and member.contact_id = newest.contact_id
)

select (select count(*) from folded) as rows_read,
    (select count(*) from renewed) + (select count(*) from added) + (select count(*) from noted) as rows_written

-- name: fold_company
-- Expand a change of a company: enter its next :rows contacts into the backlog. Contacts whose entry another transaction
-- has locked get a row of their own in the feed. `reached` is null after the last contact.
with contact as materialized (
    select contact.organization_id, contact.id as contact_id
    from crm.contact_companies as own
    join crm.contacts as contact on contact.id = own.contact_id
    where own.company_id = cast(:name as uuid) and own.contact_id > :reached
        and contact.organization_id = :organization_id
    order by own.contact_id
    limit :rows
),

subject as materialized (
    select organization_id, contact_id, 'company' as reason, cast(:at as timestamptz) as at from contact
),

-- include: enter_backlog
,

later as (
    insert into crm.contact_changes (consumer, organization_id, contact_id, source)
    select 'segments', organization_id, contact_id, 'company' from passed_over
)

select count(*) as rows_read,
    case when count(*) = cast(:rows as bigint) then (array_agg(contact_id order by contact_id desc))[1] end as reached
from contact

-- name: renew_criteria
-- The type of a field, or the time zone, has changed: criteria that read it have another meaning, so a new version.
update crm.segments set
    criteria_version = criteria_version + 1, state = 'building', problem = null, failed_runs = 0, failed_at = null
where organization_id = :organization_id and type = 'dynamic' and id in (
    select segment_id
    from crm.segment_dependencies
    where organization_id = :organization_id and source = :source and name = :name
)
