        coalesce(
            contact.custom_fields -> '_consent_preferences' ->> message.channel,
            case message.channel when 'sms' then 'false' else 'true' end
        ) = 'true'
        and (
            not coalesce(settings.require_opt_in, false)
            or coalesce(contact.custom_fields ->> '_consent_marketing_opt_in', '') = 'true'
        ) as has_consent
