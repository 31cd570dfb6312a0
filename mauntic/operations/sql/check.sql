-- name: rollup_differences
-- The rollups of some retained days that differ from their source.
with
-- include: differing_rollups
select * from differing
where date >= ops.retained_since(organization_id)
order by date, organization_id, event_type

-- name: count_differences
-- The rollups of a retained day whose count cannot be that of its events. Events that were ingested before :settled
-- must be counted; newer ones may be. Reads only the index.
with counted as (
    select organization_id, event_type, count(*) as count, count(*) filter (where created_at < :settled) as settled
    from analytics.contact_activity
    where occurred_at >= :start and occurred_at < :end and event_type not like 'monthly:%'
    group by organization_id, event_type
),
booked as (
    select organization_id, event_type, count
    from analytics.event_aggregates
    where date = (cast(:start as timestamptz) at time zone 'UTC')::date
        and event_type not like 'monthly:%' and count > 0
)
select organization_id, (cast(:start as timestamptz) at time zone 'UTC')::date as date, event_type,
    booked.count as booked, counted.count as counted
from counted
full join booked using (organization_id, event_type)
where coalesce(booked.count, 0) not between coalesce(counted.settled, 0) and coalesce(counted.count, 0)
    and (cast(:start as timestamptz) at time zone 'UTC')::date >= ops.retained_since(organization_id)
order by organization_id, event_type

-- name: campaign_differences
-- The figures of campaigns that differ from their events on some days, one row per figure. A row of zeros equals a
-- missing row.
with
-- include: counted_campaigns
select organization_id, date, campaign_id, figure.key as figure,
    cast(coalesce(reported.figures ->> figure.key, '0') as bigint) as reported,
    cast(coalesce(counted.figures ->> figure.key, '0') as bigint) as counted
from counted
full join reported using (campaign_id, organization_id, date)
cross join lateral jsonb_each_text(coalesce(counted.figures, reported.figures)) as figure
where coalesce(reported.figures ->> figure.key, '0') <> coalesce(counted.figures ->> figure.key, '0')
    and date >= ops.retained_since(organization_id)
order by date, organization_id, campaign_id, figure

-- name: usage_differences
-- The usage of a month that differs from its events, counted again from every event.
with counted as (
    select organization_id, event_type, cast(sum(count) as bigint) as count, count(*) as unique_count
    from (
        select organization_id, event_type, contact_id, count(*) as count
        from analytics.contact_activity
        where occurred_at >= :start and occurred_at < :end and event_type not like 'monthly:%'
        group by organization_id, event_type, contact_id
    ) as contact
    group by organization_id, event_type
),
summed as (
    select organization_id, substr(event_type, length('monthly:') + 1) as event_type, count, unique_count
    from analytics.event_aggregates
    where date = (cast(:start as timestamptz) at time zone 'UTC')::date and event_type like 'monthly:%' and count > 0
)
select organization_id, (cast(:start as timestamptz) at time zone 'UTC')::date as date, event_type,
    summed.count as summed, counted.count as counted,
    summed.unique_count as summed_unique, counted.unique_count as counted_unique
from counted
full join summed using (organization_id, event_type)
where (counted.count, counted.unique_count) is distinct from (summed.count, summed.unique_count)
    and (cast(:start as timestamptz) at time zone 'UTC')::date >= ops.retained_since(organization_id)
order by organization_id, event_type

-- name: equal_events
-- Events that are equal except for their ids: each organization, day and type with such events, and the number of
-- surplus ones.
select organization_id, (occurred_at at time zone 'UTC')::date as date, event_type,
    cast(sum(count - 1) as bigint) as surplus
from (
    select organization_id, event_type, occurred_at, count(*) as count
    from analytics.contact_activity
    where occurred_at >= :start and occurred_at < :end
    group by organization_id, contact_id, event_type, occurred_at, event_source
    having count(*) > 1
) as equal_ones
group by 1, 2, 3
order by 2, 1, 3


-- name: score_differences
-- Scores that differ when they are recomputed for their own time. The next :most contacts after a contact. Contacts
-- that wait to be scored are left out, and so are those whose events of that time are not retained.
with target as materialized (
    select row_number() over () as number, organization_id, contact_id, 0 as version, scored_at as t,
        cast(null as integer) as as_fit, cast(null as integer) as as_engagement, cast(null as integer) as as_intent
    from (
        select organization_id, contact_id, scored_at
        from scoring.lead_scores
        where (organization_id, contact_id) > (cast(:organization as uuid), cast(:contact as uuid))
        order by organization_id, contact_id
        limit :most
    ) as portion
),
-- include: score
select organization_id, contact_id, known.total_score as stored, scored.total as computed,
    known.fit_score as stored_fit, scored.fit as computed_fit,
    known.engagement_score as stored_engagement, scored.engagement as computed_engagement,
    known.intent_score as stored_intent, scored.intent as computed_intent,
    scored.exists and (known.total_score, known.fit_score, known.engagement_score, known.intent_score)
    is distinct from (scored.total, scored.fit, scored.engagement, scored.intent)
    and cast(known.scored_at - interval '30 days' as date) >= ops.retained_since(organization_id)
    and not exists (
        select 1 from scoring.recompute_backlog as entry
        where entry.organization_id = known.organization_id and entry.contact_id = known.contact_id
    ) and not exists (
        select 1 from crm.contact_changes as change
        where change.consumer = 'scoring' and change.organization_id = known.organization_id
            and (change.contact_id = known.contact_id or change.contact_id is null)
    ) as differs
from scored
join scoring.lead_scores as known using (organization_id, contact_id)
order by organization_id, contact_id
