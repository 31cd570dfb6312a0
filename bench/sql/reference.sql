-- name: plain_hour
-- The hourly aggregation in one statement that does nothing else.
insert into bench.event_aggregates as known (organization_id, date, event_type, count, unique_count, updated_at)
select organization_id, (occurred_at at time zone 'UTC')::date, event_type, count(*), count(distinct contact_id), now()
from analytics.contact_activity
where occurred_at >= :start and occurred_at < :end
group by 1, 2, 3
on conflict (organization_id, date, event_type) do update set
    count = excluded.count, unique_count = excluded.unique_count, updated_at = excluded.updated_at

-- name: plain_days
-- The report of a range of days, for sources that are campaigns.
insert into bench.campaign_daily_stats as known
select cast(event_source as uuid), organization_id, (occurred_at at time zone 'UTC')::date,
    count(*) filter (where event_type = 'email_sent'),
    count(*) filter (where event_type = 'email_delivered'),
    count(*) filter (where event_type = 'email_opened'),
    count(distinct contact_id) filter (where event_type = 'email_opened'),
    count(*) filter (where event_type = 'email_clicked'),
    count(distinct contact_id) filter (where event_type = 'email_clicked'),
    count(*) filter (where event_type = 'email_bounced'),
    count(*) filter (where event_type = 'email_complained'),
    count(*) filter (where event_type = 'email_unsubscribed'),
    now()
from analytics.contact_activity
where occurred_at >= :start and occurred_at < :end and event_source <> 'website'
group by 1, 2, 3
on conflict (campaign_id, organization_id, date) do update set
    sent = excluded.sent, delivered = excluded.delivered, opened = excluded.opened,
    unique_opened = excluded.unique_opened, clicked = excluded.clicked, unique_clicked = excluded.unique_clicked,
    bounced = excluded.bounced, complained = excluded.complained, unsubscribed = excluded.unsubscribed,
    updated_at = excluded.updated_at

-- name: plain_month
-- The usage of a month, directly from its events.
insert into bench.event_aggregates as known (
    organization_id, date, event_type, channel, count, unique_count, updated_at
)
select organization_id, cast(cast(:start as timestamptz) at time zone 'UTC' as date), 'monthly:' || event_type,
    'monthly_summary', count(*), count(distinct contact_id), now()
from analytics.contact_activity
where occurred_at >= :start and occurred_at < :end
group by organization_id, event_type
on conflict (organization_id, date, event_type) do update set
    channel = excluded.channel, count = excluded.count, unique_count = excluded.unique_count,
    updated_at = excluded.updated_at

-- name: copies
-- The references write here, so that they and the jobs do not see each other's rows.
create table bench.event_aggregates (like analytics.event_aggregates including all);
create table bench.campaign_daily_stats (like analytics.campaign_daily_stats including all)

-- name: by_size
-- The organizations, the smallest first.
select organization_id from analytics.contact_activity group by organization_id order by count(*), organization_id

-- name: late_events
-- A late event of a new contact at noon of each day.
insert into analytics.contact_activity (organization_id, contact_id, event_type, occurred_at, created_at)
select cast(:organization as uuid), gen_random_uuid(), 'email_sent', day + interval '12 hours',
    cast(:at as timestamptz) + interval '10 minutes'
from (
    select cast(:first as timestamptz) + number * interval '1 day' as day
    from generate_series(0, cast(:days as integer) - 1) as number
) as days
