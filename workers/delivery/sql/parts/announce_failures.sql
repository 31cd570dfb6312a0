    -- A message that ends as failed is no event of a provider: the platform learns it here.
    insert into delivery.platform_outbox (organization_id, message_id, contact_id, kind, occurred_at, details)
    select organization_id, id, contact_id, 'failed', :now, jsonb_build_object('reason', reason)
    from changed
    where state = 'failed'
