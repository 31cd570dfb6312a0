-- name: old_rows
-- Daily rows of another scheduler, with any columns.
select to_jsonb(old) as content
from {schema}.{table} as old
where old.date >= cast(:start as date) and old.date < cast(:end as date)
