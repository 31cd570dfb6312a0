-- migrate:up
-- What deliveries report: gauges, alerts of configuration problems, events for the platform.

create index suppressions_age on delivery.suppressions (created_at);
