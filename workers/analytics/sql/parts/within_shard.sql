    -- Where a run is not split both are null, and the planner drops the conditions.
    (cast(:first_organization as uuid) is null or organization_id >= :first_organization)
    and (cast(:last_organization as uuid) is null or organization_id <= :last_organization)
