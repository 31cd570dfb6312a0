-- Templates of shared/sql/retention.sql and mauntic/operations/sql/retention.sql; the tables are in
-- shared/tick/retention.py.

-- name: gone
gone_{name} as (
    delete from {table}
    where ctid = any (array(
        select ctid
        from {table}
        where {is_due}
        order by {order}
        limit :most
        for update skip locked
    ))
    returning 1
)

-- name: gone_days
due_{name} as materialized (
    select organization_id, date
    from {turns}
    where {is_due} and taken_at < cast(:now as timestamptz) - interval '2 days'
    order by {order}
    limit least(cast(:most as bigint), 5000)
    for update skip locked
),
portion_{name} as materialized (
    select organization_id, date
    from (
        select due.*, rows, sum(rows) over (order by date, organization_id) as total
        from due_{name} as due
        cross join lateral (
            select count(*) as rows
            from {table} as old
            where old.organization_id = due.organization_id and old.date = due.date
        ) as counted
    ) as due
    where total - rows < cast(:most as bigint)
),
gone_{name}_turns as (
    delete from {turns} as old
    using portion_{name} as due
    where old.organization_id = due.organization_id and old.date = due.date
),
gone_{name} as (
    delete from {table} as old
    using portion_{name} as due
    where old.organization_id = due.organization_id and old.date = due.date
    returning 1
)

-- name: gone_count
(select count(*) from gone_{name}) as {column}

-- name: first_by_id
id in (select id from {table} order by id limit :most) and {is_due}

-- name: bound
cast(:{bound} as timestamptz)

-- name: bound_of_day
cast(cast(:{bound} as timestamptz) as date)

-- name: report
select '{table}' as table_name, count(*) as rows, min(cast({age} as timestamptz)) as oldest,
    count(*) filter (where {is_due}) as due
from {table}

-- name: delete_by_age
-- Deletes of each table the oldest rows before its bound, at most :most of them, and returns the number of deleted rows
-- per table. Rows that another transaction has locked are left to a later portion. For days that runs lock by
-- organization, the portion takes the same locks and ends with the day that reaches its limit. Of the runs of
-- :brief_jobs it also deletes those that neither a tick nor a month looks back to, except runs with a lease.
with
{gone},
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
    {counts},
    (select count(*) from gone_brief_runs) as ops__job_runs__brief

-- name: retention_report
-- For each table with a period: the number of rows, the oldest, and the number of rows to delete.
{report}
