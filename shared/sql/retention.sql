-- name: delete_by_age
-- Made by `make catalogue` from the list of shared/tick/retention.py: change it there.
-- Of each table the oldest rows before its bound, at most :most of them. Rows that another transaction
-- holds are left to a later portion. Where a run takes turns at the days of organizations, the portion takes
-- their turn, and ends with the day that fills it. Of the runs of :brief_jobs also those that neither a tick nor a month
-- looks back upon, except where somebody answers for them. How many rows of each table went.
with
gone_message_failures as (
    delete from ops.message_failures
    where ctid = any (array(
        select ctid
        from ops.message_failures
        where failed_at < cast(:message_failures_before as timestamptz)
        order by failed_at
        limit :most
        for update skip locked
    ))
    returning 1
),
gone_dead_letters as (
    delete from ops.dead_letters
    where ctid = any (array(
        select ctid
        from ops.dead_letters
        where coalesce(changed_at, dead_at) < cast(:dead_letters_before as timestamptz)
        order by coalesce(changed_at, dead_at)
        limit :most
        for update skip locked
    ))
    returning 1
),
gone_job_runs as (
    delete from ops.job_runs
    where ctid = any (array(
        select ctid
        from ops.job_runs
        where coalesce(finished_at, lease_until, scheduled_for) < cast(:job_runs_before as timestamptz)
        order by coalesce(finished_at, lease_until, scheduled_for)
        limit :most
        for update skip locked
    ))
    returning 1
),
gone_parts as (
    delete from ops.parts
    where ctid = any (array(
        select ctid
        from ops.parts
        where queued_until < cast(:parts_before as timestamptz)
        order by queued_until
        limit :most
        for update skip locked
    ))
    returning 1
),
due_hourly_cells as materialized (
    select organization_id, date
    from analytics.booking_turns
    where date < cast(cast(:hourly_cells_before as timestamptz) as date) and taken_at < cast(:now as timestamptz) - interval '2 days'
    order by date
    limit least(cast(:most as bigint), 5000)
    for update skip locked
),
portion_hourly_cells as materialized (
    select organization_id, date
    from (
        select due.*, rows, sum(rows) over (order by date, organization_id) as total
        from due_hourly_cells as due
        cross join lateral (
            select count(*) as rows
            from analytics.hourly_cells as old
            where old.organization_id = due.organization_id and old.date = due.date
        ) as counted
    ) as due
    where total - rows < cast(:most as bigint)
),
gone_hourly_cells_turns as (
    delete from analytics.booking_turns as old
    using portion_hourly_cells as due
    where old.organization_id = due.organization_id and old.date = due.date
),
gone_hourly_cells as (
    delete from analytics.hourly_cells as old
    using portion_hourly_cells as due
    where old.organization_id = due.organization_id and old.date = due.date
    returning 1
),
gone_locked_days as (
    delete from analytics.locked_days
    where ctid = any (array(
        select ctid
        from analytics.locked_days
        where date < cast(cast(:locked_days_before as timestamptz) as date)
        order by date
        limit :most
        for update skip locked
    ))
    returning 1
),
gone_partial_counts as (
    delete from analytics.partial_counts
    where ctid = any (array(
        select ctid
        from analytics.partial_counts
        where counted_at < cast(:partial_counts_before as timestamptz)
        order by counted_at
        limit :most
        for update skip locked
    ))
    returning 1
),
gone_score_history as (
    delete from scoring.score_history
    where ctid = any (array(
        select ctid
        from scoring.score_history
        where date < cast(cast(:score_history_before as timestamptz) as date)
        order by date
        limit :most
        for update skip locked
    ))
    returning 1
),
gone_signal_alerts as (
    delete from scoring.signal_alerts
    where ctid = any (array(
        select ctid
        from scoring.signal_alerts
        where coalesce(expired_at, acknowledged_at) < cast(:signal_alerts_before as timestamptz) and status <> 'open'
        order by coalesce(expired_at, acknowledged_at)
        limit :most
        for update skip locked
    ))
    returning 1
),
gone_alert_requests as (
    delete from scoring.alert_requests
    where ctid = any (array(
        select ctid
        from scoring.alert_requests
        where opened_at < cast(:alert_requests_before as timestamptz)
        order by opened_at
        limit :most
        for update skip locked
    ))
    returning 1
),
gone_threshold_outbox as (
    delete from scoring.threshold_outbox
    where ctid = any (array(
        select ctid
        from scoring.threshold_outbox
        where id in (select id from scoring.threshold_outbox order by id limit :most) and scored_at < cast(:threshold_outbox_before as timestamptz)
        order by id
        limit :most
        for update skip locked
    ))
    returning 1
),
gone_contact_changes as (
    delete from crm.contact_changes
    where ctid = any (array(
        select ctid
        from crm.contact_changes
        where id in (select id from crm.contact_changes order by id limit :most) and at < cast(:contact_changes_before as timestamptz)
        order by id
        limit :most
        for update skip locked
    ))
    returning 1
),
gone_changed_hours as (
    delete from analytics.changed_hours
    where ctid = any (array(
        select ctid
        from analytics.changed_hours
        where id in (select id from analytics.changed_hours order by id limit :most) and changed_at < cast(:changed_hours_before as timestamptz)
        order by id
        limit :most
        for update skip locked
    ))
    returning 1
),
gone_brief_runs as (
    delete from ops.job_runs
    where ctid = any (array(
        select old.ctid
        from unnest(cast(:brief_jobs as text[]), cast(:brief_before as timestamptz[])) as kept (job_type, since)
        cross join lateral (
            select run.ctid
            from ops.job_runs as run
            where run.job_type = kept.job_type and run.window_start < kept.since and run.window_end <= kept.since
                and not coalesce(run.lease_until > :now, false)
            order by run.window_start
            limit :most
            for update skip locked
        ) as old
    ))
    returning 1
)
select
    (select count(*) from gone_message_failures) as ops__message_failures,
    (select count(*) from gone_dead_letters) as ops__dead_letters,
    (select count(*) from gone_job_runs) as ops__job_runs,
    (select count(*) from gone_parts) as ops__parts,
    (select count(*) from gone_hourly_cells) as analytics__hourly_cells,
    (select count(*) from gone_locked_days) as analytics__locked_days,
    (select count(*) from gone_partial_counts) as analytics__partial_counts,
    (select count(*) from gone_score_history) as scoring__score_history,
    (select count(*) from gone_signal_alerts) as scoring__signal_alerts,
    (select count(*) from gone_alert_requests) as scoring__alert_requests,
    (select count(*) from gone_threshold_outbox) as scoring__threshold_outbox,
    (select count(*) from gone_contact_changes) as crm__contact_changes,
    (select count(*) from gone_changed_hours) as analytics__changed_hours,
    (select count(*) from gone_brief_runs) as ops__job_runs__brief
