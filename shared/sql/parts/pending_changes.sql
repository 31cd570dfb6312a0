-- Changes of single contacts that a consumer has to fold, at most about :rows_max, from the range of contacts between
-- the bounds. Each organization contributes an equal share of its oldest rows, so one organization's import does not
-- delay the others. The rows are locked; rows that another fold has locked are left to it.
pending as materialized (
    select change.*
    from (
        select id, greatest(1, cast(:rows_max as integer) / count(*) over ()) as share
        from (
            with recursive known (id) as ( -- one step through the index per organization
                (
                    select organization_id from crm.contact_changes
                    where consumer = :consumer and organization_id >= cast(:first_organization as uuid)
                    order by organization_id
                    limit 1
                )
                union all
                select (
                    select organization_id from crm.contact_changes
                    where consumer = :consumer and organization_id > known.id
                    order by organization_id
                    limit 1
                )
                from known
                where known.id is not null and (cast(:until_organization as uuid) is null or known.id < :until_organization)
            )
            select id from known where id is not null
        ) as waiting
    ) as organization
    cross join lateral (
        select change.ctid as place, change.id, change.organization_id, change.contact_id, change.source, change.name,
            change.activity_id, change.at
        from crm.contact_changes as change
        where change.consumer = :consumer and change.organization_id = organization.id
            and change.contact_id is not null
            and (change.organization_id, change.contact_id)
                >= (cast(:first_organization as uuid), cast(:first_contact as uuid))
            and (
                cast(:until_organization as uuid) is null
                or (change.organization_id, change.contact_id)
                    < (cast(:until_organization as uuid), cast(:until_contact as uuid))
            )
        order by change.id
        limit organization.share
        for update skip locked
    ) as change
)
