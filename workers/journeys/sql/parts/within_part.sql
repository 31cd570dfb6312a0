(
    (organization_id, contact_id) >= (cast(:first_organization as uuid), cast(:first_contact as uuid))
    and (
        cast(:until_organization as uuid) is null
        or (organization_id, contact_id) < (cast(:until_organization as uuid), cast(:until_contact as uuid))
    )
)
