    -- The days of the shard. Infinite bounds are open.
    occurred_at >= cast(:first_moment as timestamptz) and occurred_at < cast(:until_moment as timestamptz)
