-- migrate:up
-- Runs are deleted by their age, the oldest first.
create index job_runs_age on ops.job_runs (coalesce(finished_at, lease_until, scheduled_for));
