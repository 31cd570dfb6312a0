    -- The organizations of a shard: from the first up to, not including, the last, or a single one if both are equal.
    -- Plain conditions on constants, as in within_shard.
    case
        when cast(:first_organization as uuid) is null then true
        when cast(:first_organization as uuid) is not distinct from cast(:until_organization as uuid)
            then organization_id = cast(:first_organization as uuid)
        else organization_id >= cast(:first_organization as uuid)
    end
    and case
        when cast(:until_organization as uuid) is null
            or cast(:first_organization as uuid) is not distinct from cast(:until_organization as uuid) then true
        else organization_id < cast(:until_organization as uuid)
    end
