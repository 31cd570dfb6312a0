-- name: record_failure
-- Why one attempt of a message failed.
insert into ops.message_failures (
    queue, message_id, attempt, job_type, body_digest, error_class, error_text, failed_at
)
values (:queue, :message_id, :attempt, :job_type, :body_digest, :error_class, :error_text, :now)
on conflict (queue, message_id, attempt) do update set
    error_class = excluded.error_class,
    error_text = excluded.error_text,
    failed_at = excluded.failed_at

-- name: forget_failures
-- The oldest failures that no dead letter can ask for any more, at most :most of them; those that
-- another tick is deleting are left to it.
delete from ops.message_failures
where ctid = any (array(
    select old.ctid
    from ops.message_failures as old
    where old.failed_at < :before
    order by old.failed_at
    limit :most
    for update skip locked
))

-- name: archive_alone
-- Two archives of a queue go one after the other: the second sees the rows of the first.
select pg_advisory_xact_lock(hashtextextended(:queue, 0))

-- name: archive_dead_letters
-- A row a dead letter. One that is delivered twice is one row; one that died after a redrive points
-- to the letter that was redriven. An error that the letter does not carry is that of its last attempt.
insert into ops.dead_letters (
    queue, message_id, job_type, body, reason, error, attempts, dead_at, sent_at, redriven_from
)
select letter.queue, letter."messageId", letter."jobType", letter.body, letter.reason,
    coalesce(letter.error, failure.error_class || ': ' || failure.error_text),
    coalesce(letter.attempts, 0), coalesce(letter."deadAt", :now), letter."sentAt",
    case when letter.body ->> 'redrivenFrom' ~ '^[0-9]{1,18}$' then (
        select earlier.id from ops.dead_letters as earlier
        where earlier.id = cast(letter.body ->> 'redrivenFrom' as bigint)
    ) end
from (
    select distinct on (sent.queue, sent."messageId") sent.*
    from jsonb_to_recordset(cast(:letters as jsonb)) as sent (
        queue text, "messageId" text, "jobType" text, body jsonb, reason text, error text,
        attempts integer, "deadAt" timestamptz, "sentAt" timestamptz, "bodyDigest" text
    )
) as letter
left join lateral (
    select f.error_class, f.error_text
    from ops.message_failures as f
    where f.queue = letter.queue
        and (f.message_id = letter."messageId" or f.body_digest = letter."bodyDigest")
    order by f.message_id = letter."messageId" desc, f.failed_at desc
    limit 1
) as failure on letter.error is null
where not exists (
    select 1 from ops.dead_letters as known
    where known.queue = letter.queue and known.message_id = letter."messageId"
)
on conflict (queue, message_id, dead_at) do nothing
returning id, queue, job_type, reason, message_id
