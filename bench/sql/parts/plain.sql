-- The scores of all contacts from the tables, in plain SQL.
with points as (
    select organization.organization_id, factor.category, factor.factor,
        case when coalesce(own.enabled, true) and coalesce(whole.enabled, true)
            then coalesce(own.weight, whole.weight, factor.points) else 0 end as points
    from (select distinct organization_id from crm.contacts) as organization
    cross join scoring.factors as factor
    left join scoring.scoring_configs as own
        on own.organization_id = organization.organization_id
        and own.category = factor.category and own.factor = factor.factor
    left join scoring.scoring_configs as whole
        on whole.organization_id = organization.organization_id
        and whole.category = factor.category and whole.factor = factor.part_of
),
worth as (
    select organization_id, jsonb_object_agg(factor, points) filter (where points is not null) as points
    from points
    where category <> 'intent'
    group by organization_id
),
live as (
    select signal.organization_id, signal.contact_id, signal.signal_type,
        coalesce(signal.weight, config.weight, points.points, 0)::double precision as weight,
        signal.decay_model, date_part('epoch', cast(:t as timestamptz) - signal.detected_at) / 3600 as age,
        coalesce(signal.decay_hours, config.decay_hours, 168)::double precision as hours
    from scoring.intent_signals as signal
    left join scoring.signal_configs as config using (organization_id, signal_type)
    left join points
        on points.category = 'intent' and points.organization_id = signal.organization_id
        and points.factor = signal.signal_type
    where signal.detected_at <= :t and (signal.expires_at is null or signal.expires_at > :t)
        and coalesce(config.enabled, true)
),
by_type as (
    select organization_id, contact_id, signal_type, sum(weight * case decay_model
        when 'linear' then 1 - age / hours
        when 'exponential' then exp(-3 * age / hours)
        else case when age < 0.5 * hours then 1 when age < 0.75 * hours then 0.5 else 0.25 end
    end) as points
    from live
    where age < hours
    group by organization_id, contact_id, signal_type
),
interest as (
    select organization_id, contact_id, floor(sum(points) + 0.5 + 1e-9)::integer as intent,
        jsonb_object_agg(signal_type, floor(points * 100 + 0.5 + 1e-6) / 100) as by_type
    from by_type
    where points <> 0
    group by organization_id, contact_id
),
activity as (
    select organization_id, contact_id,
        count(*) filter (where event_type <> 'content_download') as visits,
        bool_or(event_type = 'content_download') as downloaded
    from analytics.contact_activity
    where occurred_at >= cast(:t as timestamptz) - interval '720 hours' and occurred_at < :t
        and event_type in ('email_opened', 'email_clicked', 'form_submitted', 'page_visited', 'content_download')
    group by organization_id, contact_id
),
factors as (
    select contact.organization_id, contact.id as contact_id, coalesce(interest.intent, 0) as intent,
        coalesce(interest.by_type, '{}') as by_type,
        case when btrim(contact.email) <> '' then worth.points -> 'has_email' else '0' end as has_email,
        case when btrim(contact.phone) <> '' then worth.points -> 'has_phone' else '0' end as has_phone,
        case when btrim(contact.custom_fields ->> 'direct_phone') <> '' then worth.points -> 'has_direct_phone' else '0' end
            as has_direct_phone,
        coalesce(worth.points -> ('company_size_' || (contact.custom_fields ->> 'company_size')), '0') as company_size,
        coalesce(worth.points -> ('seniority_' || (contact.custom_fields ->> 'seniority')), '0') as seniority,
        case when activity.visits >= 10 then worth.points -> 'recent_activity_high'
            when activity.visits >= 3 then worth.points -> 'recent_activity_some' else '0' end as recent_activity,
        case when activity.downloaded then worth.points -> 'content_download' else '0' end as content_download
    from crm.contacts as contact
    join worth using (organization_id)
    left join interest on interest.organization_id = contact.organization_id and interest.contact_id = contact.id
    left join activity on activity.organization_id = contact.organization_id and activity.contact_id = contact.id
),
categories as (
    select organization_id, contact_id, intent,
        has_email::integer + has_phone::integer + has_direct_phone::integer + company_size::integer
            + seniority::integer as fit,
        recent_activity::integer + content_download::integer as engagement,
        by_type || jsonb_build_object(
            'has_email', has_email, 'has_phone', has_phone, 'has_direct_phone', has_direct_phone,
            'company_size', company_size, 'seniority', seniority,
            'recent_activity', recent_activity, 'content_download', content_download
        ) as components
    from factors
),
scores as (
    select *, greatest(0, least(100, fit + engagement + intent)) as total from categories
)
