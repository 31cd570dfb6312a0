    -- The provider's id, if exactly one message has it. An event of Cloudflare names no config.
    left join lateral (
        select case when count(*) = 1 then (array_agg(candidate.id))[1] end as id
        from (
            select message.id from delivery.messages as message
            where message.provider_message_id = given.provider_message_id
                and (given.organization_id is null or message.organization_id = given.organization_id)
                and case
                    when given.config_id is not null then message.provider_config_id = given.config_id
                    else exists (
                        select from delivery.provider_configs as config
                        where config.id = message.provider_config_id and config.provider_type = 'cloudflare'
                    )
                end
            limit 2
        ) as candidate
    ) as named on own.id is null and given.provider_message_id is not null
