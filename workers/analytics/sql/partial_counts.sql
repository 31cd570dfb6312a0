-- name: drop_piece
-- A repeated piece counts once.
delete from analytics.partial_counts
where job_type = :job_type and window_start = :window_start and organization_id = :organization_id
    and date = :date and split = :split and piece = :piece

-- name: hold_pieces
-- Lock the pieces of an organization and day until the end of the transaction: of two pieces that end at the same time,
-- the second sees the counts of the first.
insert into analytics.partial_counts as held (
    job_type, window_start, split, organization_id, date, piece, subject, figures
)
values (:job_type, :window_start, :split, :organization_id, :date, 0, '', '{}')
on conflict (job_type, window_start, organization_id, date, split, piece, subject) do update set
    counted_at = excluded.counted_at

-- name: counted_pieces
-- The number of complete pieces of an organization and day.
select count(*) as count
from analytics.partial_counts
where job_type = :job_type and window_start = :window_start and organization_id = :organization_id
    and date = :date and split = :split and piece > 0 and subject = ''

-- name: drop_pieces
-- Delete the counts that were added up.
delete from analytics.partial_counts
where job_type = :job_type and window_start = :window_start and organization_id = :organization_id
    and date = :date

-- name: void_counts
-- A run takes days: counts that shards of other windows left for them are older than its own and must not be added up
-- later. Counts of an earlier split of the same window are void too, and so are counts that were not added up within a
-- month.
delete from analytics.partial_counts
where job_type = :job_type and (
    date = any(cast(:days as date[])) and (window_start <> :window_start or split <> :split)
    or counted_at < now() - interval '1 month'
)
