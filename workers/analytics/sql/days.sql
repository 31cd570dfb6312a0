-- name: take_days
-- Have the days to oneself until the end of the transaction. A window that is about to be split
-- leaves its name for its shards, and its start on the days that they begin. A shard that begins a day
-- of which its split did not know leaves a start that never comes. A run that is no shard books such
-- days whole.
insert into analytics.locked_days as known (job_type, date, shared_by, begun_by)
select :job_type, day.date, cast(:shared_by as text),
    case when day.date = any(cast(:unbegun as date[])) then cast(:begun_by as timestamptz) end
from unnest(cast(:days as date[])) as day (date)
order by day.date
on conflict (job_type, date) do update set
    shared_by = coalesce(excluded.shared_by, known.shared_by),
    begun_by = case
        when known.date <> all(cast(:unbegun as date[])) then known.begun_by
        when cast(:is_shard as boolean) then coalesce(known.begun_by, excluded.begun_by)
        else excluded.begun_by
    end

-- name: share_days
-- Have the days together with the other shards of one's window. Days that another window has taken
-- over since do not come back.
select date
from analytics.locked_days
where job_type = :job_type and date = any(cast(:days as date[])) and shared_by = :shared_by
order by date
for share
