    select given.*, jsonb_strip_nulls(jsonb_build_object(
        'url', given.url,
        'bounceKind', case when given.kind = 'bounced' then case when given.is_hard then 'hard' else 'soft' end end,
        'machine', case when given.is_machine then true end
    )) as metadata, listed.body
    from jsonb_array_elements(cast(:events as jsonb)) as listed (body)
    cross join lateral jsonb_to_record(listed.body) as given (
        n integer, organization_id uuid, config_id uuid, channel text, contact_id uuid, message_id uuid,
        provider_message_id text, event_id text, kind text, occurred_at timestamptz, received_at timestamptz,
        is_hard boolean, suppression text, is_machine boolean, url text, address text
    )
