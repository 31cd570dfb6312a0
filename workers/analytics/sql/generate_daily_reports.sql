-- name: report_days
-- Count the campaigns of the days in [:start, :end), and set their rows.
with
-- include: campaign_counts
,
-- include: set_campaigns

-- name: count_campaigns
-- Count the campaigns of a piece of an organization on one day, and store the figures.
with
-- include: campaign_counts
insert into analytics.partial_counts (
    job_type, window_start, split, organization_id, date, piece, subject, figures
)
select :job_type, cast(:window_start as timestamptz), :split, cast(:first_organization as uuid), cast(:day as date), :piece,
    subject, figures
from (
    select '' as subject, array[coalesce(sum(total), 0)]::bigint[] as figures
    from counted
    union all
    select coalesce(campaign_id::text, '-'), array[
-- include: campaign_columns
            , total
        ]::bigint[]
    from counted
) as part
returning subject, figures[1] as total

-- name: add_up_campaigns
-- Add up the figures of an organization's pieces on one day, and set its rows.
with counted as materialized (
    select nullif(subject, '-')::uuid as campaign_id, organization_id, date,
-- include: campaign_sums
    from analytics.partial_counts
    where job_type = :job_type and window_start = :window_start and organization_id = :first_organization
        and date = any(cast(:days as date[])) and split = :split and piece > 0 and subject <> ''
    group by subject, organization_id, date
),
-- include: set_campaigns
