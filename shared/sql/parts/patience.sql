-- The time after which a tick sends the row's message again: longer after each send.
least(
    case when run.job_type = any(cast(:about_now as text[])) then cast(:longest_now as interval) else cast(:longest as interval) end,
    cast(:first as interval) * power(4, greatest(0, least(run.sends, 10)))
)
