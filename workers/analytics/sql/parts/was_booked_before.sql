-- Whether the hour was booked before, within the shard.
again as materialized (
    select exists (
        select 1 from analytics.hourly_cells
        where hour = :start and booked_in = :start and
-- include: cell_within_days
            and
-- include: within_shard
    ) as is_known
)
