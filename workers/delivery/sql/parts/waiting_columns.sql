-- What a message that waits is made of: its address, its sender, its content.
    message.id, message.organization_id, message.channel, message.class as message_class, message.contact_id,
    message.campaign_id, message.content, message.variables,
    case when job.content is null then message.template_id end as template_id,
    case when job.content is not null then job.id end as run_id,
    message.address as kept_address,
    case
        when message.possible_duplicate or not (message.is_copied or message.job_id is not null) then message.address
    end as own_address,
    message.warmup_day, message.created_at, message.expires_at,
    case message.channel when 'email' then contact.email when 'sms' then contact.phone end as contact_address,
    coalesce(
        message.content ->> 'from', coalesce(job.metadata, campaign.settings) ->> 'from', settings.from_address
    ) as sender,
    coalesce(message.content ->> 'reply_to', coalesce(job.metadata, campaign.settings) ->> 'reply_to') as reply_to,
    settings.postal_address,
    jsonb_strip_nulls(
        jsonb_build_object(
            'id', contact.id, 'email', contact.email, 'first_name', contact.first_name, 'last_name', contact.last_name,
            'phone', contact.phone, 'stage', contact.stage
        )
    ) as contact_fields,
    contact.custom_fields,
    jsonb_strip_nulls(
        coalesce(
            job.metadata -> 'campaign',
            jsonb_build_object('id', campaign.id, 'name', campaign.name, 'subject', campaign.subject)
        )
    ) as campaign_fields
