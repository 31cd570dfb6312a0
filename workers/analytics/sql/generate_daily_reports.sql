-- name: report_days
-- Set the campaigns' rows of the days in [:start, :end). Spellings of one UUID are one campaign.
-- The form of a source is looked at once a source and not once an event, for that costs more than
-- all the counting.
with campaigns as materialized (
    select event_source,
-- include: campaign_of_source
    from (
        select distinct event_source
        from analytics.contact_activity
        where occurred_at >= :start and occurred_at < :end and event_source is not null
            and (cast(:first_organization as uuid) is null or organization_id >= :first_organization)
            and (cast(:until_organization as uuid) is null or organization_id <= :until_organization)
    ) as source
),
-- One row a campaign, day and type; of opens and clicks one a contact as well.
visits as (
    select campaign_id, organization_id, (occurred_at at time zone 'UTC')::date as date, event_type,
        case when event_type in ('email_opened', 'email_clicked') then contact_id end as contact_id,
        count(*) as count
    from analytics.contact_activity
    join campaigns using (event_source)
    where occurred_at >= :start and occurred_at < :end and
-- include: campaign_within_shard
        and event_type in (
            'email_sent', 'email_delivered', 'email_opened', 'email_clicked',
            'email_bounced', 'email_complained', 'email_unsubscribed'
        )
    group by 1, 2, 3, 4, 5
),
counted as materialized (
    select campaign_id, organization_id, date,
        coalesce(sum(count) filter (where event_type = 'email_sent'), 0) as sent,
        coalesce(sum(count) filter (where event_type = 'email_delivered'), 0) as delivered,
        coalesce(sum(count) filter (where event_type = 'email_opened'), 0) as opened,
        count(contact_id) filter (where event_type = 'email_opened') as unique_opened,
        coalesce(sum(count) filter (where event_type = 'email_clicked'), 0) as clicked,
        count(contact_id) filter (where event_type = 'email_clicked') as unique_clicked,
        coalesce(sum(count) filter (where event_type = 'email_bounced'), 0) as bounced,
        coalesce(sum(count) filter (where event_type = 'email_complained'), 0) as complained,
        coalesce(sum(count) filter (where event_type = 'email_unsubscribed'), 0) as unsubscribed,
        sum(count) as total
    from visits
    group by campaign_id, organization_id, date
),
reports as (
    select campaign_id, organization_id, date, sent, delivered, opened, unique_opened, clicked,
        unique_clicked, bounced, complained, unsubscribed
    from counted
    where campaign_id is not null
    union all
    select known.campaign_id, known.organization_id, known.date, 0, 0, 0, 0, 0, 0, 0, 0, 0
    from analytics.campaign_daily_stats as known
    where known.date = any(cast(:days as date[])) and
-- include: campaign_within_shard
        and not exists (
            select 1 from counted
            where counted.campaign_id = known.campaign_id
                and counted.organization_id = known.organization_id and counted.date = known.date
        )
),
written as (
    insert into analytics.campaign_daily_stats as known (
        campaign_id, organization_id, date, sent, delivered, opened, unique_opened, clicked,
        unique_clicked, bounced, complained, unsubscribed, updated_at
    )
    select reports.*, now()
    from reports
    on conflict (campaign_id, organization_id, date) do update set
        sent = excluded.sent,
        delivered = excluded.delivered,
        opened = excluded.opened,
        unique_opened = excluded.unique_opened,
        clicked = excluded.clicked,
        unique_clicked = excluded.unique_clicked,
        bounced = excluded.bounced,
        complained = excluded.complained,
        unsubscribed = excluded.unsubscribed,
        updated_at = excluded.updated_at
    where (
        known.sent, known.delivered, known.opened, known.unique_opened, known.clicked,
        known.unique_clicked, known.bounced, known.complained, known.unsubscribed
    ) is distinct from (
        excluded.sent, excluded.delivered, excluded.opened, excluded.unique_opened, excluded.clicked,
        excluded.unique_clicked, excluded.bounced, excluded.complained, excluded.unsubscribed
    )
    returning 1
)
select (select count(*) from written) as rows_written,
    coalesce(cast(sum(total) as bigint), 0) as rows_read,
    array_agg(distinct organization_id) filter (where campaign_id is null) as passed_over
from counted
