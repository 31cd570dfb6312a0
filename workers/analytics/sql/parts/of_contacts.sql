    -- In a range of contacts; a bound of null is open.
    (cast(:first_contact as uuid) is null or contact_id >= cast(:first_contact as uuid))
    and (cast(:until_contact as uuid) is null or contact_id < cast(:until_contact as uuid))
