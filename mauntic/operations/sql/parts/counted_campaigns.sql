-- The figures of the campaigns of the days in [:start, :end): `counted` from their events, and `reported`.
source as materialized (
    select distinct event_source,
-- include: campaign_of_source
    from analytics.contact_activity
    where occurred_at >= :start and occurred_at < :end
),
counted as (
    select campaign_id, organization_id, (occurred_at at time zone 'UTC')::date as date, jsonb_build_object(
-- include: campaign_events
        ) as figures
    from analytics.contact_activity
    join source using (event_source)
    where occurred_at >= :start and occurred_at < :end and campaign_id is not null
    group by 1, 2, 3
),
reported as (
    select campaign_id, organization_id, date,
        to_jsonb(stats) - '{campaign_id, organization_id, date, updated_at}'::text [] as figures
    from analytics.campaign_daily_stats as stats
    where date >= (cast(:start as timestamptz) at time zone 'UTC')::date
        and date < (cast(:end as timestamptz) at time zone 'UTC')::date
)
