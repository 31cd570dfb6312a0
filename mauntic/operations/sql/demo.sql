-- name: demo_lock
-- Whether no other demo runs on this server; held until the unlock or the end of the connection.
select pg_try_advisory_lock(hashtext('mauntic demo')) as is_ours

-- name: demo_unlock
select pg_advisory_unlock(hashtext('mauntic demo')) as was_ours

-- name: demo_span
-- From the first event to the last.
select min(occurred_at) as first, max(occurred_at) as last
from analytics.contact_activity

-- name: demo_runs
-- The runs in the ledger.
select split_part(job_type, '.', 2) as job, status, trigger, count(*) as runs,
    sum(rows_read)::bigint as read, sum(rows_written)::bigint as written,
    round(1000 * avg(extract(epoch from finished_at - started_at)))::integer as mean_ms
from ops.job_runs
group by job_type, status, trigger
order by job_type, status, trigger

-- name: demo_unfinished
-- Runs that did not succeed, and dead letters; both are expected to be 0.
select
    (select count(*) from ops.job_runs where status <> 'succeeded') as runs,
    (select count(*) from ops.dead_letters) as dead_letters

-- name: demo_aggregates
-- Every rollup that is not 0, of days and months.
select organization_id, date, event_type, count, unique_count
from analytics.event_aggregates
where count > 0

-- name: demo_campaigns
-- The sums of each campaign over all days.
select campaign_id, sum(sent)::bigint as sent, sum(delivered)::bigint as delivered,
    sum(unique_opened)::bigint as opened, sum(unique_clicked)::bigint as clicked
from analytics.campaign_daily_stats
group by campaign_id
