-- Why `message` must not be sent now: `first.reason`. Null: it may be sent.
    left join campaign.campaigns as campaign
        on campaign.id = message.campaign_id and campaign.organization_id = message.organization_id
    left join delivery.delivery_jobs as job
        on job.id = message.job_id and job.organization_id = message.organization_id
    left join journey.journey_executions as execution
        on execution.id = message.journey_execution_id and execution.organization_id = message.organization_id
    left join journey.journeys as journey
        on journey.id = coalesce(message.journey_id, execution.journey_id)
        and journey.organization_id = message.organization_id
    left join crm.contacts as contact
        on contact.id = message.contact_id and contact.organization_id = message.organization_id
    left join delivery.organization_settings as settings on settings.organization_id = message.organization_id
    left join delivery.device_tokens as device
        on device.id = message.device_id and device.organization_id = message.organization_id
        and device.status = 'active'
    cross join lateral (select message.address, message.other_address) as target
    cross join lateral (
        select
            case
                when not cast(:may_call as boolean) then 'mode'
                when message.expires_at <= :now and message.not_before is distinct from 'infinity' then 'expired'
-- include: source_reason
                when message.contact_id is not null and contact.id is null then 'unknown_contact'
                when target.address is null or (message.channel = 'push' and device.id is null) then 'no_address'
                when
-- include: is_suppressed
                    then 'suppressed'
-- include: status_reason
            end as reason
    ) as first
