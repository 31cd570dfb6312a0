-- name: retention_report
-- Made by `make catalogue` from the list of shared/tick/retention.py: change it there.
-- Of each table that is kept for a period: how many rows it has, the oldest, and how many are to go.
select 'ops.message_failures' as table_name, count(*) as rows, min(cast(failed_at as timestamptz)) as oldest,
    count(*) filter (where failed_at < cast(:message_failures_before as timestamptz)) as due
from ops.message_failures
union all
select 'ops.dead_letters' as table_name, count(*) as rows, min(cast(coalesce(changed_at, dead_at) as timestamptz)) as oldest,
    count(*) filter (where coalesce(changed_at, dead_at) < cast(:dead_letters_before as timestamptz)) as due
from ops.dead_letters
union all
select 'ops.job_runs' as table_name, count(*) as rows, min(cast(coalesce(finished_at, lease_until, scheduled_for) as timestamptz)) as oldest,
    count(*) filter (where coalesce(finished_at, lease_until, scheduled_for) < cast(:job_runs_before as timestamptz)) as due
from ops.job_runs
union all
select 'ops.parts' as table_name, count(*) as rows, min(cast(queued_until as timestamptz)) as oldest,
    count(*) filter (where queued_until < cast(:parts_before as timestamptz)) as due
from ops.parts
union all
select 'analytics.hourly_cells' as table_name, count(*) as rows, min(cast(date as timestamptz)) as oldest,
    count(*) filter (where date < cast(cast(:hourly_cells_before as timestamptz) as date)) as due
from analytics.hourly_cells
union all
select 'analytics.locked_days' as table_name, count(*) as rows, min(cast(date as timestamptz)) as oldest,
    count(*) filter (where date < cast(cast(:locked_days_before as timestamptz) as date)) as due
from analytics.locked_days
union all
select 'analytics.partial_counts' as table_name, count(*) as rows, min(cast(counted_at as timestamptz)) as oldest,
    count(*) filter (where counted_at < cast(:partial_counts_before as timestamptz)) as due
from analytics.partial_counts
union all
select 'scoring.score_history' as table_name, count(*) as rows, min(cast(date as timestamptz)) as oldest,
    count(*) filter (where date < cast(cast(:score_history_before as timestamptz) as date)) as due
from scoring.score_history
union all
select 'scoring.signal_alerts' as table_name, count(*) as rows, min(cast(coalesce(expired_at, acknowledged_at) as timestamptz)) as oldest,
    count(*) filter (where coalesce(expired_at, acknowledged_at) < cast(:signal_alerts_before as timestamptz) and status <> 'open') as due
from scoring.signal_alerts
union all
select 'scoring.alert_requests' as table_name, count(*) as rows, min(cast(opened_at as timestamptz)) as oldest,
    count(*) filter (where opened_at < cast(:alert_requests_before as timestamptz)) as due
from scoring.alert_requests
union all
select 'scoring.threshold_outbox' as table_name, count(*) as rows, min(cast(scored_at as timestamptz)) as oldest,
    count(*) filter (where scored_at < cast(:threshold_outbox_before as timestamptz)) as due
from scoring.threshold_outbox
union all
select 'crm.contact_changes' as table_name, count(*) as rows, min(cast(at as timestamptz)) as oldest,
    count(*) filter (where at < cast(:contact_changes_before as timestamptz)) as due
from crm.contact_changes
union all
select 'analytics.changed_hours' as table_name, count(*) as rows, min(cast(changed_at as timestamptz)) as oldest,
    count(*) filter (where changed_at < cast(:changed_hours_before as timestamptz)) as due
from analytics.changed_hours
