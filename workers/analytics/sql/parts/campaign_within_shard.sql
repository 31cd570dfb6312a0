    -- Where a run is not split the organisations are null, and the planner drops the conditions. What
    -- is no campaign comes before all campaigns.
    (
        cast(:first_organization as uuid) is null
        or (organization_id, coalesce(campaign_id, '00000000-0000-0000-0000-000000000000'))
        >= (
            cast(:first_organization as uuid),
            cast(coalesce(nullif(:first_part, ''), '00000000-0000-0000-0000-000000000000') as uuid)
        )
    )
    and (
        cast(:until_organization as uuid) is null
        or (organization_id, coalesce(campaign_id, '00000000-0000-0000-0000-000000000000'))
        < (
            cast(:until_organization as uuid),
            cast(coalesce(nullif(:until_part, ''), '00000000-0000-0000-0000-000000000000') as uuid)
        )
    )
