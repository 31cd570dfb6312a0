-- name: demo_campaign
-- The recipients' addresses, and a campaign to a segment.
with recipient as (
    select * from jsonb_to_recordset(cast(:recipients as jsonb)) as given (contact_id uuid, address text)
),
addressed as (
    update crm.contacts as contact set email = recipient.address
    from recipient
    where contact.id = recipient.contact_id and contact.organization_id = :organization_id
),
template as (
    insert into content.templates (organization_id, name, type, subject, body_text)
    values (
        :organization_id, 'Thanks', 'email', 'Thank you',
        'You are one of our best customers. No more e-mails: {{unsubscribe_url}}'
    )
    returning id
)
insert into campaign.campaigns (id, organization_id, name, type, template_id, segment_id)
select :campaign_id, :organization_id, 'Best customers', 'email', template.id, :segment_id
from template

-- name: demo_final_messages
-- How many messages of a campaign are final.
select count(*) as messages
from delivery.messages
where campaign_id = :campaign_id and finished_at is not null

-- name: demo_campaign_messages
-- The ids of the messages of a campaign.
select id::text as id
from delivery.messages
where campaign_id = :campaign_id

-- name: demo_campaign_hours
-- The hours in which a campaign has events.
select distinct date_trunc('hour', occurred_at, 'UTC') as hour
from analytics.contact_activity
where event_source = :campaign_id
order by hour

-- name: demo_campaign_figures
-- The figures of a campaign in each place: the ledger, the campaign itself, the events, the rollups of its days, and
-- the daily report.
with ledger as (
    select count(sent_at) as sent, count(delivered_at) as delivered, count(opened_at) as opened,
        count(clicked_at) as clicked, count(bounced_at) as bounced, count(complained_at) as complained,
        count(unsubscribed_at) as unsubscribed
    from delivery.messages
    where campaign_id = :campaign_id
),
campaign as (
    select status, sent_count as sent, delivered_count as delivered, opened_count as opened,
        clicked_count as clicked, bounced_count as bounced, complained_count as complained,
        unsubscribed_count as unsubscribed
    from campaign.campaigns
    where id = :campaign_id
),
event as (
    select jsonb_object_agg(substr(event_type, 7), events) as figures
    from (
        select event_type, count(*) as events
        from analytics.contact_activity
        where event_source = cast(:source as text)
        group by event_type
    ) as counted
),
rollup as (
    select jsonb_object_agg(substr(event_type, 7), events) as figures
    from (
        select event_type, sum(count) as events
        from analytics.event_aggregates
        where event_type like 'email\_%' and organization_id = (select organization_id from campaign.campaigns where id = :campaign_id)
            and date in (
                select cast(occurred_at at time zone 'UTC' as date)
                from analytics.contact_activity
                where event_source = cast(:source as text)
            )
        group by event_type
    ) as counted
),
report as (
    select sum(sent) as sent, sum(delivered) as delivered, sum(opened) as opened, sum(clicked) as clicked,
        sum(bounced) as bounced, sum(complained) as complained, sum(unsubscribed) as unsubscribed
    from analytics.campaign_daily_stats
    where campaign_id = :campaign_id
)
select campaign.status, to_jsonb(ledger) as ledger, to_jsonb(campaign) as campaign, event.figures as events,
    rollup.figures as rollups, to_jsonb(report) as report
from ledger, campaign, event, rollup, report
