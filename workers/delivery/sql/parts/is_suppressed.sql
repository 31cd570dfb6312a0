            exists (
                select from delivery.suppressions as suppression
                where suppression.organization_id = message.organization_id
                    and suppression.channel = message.channel
                    and suppression.address in (target.address, target.other_address)
                    and (suppression.scope = 'all' or message.class = 'marketing')
                    and (suppression.expires_at is null or suppression.expires_at > :now)
            )
