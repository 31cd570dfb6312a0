-- Whether the hour was booked before, as far as the shard has it.
again as materialized (
    select exists (
        select 1 from analytics.hourly_cells
        where hour = :start and booked_in = :start and
-- include: cell_within_days
            and
-- include: within_shard
    ) as is_known
)
