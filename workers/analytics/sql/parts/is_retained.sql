    -- Within the retained period of its organization, or asked for by an operator.
    cast(:before_retention as boolean) or date >= greatest(
        (
            select coalesce(max(retained_since), date '-infinity')
            from ops.retention
            where source = 'contact_activity' and organization_id is null
        ),
        period.retained_since
    )
