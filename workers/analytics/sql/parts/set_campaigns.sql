-- Set the rows of `counted`, and set those of :days without events to 0. Days before an organization's retained period
-- keep their rows.
periods as materialized (
    select organization_id, retained_since from ops.retention where source = 'contact_activity'
),
figures as materialized (
    select counted.*, coalesce(
            date < greatest(own.retained_since, (select retained_since from periods where organization_id is null)),
            false
        ) and date is distinct from cast(:unretained_day as date) as is_before
    from counted
    left join periods as own using (organization_id)
),
lost as (
    select known.campaign_id, known.organization_id, known.date
    from analytics.campaign_daily_stats as known
    left join periods as own using (organization_id)
    where known.date = any(cast(:days as date[])) and
-- include: within_organizations
        and (
            known.date is not distinct from cast(:unretained_day as date)
            or known.date >= coalesce(
                greatest(own.retained_since, (select retained_since from periods where organization_id is null)),
                '-infinity'
            )
        )
        and not exists (
            select 1 from counted
            where counted.campaign_id = known.campaign_id
                and counted.organization_id = known.organization_id and counted.date = known.date
        )
),
reports as (
    select campaign_id, organization_id, date,
-- include: campaign_columns
    from figures
    where campaign_id is not null and not is_before
    union all
    select campaign_id, organization_id, date,
-- include: campaign_zeros
    from lost
),
written as (
    insert into analytics.campaign_daily_stats as known (
        campaign_id, organization_id, date,
-- include: campaign_columns
        , updated_at
    )
    select reports.*, now()
    from reports
    on conflict (campaign_id, organization_id, date) do update set
-- include: campaign_updates
        ,
        updated_at = excluded.updated_at
    where (
-- include: campaign_known
    ) is distinct from (
-- include: campaign_excluded
    )
    returning 1
),
noticed as (
    select organization_id,
        coalesce(cast(sum(total) filter (where campaign_id is null) as bigint), 0) as passed_over,
        coalesce(cast(sum(total) filter (where is_before) as bigint), 0) as before_retention
    from figures
    where campaign_id is null or is_before
    group by organization_id
)
select (select count(*) from written) as rows_written,
    coalesce((select cast(sum(total) as bigint) from figures), 0) as rows_read,
    array_agg(organization_id order by organization_id) as organizations,
    array_agg(passed_over order by organization_id) as noticed,
    array_agg(before_retention order by organization_id) as before_retention
from noticed
