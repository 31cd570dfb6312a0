-- How long the row's message may be on its way before a tick sends it again: longer with every send.
least(
    case when run.job_type = any(cast(:about_now as text[])) then cast(:longest_now as interval) else cast(:longest as interval) end,
    cast(:first as interval) * power(4, greatest(0, least(run.sends, 10)))
)
