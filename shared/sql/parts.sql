-- name: plan_parts
-- Insert the parts of a subject's version. The first part decides: if it exists, or another
-- transaction has just inserted it, this plan inserts nothing, so two plans never mix.
with first as (
    insert into ops.parts (kind, subject_id, version, part, "of", bounds, queued_until)
    values (
        :kind, :subject_id, :version, 1, cardinality(cast(:bounds as text[])),
        cast((cast(:bounds as text[]))[1] as jsonb), :queued_until
    )
    on conflict (kind, subject_id, version, part) do nothing
    returning 1
)
insert into ops.parts (kind, subject_id, version, part, "of", bounds, queued_until)
select :kind, :subject_id, :version, part, cardinality(cast(:bounds as text[])), cast(bounds as jsonb), :queued_until
from unnest(cast(:bounds as text[])) with ordinality as planned (bounds, part)
where part > 1 and exists (select from first)

-- name: discard_parts
-- Delete the open parts of earlier versions of a subject, except those that a transaction has locked.
delete from ops.parts
where (kind, subject_id, version, part) in (
    select kind, subject_id, version, part
    from ops.parts
    where kind = :kind and subject_id = :subject_id and version < :version and done_at is null
    for update skip locked
)

-- name: open_parts
select kind, subject_id, version, part, "of", bounds
from ops.parts
where kind = :kind and subject_id = :subject_id and version = :version and done_at is null
order by part

-- name: claim_part
-- Lock an open part until the end of the transaction. No row: it is done, or another run has it.
select kind, subject_id, version, part, "of", bounds
from ops.parts
where kind = :kind and subject_id = :subject_id and version = :version and part = :part and done_at is null
for update skip locked

-- name: finish_part
update ops.parts set done_at = :now
where kind = :kind and subject_id = :subject_id and version = :version and part = :part and done_at is null

-- name: count_open_parts
select count(*) as count
from ops.parts
where kind = :kind and subject_id = :subject_id and version = :version and done_at is null

-- name: requeue_parts
-- Take the open parts whose message is overdue, the oldest first. A part that a run holds is not
-- overdue, and of two transactions only one takes it.
with due as (
    select kind, subject_id, version, part
    from ops.parts
    where kind = :kind and done_at is null and queued_until <= :now
    order by queued_until
    limit :rows_max
    for update skip locked
),
requeued as (
    update ops.parts as part set queued_until = :queued_until
    from due
    where part.kind = due.kind and part.subject_id = due.subject_id and part.version = due.version
        and part.part = due.part
    returning part.kind, part.subject_id, part.version, part.part, part."of", part.bounds
)
select * from requeued order by subject_id, version, part
