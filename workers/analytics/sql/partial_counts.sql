-- name: drop_piece
-- A piece that is counted again counts once.
delete from analytics.partial_counts
where job_type = :job_type and window_start = :window_start and organization_id = :organization_id
    and date = :date and split = :split and piece = :piece

-- name: hold_pieces
-- Have the pieces of an organization and day to oneself until the end of the transaction: of two pieces
-- that end at the same moment the second sees what the first has counted.
insert into analytics.partial_counts as held (
    job_type, window_start, split, organization_id, date, piece, subject, figures
)
values (:job_type, :window_start, :split, :organization_id, :date, 0, '', '{}')
on conflict (job_type, window_start, organization_id, date, split, piece, subject) do update set
    counted_at = excluded.counted_at

-- name: counted_pieces
-- How many pieces of an organization and day are complete.
select count(*) as count
from analytics.partial_counts
where job_type = :job_type and window_start = :window_start and organization_id = :organization_id
    and date = :date and split = :split and piece > 0 and subject = ''

-- name: drop_pieces
-- What has been added up.
delete from analytics.partial_counts
where job_type = :job_type and window_start = :window_start and organization_id = :organization_id
    and date = :date

-- name: void_counts
-- A run takes days: what shards of other windows have counted of them so far is older than what it sets,
-- and must not be added up later. What an earlier split of its own window has left is void as well, and
-- what nobody has added up for a month.
delete from analytics.partial_counts
where job_type = :job_type and (
    date = any(cast(:days as date[])) and (window_start <> :window_start or split <> :split)
    or counted_at < now() - interval '1 month'
)
