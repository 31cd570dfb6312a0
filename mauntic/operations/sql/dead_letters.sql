-- name: select_dead_letters
-- The dead letters that all given filters match, newest first; a filter that is null matches all.
select id, queue, job_type, reason, error, attempts, dead_at, status, redriven_from, changed_by, changed_at, note
from ops.dead_letters
where (cast(:ids as bigint[]) is null or id = any(cast(:ids as bigint[])))
    and (cast(:status as text) is null or status = cast(:status as text))
    and (cast(:queue as text) is null or queue = cast(:queue as text))
    and (cast(:job_type as text) is null or job_type = cast(:job_type as text))
    and (cast(:reason as text) is null or reason = cast(:reason as text))
    and (cast(:dead_before as timestamptz) is null or dead_at < cast(:dead_before as timestamptz))
    and (cast(:dead_after as timestamptz) is null or dead_at >= cast(:dead_after as timestamptz))
order by dead_at desc, id desc
limit cast(:limit as bigint)

-- name: show_dead_letter
-- A dead letter with all columns, its predecessor and its successors.
select letter.*, array(
    select later.id from ops.dead_letters as later
    where later.redriven_from = letter.id
    order by later.id
) as died_again_as
from ops.dead_letters as letter
where letter.id = :id

-- name: claim_dead_letters
-- Claim dead letters for a redrive, in a separate transaction: no row stays locked while they are sent. A dead letter
-- with a `changed_at` is claimed; the claim of a process that is gone expires. Dead letters that are no longer dead, or
-- are claimed, are skipped. A message without a time meant the last window before it was sent: `planned` is the time of
-- the run, or, without a run (Postgres was unavailable), the time of sending.
update ops.dead_letters as letter set
    changed_by = :by,
    changed_at = :now
from (
    select id from ops.dead_letters
    where id = any(cast(:ids as bigint[])) and status = 'dead' and coalesce(changed_at <= :lapsed, true)
    order by id
    for update skip locked
) as free
where letter.id = free.id
returning letter.id, letter.queue, letter.body, coalesce((
    select max(run.scheduled_for) from ops.job_runs as run
    where run.job_type = letter.job_type and run.message_id = letter.message_id and run.shard = ''
), letter.sent_at) as planned

-- name: mark_redriven
-- The dead letters of a claim were sent.
update ops.dead_letters set
    status = 'redriven',
    note = coalesce(cast(:note as text), note)
where id = any(cast(:ids as bigint[])) and status = 'dead' and changed_by = :by and changed_at = :claimed_at

-- name: release_dead_letters
-- The dead letters of a claim were not sent: they stay dead.
update ops.dead_letters set
    changed_by = null,
    changed_at = null
where id = any(cast(:ids as bigint[])) and status = 'dead' and changed_by = :by and changed_at = :claimed_at

-- name: discard_dead_letters
-- Discard dead letters; the rows stay, with operator and reason. A dead letter that a redrive has claimed is being
-- sent.
update ops.dead_letters set
    status = 'discarded',
    changed_by = :by,
    changed_at = :now,
    note = :note
where id = any(cast(:ids as bigint[])) and status = 'dead' and coalesce(changed_at <= :lapsed, true)
returning id

-- name: count_dead_letters
-- The number of open dead letters of each queue.
select queue, count(*) as waiting
from ops.dead_letters
where status = 'dead'
group by queue

-- name: dead_letter_names
-- The queues, job types and reasons of the dead letters.
select array(select distinct queue from ops.dead_letters) as queues,
    array(select distinct job_type from ops.dead_letters where job_type is not null) as job_types,
    array(select distinct reason from ops.dead_letters) as reasons
