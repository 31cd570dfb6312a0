    -- The organizations of a shard: from the first up to, not including, the last, or a single one if both are equal.
    -- Within one organization, the types from the first part up to, not including, the last; '' is open. Every
    -- condition is plain: for a comparison of rows the planner expects a single row, whatever the data. Bounds are
    -- constants at planning, so a condition that does not apply costs nothing.
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
        when cast(:first_organization as uuid) is not distinct from cast(:until_organization as uuid)
            then event_type >= cast(:first_part as text)
        else organization_id > cast(:first_organization as uuid) or event_type >= cast(:first_part as text)
    end
    and case
        when cast(:until_part as text) = '' then true
        when cast(:first_organization as uuid) is not distinct from cast(:until_organization as uuid)
            then event_type < cast(:until_part as text)
        else organization_id < cast(:until_organization as uuid) or event_type < cast(:until_part as text)
    end
