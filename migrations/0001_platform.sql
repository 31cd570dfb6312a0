-- migrate:up
-- The platform's own tables that the jobs read, and the two that they write for its dashboards.

create schema analytics;
create schema delivery;
create schema crm;

create table analytics.contact_activity (
    id uuid primary key default gen_random_uuid(),
    organization_id uuid not null,
    contact_id uuid not null,
    event_type varchar(100) not null,
    event_source varchar(100),
    event_data jsonb,
    occurred_at timestamptz not null,
    created_at timestamptz not null default now(),
    event_id text
);
comment on column analytics.contact_activity.created_at is 'When the event was ingested.';
comment on column analytics.contact_activity.event_id is 'The producer''s own key, if it has one: a second delivery of the event is refused.';

create unique index contact_activity_event_id on analytics.contact_activity (organization_id, event_id)
where event_id is not null;
-- The events of an hour, of a day.
create index contact_activity_occurred on analytics.contact_activity (occurred_at);
-- The late events alone, by when they were ingested: those that came after their hour had ended.
create index contact_activity_late on analytics.contact_activity (created_at)
where date_trunc('hour', occurred_at at time zone 'UTC') < date_trunc('hour', created_at at time zone 'UTC');
-- One contact's history, answered from the index alone: was he seen earlier today? how engaged was he this month?
create index contact_activity_contact on analytics.contact_activity
(organization_id, contact_id, occurred_at) include (event_type);

create table analytics.event_aggregates (
    organization_id uuid not null,
    date date not null,
    event_type varchar(108) not null,
    channel varchar(50),
    count bigint not null check (count >= 0),
    unique_count bigint not null check (unique_count between 0 and count),
    updated_at timestamptz not null default now(),
    primary key (organization_id, date, event_type)
);
comment on column analytics.event_aggregates.event_type is 'A type of event, or ''monthly:'' and a type (hence eight characters more than an event''s).';
comment on column analytics.event_aggregates.unique_count is 'Distinct contacts of the whole day (of the whole month in monthly rows).';

create view analytics.daily_aggregates as
select organization_id, date, event_type, channel, count, unique_count, updated_at
from analytics.event_aggregates
where event_type not like 'monthly:%';
comment on view analytics.daily_aggregates is 'The daily rows alone: what a reader of daily figures should use.';

create table analytics.campaign_daily_stats (
    campaign_id uuid not null,
    organization_id uuid not null,
    date date not null,
    sent bigint not null default 0,
    delivered bigint not null default 0,
    opened bigint not null default 0,
    unique_opened bigint not null default 0,
    clicked bigint not null default 0,
    unique_clicked bigint not null default 0,
    bounced bigint not null default 0,
    complained bigint not null default 0,
    unsubscribed bigint not null default 0,
    updated_at timestamptz not null default now(),
    primary key (campaign_id, organization_id, date)
);

create table delivery.sending_domains (
    id uuid primary key default gen_random_uuid(),
    organization_id uuid not null,
    domain varchar(255) not null check (domain = lower(domain)),
    status text not null default 'pending' check (status in ('pending', 'verified', 'failed')),
    dns_records jsonb,
    verified_at timestamptz,
    created_at timestamptz not null default now(),
    unique (organization_id, domain)
);

create table crm.contacts (
    id uuid primary key default gen_random_uuid(),
    organization_id uuid not null,
    email text,
    first_name text,
    last_name text,
    phone text,
    status text not null default 'active'
    check (status in ('active', 'unsubscribed', 'bounced', 'do_not_contact')),
    stage text,
    custom_fields jsonb not null default '{}',
    last_activity_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index contacts_organization on crm.contacts (organization_id, id);
