-- The provider: active, not paused, allowed for the class; of an unknown call only the config of that call. A mode
-- that captures does without a config if the organization has none of the channel.
left join lateral (
    (
        select config.id, config.provider_type, true as is_usable, config.per_second is not null as is_limited
        from delivery.provider_configs as config
        where config.organization_id = message.organization_id and config.channel = message.channel and config.is_active
            and (config.paused_until is null or config.paused_until <= :now)
            and config.provider_type = any(
                case message.class
                    when 'marketing' then cast(:marketing_types as text[])
                    else cast(:transactional_types as text[])
                end
        
    )
        and (message.channel <> 'push' or device.id is null or config.provider_type = device.kind)
        and (not message.possible_duplicate or config.id = message.provider_config_id)
    order by config.priority desc, config.id
    limit 1
    )
    union all
    select null, null, true, false
    where cast(:captures as boolean)
        and (not message.possible_duplicate or message.provider_config_id is null)
        and not exists (
            select from delivery.provider_configs as config
            where config.organization_id = message.organization_id and config.channel = message.channel
                and config.is_active
        )
    limit 1
) as provider on true
