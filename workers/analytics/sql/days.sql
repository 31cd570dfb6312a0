-- name: take_days
-- Lock the days until the end of the transaction. A window that will be split leaves its name for its shards.
insert into analytics.locked_days as known (job_type, date, shared_by)
select :job_type, day.date, cast(:shared_by as text)
from unnest(cast(:days as date[])) as day (date)
order by day.date
on conflict (job_type, date) do update set shared_by = coalesce(excluded.shared_by, known.shared_by)

-- name: share_days
-- Share the days with the other shards of the window. Days that another window has taken since are not returned.
select date
from analytics.locked_days
where job_type = :job_type and date = any(cast(:days as date[])) and shared_by = :shared_by
order by date
for share
