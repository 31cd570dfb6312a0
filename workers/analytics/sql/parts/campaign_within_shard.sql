    -- As within_shard, with campaigns as parts. What is no campaign comes before all campaigns.
    case
        when cast(:first_organization as uuid) is null then true
        when cast(:first_organization as uuid) is not distinct from cast(:until_organization as uuid)
            then organization_id = cast(:first_organization as uuid)
        else organization_id >= cast(:first_organization as uuid)
    end
    and case
        when cast(:until_organization as uuid) is null
            or cast(:first_organization as uuid) is not distinct from cast(:until_organization as uuid) then true
        when cast(:until_part as text) = '' then organization_id < cast(:until_organization as uuid)
        else organization_id <= cast(:until_organization as uuid)
    end
    and case
        when cast(:first_part as text) = '' then true
        when organization_id > cast(:first_organization as uuid) then true
        else campaign_id >= cast(:first_part as uuid)
    end
    and case
        when cast(:until_part as text) = '' then true
        when organization_id < cast(:until_organization as uuid) then true
        else campaign_id is null or campaign_id < cast(:until_part as uuid)
    end
