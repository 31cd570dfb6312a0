            facts.is_marketing and message.parent_id is null and message.contact_id is not null and exists (
                select from jsonb_array_elements(coalesce(settings.caps, '[]')) as cap
                where cap ->> 'channel' = message.channel
                    and jsonb_typeof(cap -> 'most') = 'number' and jsonb_typeof(cap -> 'days') = 'number'
                    and (
                        select count(*)
                        from delivery.messages as other
                        where other.organization_id = message.organization_id
                            and other.contact_id = message.contact_id and other.channel = message.channel
                            and other.class = 'marketing' and other.id <> message.id and other.parent_id is null
                            and other.state <> 'skipped'
                            and other.claimed_at > cast(:now as timestamptz) - interval '24 hours'
                            * cast(least(greatest(cast(cap ->> 'days' as numeric), 0), 3650) as double precision)
                    ) >= cast(cap ->> 'most' as numeric)
            )
