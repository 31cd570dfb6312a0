    -- Where a run is not split the organisations are null, and the planner drops the conditions.
    (
        cast(:first_organization as uuid) is null
        or (organization_id, event_type) >= (cast(:first_organization as uuid), cast(:first_part as text))
    )
    and (
        cast(:until_organization as uuid) is null
        or (organization_id, event_type) < (cast(:until_organization as uuid), cast(:until_part as text))
    )
