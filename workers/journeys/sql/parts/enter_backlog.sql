-- Enter the contacts of `subject` (organization_id, contact_id, reason, at) into the backlog. An existing entry gets a
-- new version; one that another transaction has locked is skipped. This waits only for a transaction that is inserting
-- the same entry, up to the lock timeout. If that one commits, its entry covers this change too: a run that reads the
-- entry sees the change.
standing as materialized (
    select subject.*, entry.organization_id is not null as has_entry
    from subject
    left join crm.segment_backlog as entry using (organization_id, contact_id)
),

held as materialized (
    select standing.organization_id, standing.contact_id, entry.place
    from standing
    cross join lateral (
        select entry.ctid as place from crm.segment_backlog as entry
        where standing.has_entry and entry.organization_id = standing.organization_id
            and entry.contact_id = standing.contact_id
        for update skip locked
    ) as entry
),

renewed as (
    update crm.segment_backlog set version = nextval('crm.backlog_version')
    where ctid = any(array(select place from held))
    returning organization_id, contact_id, version
),

added as (
    insert into crm.segment_backlog (organization_id, contact_id, reason, requested_at)
    select organization_id, contact_id, reason, at
    from standing
    where not has_entry
    order by organization_id, contact_id
    on conflict (organization_id, contact_id) do nothing
    returning organization_id, contact_id, version
),

passed_over as materialized (
    select organization_id, contact_id from standing where has_entry
    except
    select organization_id, contact_id from held
)
