-- name: evaluate
-- Evaluate the chosen contacts: members enter and leave, numbered without gaps; the moments at which time alone
-- changes something are kept. Nothing is written, and no row is returned, unless the segment has this state and version.
with chosen as materialized (
    {chosen}
),

-- One row for each contact, with what is stored about it: no join of two lists, so that a planner which expects few
-- contacts chooses no plan that takes hours for many.
evaluated as materialized (
    select chosen.contact_id, contact.id is not null and {matches} as matches,
        case when contact.id is not null then {recheck_at} end as recheck_at,
        exists (
            select from crm.segment_contacts as member
            where member.segment_id = :segment_id and member.contact_id = chosen.contact_id
        ) as is_member,
        (
            select kept.recheck_at from crm.segment_recheck as kept
            where kept.segment_id = :segment_id and kept.contact_id = chosen.contact_id
        ) as kept_at
    from chosen
    left join crm.contacts as contact
        on contact.id = chosen.contact_id and contact.organization_id = :organization_id
),

change as materialized (
    select contact_id, case when matches then 'entered' else 'left' end as kind,
        row_number() over (order by contact_id) as number
    from evaluated
    where matches <> is_member
),

total as materialized (
    select count(*) as changes, count(*) filter (where kind = 'entered') as entered,
        count(*) filter (where kind = 'left') as gone
    from change
),

numbered as (
    update crm.segments as segment
    set change_no = segment.change_no + total.changes, contact_count = segment.contact_count + total.entered - total.gone
    from total
    where segment.id = :segment_id and segment.criteria_version = :version and segment.state = :state
        and total.changes > 0
    returning segment.change_no - total.changes as base
),

valid as materialized (
    select (select base from numbered) as base
    from total
    join crm.segments as segment
        on segment.id = :segment_id and segment.criteria_version = :version and segment.state = :state
    where total.changes = 0 or exists (select from numbered)
),

entered as (
    insert into crm.segment_contacts (segment_id, contact_id, organization_id, entered_no, added_at)
    select :segment_id, change.contact_id, :organization_id, valid.base + change.number, :t
    from change, valid
    where change.kind = 'entered'
    on conflict (segment_id, contact_id) do nothing
),

gone as (
    delete from crm.segment_contacts
    where segment_id = :segment_id and contact_id = any(array(
        select change.contact_id from change, valid where change.kind = 'left'
    ))
),

noted as (
    insert into crm.segment_changes (segment_id, change_no, organization_id, contact_id, kind, criteria_version, at)
    select :segment_id, valid.base + change.number, :organization_id, change.contact_id, change.kind, :version, :t
    from change, valid
),

-- A run of the hour evaluates the segments that read this one for the same contacts; a build does not.
passed_on as (
    insert into crm.contact_changes (consumer, organization_id, contact_id, source)
    select 'segments', :organization_id, change.contact_id, 'segment'
    from change, valid
    where cast(:state as text) = 'building' and exists (
        select from crm.segment_dependencies as needed
        where needed.organization_id = :organization_id and needed.source = 'segment'
            and needed.name = cast(cast(:segment_id as uuid) as text)
    )
),

rechecked as (
    insert into crm.segment_recheck (segment_id, contact_id, organization_id, recheck_at)
    select :segment_id, evaluated.contact_id, :organization_id, evaluated.recheck_at
    from evaluated, valid
    where evaluated.recheck_at is not null and evaluated.recheck_at is distinct from evaluated.kept_at
    on conflict (segment_id, contact_id) do update set recheck_at = excluded.recheck_at
),

settled as (
    delete from crm.segment_recheck
    where segment_id = :segment_id and contact_id = any(array(
        select evaluated.contact_id
        from evaluated, valid
        where evaluated.kept_at is not null and evaluated.recheck_at is null
    ))
)

select (select count(*) from chosen) as contacts, total.entered, total.gone
from valid, total

-- name: chosen_backlog
    select contact_id
    from crm.segment_backlog
    where organization_id = :organization_id and version = :claim
        and contact_id between cast(:first_contact as uuid) and cast(:last_contact as uuid)

-- name: chosen_range
    select id as contact_id
    from crm.contacts
    where organization_id = :organization_id and id >= cast(:first_contact as uuid)
        and (cast(:until_contact as uuid) is null or id < cast(:until_contact as uuid))
    union
    select contact_id
    from crm.segment_contacts
    where segment_id = :segment_id and contact_id >= cast(:first_contact as uuid)
        and (cast(:until_contact as uuid) is null or contact_id < cast(:until_contact as uuid))

-- name: verdicts
-- What the criteria say about contacts, without writing anything.
select contact.id as contact_id, {matches} as matches, {recheck_at} as recheck_at
from crm.contacts as contact
where contact.organization_id = :organization_id
order by contact.id

-- name: verdicts_of
-- What the criteria say about some contacts.
select contact.id as contact_id, {matches} as matches
from crm.contacts as contact
where contact.organization_id = :organization_id and contact.id = any (cast(:contact_ids as uuid[]))

-- name: explain
-- What one condition says about a contact, and the value that it reads.
select {matches} as matches, {recheck_at} as recheck_at, to_jsonb({value}) as value
from crm.contacts as contact
where contact.organization_id = :organization_id and contact.id = :contact_id

-- name: differences
-- The contacts whose membership differs from the criteria at the segment's time, except those that wait for evaluation.
with evaluated as materialized (
    select contact.id as contact_id, {matches} as matches
    from crm.contacts as contact
    where contact.organization_id = :organization_id
)

select coalesce(evaluated.contact_id, member.contact_id) as contact_id, evaluated.contact_id is not null as should_be
from (select contact_id from evaluated where matches) as evaluated
full join (select contact_id from crm.segment_contacts where segment_id = :segment_id) as member using (contact_id)
where (evaluated.contact_id is null or member.contact_id is null)
    and not exists (
        select from crm.segment_recheck as due
        where due.segment_id = :segment_id and due.recheck_at <= cast(:t as timestamptz)
            and due.contact_id = coalesce(evaluated.contact_id, member.contact_id)
    )
    and not exists (
        select from crm.segment_backlog as waiting
        where waiting.organization_id = :organization_id
            and waiting.contact_id = coalesce(evaluated.contact_id, member.contact_id)
    )
    and not exists (
        select from crm.contact_changes as waiting
        where waiting.consumer = 'segments' and waiting.organization_id = :organization_id
            and coalesce(waiting.contact_id, evaluated.contact_id, member.contact_id)
                = coalesce(evaluated.contact_id, member.contact_id)
    )
order by contact_id
limit :rows_max
