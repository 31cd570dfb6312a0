-- name: email
lower(nullif(contact.email, ''))

-- name: first_name
nullif(contact.first_name, '')

-- name: last_name
nullif(contact.last_name, '')

-- name: phone
nullif(contact.phone, '')

-- name: status
nullif(contact.status, '')

-- name: stage
nullif(contact.stage, '')

-- name: created_at
contact.created_at

-- name: updated_at
contact.updated_at

-- name: last_activity_at
-- Nothing else writes the column of the contact, so the contact's own events count.
greatest(contact.last_activity_at, (
    select max(event.occurred_at) from analytics.contact_activity as event
    where event.organization_id = contact.organization_id and event.contact_id = contact.id
        and event.occurred_at <= cast(:t as timestamptz) and crm.is_own_event(event.event_type)
))

-- name: lead_score
cast((
    select score.total_score from scoring.lead_scores as score
    where score.organization_id = contact.organization_id and score.contact_id = contact.id
) as numeric)

-- name: lead_grade
(
    select nullif(score.grade, '') from scoring.lead_scores as score
    where score.organization_id = contact.organization_id and score.contact_id = contact.id
)

-- name: tag
array(select own.tag_id from crm.contact_tags as own where own.contact_id = contact.id)

-- name: segment
array(select own.segment_id from crm.segment_contacts as own where own.contact_id = contact.id)

-- name: company_id
array(select own.company_id from crm.contact_companies as own where own.contact_id = contact.id)

-- name: company_name
array(
    select company.name
    from crm.contact_companies as own
    join crm.companies as company on company.id = own.company_id
    where own.contact_id = contact.id and company.organization_id = contact.organization_id and company.name <> ''
)

-- name: company_domain
array(
    select company.domain
    from crm.contact_companies as own
    join crm.companies as company on company.id = own.company_id
    where own.contact_id = contact.id and company.organization_id = contact.organization_id and company.domain <> ''
)

-- name: company_industry
array(
    select company.industry
    from crm.contact_companies as own
    join crm.companies as company on company.id = own.company_id
    where own.contact_id = contact.id and company.organization_id = contact.organization_id and company.industry <> ''
)

-- name: company_size
array(
    select company.size
    from crm.contact_companies as own
    join crm.companies as company on company.id = own.company_id
    where own.contact_id = contact.id and company.organization_id = contact.organization_id and company.size <> ''
)

-- name: custom_text
crm.text_of(contact.custom_fields -> cast(:key as text))

-- name: custom_number
crm.number_of(contact.custom_fields -> cast(:key as text))

-- name: custom_boolean
crm.boolean_of(contact.custom_fields -> cast(:key as text))

-- name: custom_time
crm.moment_of(contact.custom_fields -> cast(:key as text), cast(:zone as text))

-- name: custom_texts
crm.texts_of(contact.custom_fields -> cast(:key as text))

-- name: custom_any
nullif(nullif(contact.custom_fields -> cast(:key as text), 'null'), '""')

-- name: count_of_events
(
    select count(*) from analytics.contact_activity as event
    where event.organization_id = contact.organization_id and event.contact_id = contact.id
        and event.event_type = cast(:key as text)
        and (cast(:source as text) is null or event.event_source = cast(:source as text))
        and event.occurred_at <= cast(:t as timestamptz)
        and (
            cast(:span_s as double precision) = 0
            or event.occurred_at > cast(:t as timestamptz) - make_interval(secs => :span_s)
        )
)
