    -- The retained period of an organization, if it has its own.
    left join (
        select organization_id as of_organization, retained_since
        from ops.retention
        where source = 'contact_activity'
    ) as period on period.of_organization = work.organization_id
