    -- Within the retained period of its organization, or the day that an operator requests.
    date is not distinct from cast(:unretained_day as date) or date >= greatest(
        (
            select coalesce(max(retained_since), date '-infinity')
            from ops.retention
            where source = 'contact_activity' and organization_id is null
        ),
        period.retained_since
    )
