    -- The organizations of a shard, or a range of the contacts of one organization.
-- include: within_organizations
    and case
        when cast(:first_contact as uuid) is null then true
        else contact_id >= cast(:first_contact as uuid)
    end
    and case
        when cast(:until_contact as uuid) is null then true
        else contact_id < cast(:until_contact as uuid)
    end
