-- migrate:up
-- What deliveries report: gauges, alerts of configuration problems, events for the platform.

create index suppressions_age on delivery.suppressions (created_at);

-- Alerts of configuration problems.

create table delivery.config_alerts (
    organization_id uuid,
    channel text not null check (channel in ('email', 'sms', 'push')),
    config_id uuid,
    problem text not null check (problem in ('paused', 'no_provider', 'unverified_sender', 'not_configured')),
    alerted_at timestamptz not null,
    unique nulls not distinct (organization_id, channel, config_id, problem)
);
create index config_alerts_age on delivery.config_alerts (alerted_at);
comment on table delivery.config_alerts is 'When a problem of a configuration was last reported: an hour passes before the next alert.';
comment on column delivery.config_alerts.organization_id is 'Null: a setting of the worker, which concerns every organization.';
comment on column delivery.config_alerts.config_id is 'The paused config; null of the other problems.';

create index messages_unconfigured on delivery.messages (organization_id, channel, reason)
where state = 'deferred' and reason in ('no_provider', 'unverified_sender', 'not_configured');
