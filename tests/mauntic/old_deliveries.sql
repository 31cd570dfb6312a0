-- The platform's tables of deliveries as they were: times without a zone, and one key over all tenants.
create schema campaign;
create schema content;
create schema journey;

create table delivery.delivery_jobs (
    id uuid primary key default gen_random_uuid(),
    organization_id uuid not null,
    channel varchar(20) not null,
    status varchar(20) default 'queued',
    recipient_count integer default 0,
    sent_count integer default 0,
    failed_count integer default 0,
    idempotency_key varchar(255) unique,
    metadata jsonb,
    created_at timestamp default now(),
    completed_at timestamp
);

create table delivery.delivery_events (
    id uuid primary key default gen_random_uuid(),
    job_id uuid not null,
    organization_id uuid not null,
    contact_id uuid not null,
    channel varchar(20) not null,
    event_type varchar(50) not null,
    provider_message_id varchar(255),
    metadata jsonb,
    created_at timestamp not null default now()
);

create table delivery.provider_configs (
    id uuid primary key default gen_random_uuid(),
    organization_id uuid not null,
    channel varchar(20) not null,
    provider_type varchar(50) not null,
    config jsonb not null,
    is_active boolean,
    priority integer,
    created_at timestamp default now(),
    updated_at timestamp default now()
);

create table delivery.suppressions (
    id uuid primary key default gen_random_uuid(),
    organization_id uuid not null,
    email varchar(255) not null,
    reason varchar(50) not null,
    source varchar(255),
    created_at timestamp default now()
);

create table campaign.campaigns (
    id uuid primary key default gen_random_uuid(),
    organization_id uuid not null,
    name varchar(255) not null,
    description text,
    type varchar(50) not null,
    status varchar(50) default 'draft',
    subject varchar(500),
    template_id uuid,
    segment_id uuid,
    scheduled_at timestamp,
    started_at timestamp,
    completed_at timestamp,
    recipient_count integer,
    created_by uuid,
    created_at timestamp default now(),
    updated_at timestamp default now()
);

create table crm.segments (
    id uuid primary key default gen_random_uuid(),
    organization_id uuid not null,
    name varchar(255) not null,
    description text,
    type varchar(20) default 'dynamic',
    filter_criteria jsonb,
    contact_count integer default 0,
    created_at timestamp default now(),
    updated_at timestamp default now()
);

create table crm.segment_contacts (
    id uuid primary key default gen_random_uuid(),
    segment_id uuid not null,
    contact_id uuid not null,
    added_at timestamp default now()
);

create table content.templates (
    id uuid primary key default gen_random_uuid(),
    organization_id uuid not null,
    name varchar(255) not null,
    type varchar(20) not null,
    category varchar(100),
    subject varchar(500),
    body_html text,
    body_text text,
    body_json jsonb,
    is_active boolean default true,
    created_at timestamp default now(),
    updated_at timestamp default now()
);

create table journey.journeys (
    id uuid primary key default gen_random_uuid(),
    organization_id uuid not null,
    name varchar(255) not null,
    description text,
    status varchar(50) default 'draft',
    created_by uuid,
    created_at timestamp default now(),
    updated_at timestamp default now()
);

create table journey.journey_versions (
    id uuid primary key default gen_random_uuid(),
    journey_id uuid not null,
    organization_id uuid not null,
    version_number integer not null,
    definition jsonb not null,
    published_at timestamp,
    created_at timestamp default now()
);

create table journey.journey_steps (
    id uuid primary key default gen_random_uuid(),
    journey_version_id uuid not null,
    organization_id uuid not null,
    type varchar(50) not null,
    config jsonb not null,
    position_x integer,
    position_y integer
);

create table journey.journey_step_connections (
    id uuid primary key default gen_random_uuid(),
    from_step_id uuid not null,
    to_step_id uuid not null,
    label varchar(255)
);

create table journey.journey_triggers (
    id uuid primary key default gen_random_uuid(),
    journey_id uuid not null,
    organization_id uuid not null,
    type varchar(50) not null,
    config jsonb not null
);

create table journey.step_executions (
    id uuid primary key default gen_random_uuid(),
    execution_id uuid not null,
    step_id uuid not null,
    organization_id uuid not null,
    status varchar(50) default 'pending',
    started_at timestamp,
    completed_at timestamp,
    result jsonb,
    error text
);

create table journey.execution_logs (
    id uuid primary key default gen_random_uuid(),
    execution_id uuid not null,
    organization_id uuid not null,
    level varchar(20) not null,
    message text not null,
    metadata jsonb,
    created_at timestamp default now()
);

create table journey.journey_executions (
    id uuid primary key default gen_random_uuid(),
    journey_id uuid not null,
    journey_version_id uuid not null,
    organization_id uuid not null,
    contact_id uuid not null,
    status varchar(50) default 'active',
    started_at timestamp default now(),
    completed_at timestamp,
    current_step_id uuid
);
