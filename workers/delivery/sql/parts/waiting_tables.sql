-- The tables that waiting_columns reads, next to `message`.
left join crm.contacts as contact
    on contact.id = message.contact_id and contact.organization_id = message.organization_id
left join campaign.campaigns as campaign
    on campaign.id = message.campaign_id and campaign.organization_id = message.organization_id
left join delivery.delivery_jobs as job on job.id = message.job_id and job.organization_id = message.organization_id
left join delivery.organization_settings as settings on settings.organization_id = message.organization_id
