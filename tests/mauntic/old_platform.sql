-- The tables as the platform had them before: times without a zone, counts that are too narrow,
-- hardly a key, names of its own for what it has, and columns that only it knows.
create schema analytics;
create schema delivery;
create schema crm;

create table analytics.contact_activity (
    event_type varchar(100),
    id uuid,
    organization_id uuid,
    contact_id uuid,
    event_source text,
    event_data json,
    occurred_at timestamp,
    created_at timestamp default now(),
    event_id text,
    ip_address inet
);
create index activity_by_time on analytics.contact_activity (occurred_at);
create index activity_of_yesterday on analytics.contact_activity (created_at, event_type);
create index contact_activity_contact on analytics.contact_activity (contact_id);

create table analytics.event_aggregates (
    id serial primary key,
    organization_id uuid not null,
    date date not null,
    event_type varchar(100) not null,
    channel varchar(50),
    count integer not null default 0,
    unique_count integer,
    updated_at timestamp
);
alter table analytics.event_aggregates add column tag text not null;

create table analytics.campaign_daily_stats (
    campaign_id uuid not null,
    organization_id uuid not null,
    date date not null,
    sent integer default 0,
    delivered integer default 0,
    opened integer default 0,
    clicked integer default 0,
    bounced integer default 0,
    updated_at timestamp default now()
);

create table delivery.sending_domains (
    id uuid constraint domains_key primary key,
    organization_id uuid not null,
    domain varchar(255) not null,
    status varchar(20),
    dns_records json,
    verified_at timestamp,
    created_at timestamp default now(),
    constraint one_name unique (organization_id, domain)
);

create table crm.contacts (
    id uuid,
    organization_id uuid not null,
    email varchar(320),
    first_name varchar(100),
    last_name varchar(100),
    phone varchar(50),
    status varchar(20) default 'active',
    custom_fields json,
    last_activity_at timestamp,
    created_at timestamp,
    updated_at timestamp,
    owner_id uuid
);

create schema scoring;

create table scoring.lead_scores (
    id serial primary key,
    organization_id uuid,
    contact_id uuid,
    total_score numeric(6, 2),
    grade varchar(2),
    engagement_score integer,
    fit_score integer,
    intent_score integer,
    components json,
    top_contributors json,
    scored_at timestamp,
    created_at timestamp default now(),
    updated_at timestamp,
    model_version text not null default 'v1'
);
create index lead_scores_contact on scoring.lead_scores (contact_id);

create table scoring.score_history (
    id serial,
    organization_id uuid,
    contact_id uuid,
    date timestamp,
    total_score integer,
    engagement_score integer,
    fit_score integer,
    intent_score integer,
    created_at timestamp default now()
);

create table scoring.intent_signals (
    id uuid,
    organization_id uuid,
    contact_id uuid,
    signal_type text,
    source varchar(100),
    weight numeric(10, 4),
    detected_at timestamp,
    decay_model varchar(20),
    decay_hours integer,
    expires_at timestamp,
    metadata json
);

create table scoring.signal_configs (
    organization_id uuid,
    signal_type varchar(100),
    weight double precision,
    decay_hours integer,
    tier varchar(20),
    enabled boolean,
    updated_at timestamp
);

create table scoring.scoring_configs (
    id serial primary key,
    organization_id uuid,
    category varchar(50),
    factor varchar(100),
    weight numeric(6, 2),
    enabled boolean
);

create table scoring.signal_alerts (
    id uuid,
    organization_id uuid,
    contact_id uuid,
    signal_type varchar(50),
    priority varchar(20),
    deadline timestamp,
    status varchar(20),
    acknowledged_at timestamp,
    acknowledged_by uuid,
    expired_at timestamp,
    created_at timestamp default now()
);
