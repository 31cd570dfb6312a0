-- The figures of each campaign on each day in [:start, :end). Spellings of one UUID are one campaign. The form of a
-- source is examined once per source and not once per event, which would cost more than counting.
campaigns as materialized (
    select event_source,
-- include: campaign_of_source
    from (
        select distinct event_source
        from analytics.contact_activity
        where occurred_at >= :start and occurred_at < :end and event_source is not null and
-- include: within_contacts
    ) as source
),
-- One row per campaign, day and type; for opens and clicks also per contact.
visits as (
    select campaign_id, organization_id, (occurred_at at time zone 'UTC')::date as date, event_type,
        case when event_type in (
-- include: campaign_unique_types
        ) then contact_id end as contact_id,
        count(*) as count
    from analytics.contact_activity
    join campaigns using (event_source)
    where occurred_at >= :start and occurred_at < :end and
-- include: within_contacts
        and event_type in (
-- include: campaign_types
        )
    group by 1, 2, 3, 4, 5
),
counted as materialized (
    select campaign_id, organization_id, date,
-- include: campaign_figures
        ,
        sum(count) as total
    from visits
    group by campaign_id, organization_id, date
)
