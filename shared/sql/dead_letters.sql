-- name: record_failure
-- The error of one attempt of a message.
insert into ops.message_failures (
    queue, message_id, attempt, job_type, body_digest, error_class, error_text, failed_at
)
values (:queue, :message_id, :attempt, :job_type, :body_digest, :error_class, :error_text, :now)
on conflict (queue, message_id, attempt) do update set
    error_class = excluded.error_class,
    error_text = excluded.error_text,
    failed_at = excluded.failed_at

-- name: archive_alone
-- Archives of one queue run one after the other: the second sees the rows of the first.
insert into ops.turns as known (name) values (:queue)
on conflict (name) do update set name = known.name

-- name: redriven_letters
-- The dead letters that were sent back to the queue, or that a redrive has claimed and is sending, with their bodies.
select id, body
from ops.dead_letters
where id = any(cast(:ids as bigint[])) and queue = :queue
    and (status = 'redriven' or (status = 'dead' and changed_at is not null))

-- name: withdraw_unread
-- Delete the rows of dead letters that were written unread, before they are written after reading.
delete from ops.dead_letters
where queue = :queue and message_id = any(cast(:message_ids as text[])) and error = :error
    and status = 'dead' and changed_at is null

-- name: archive_dead_letters
-- One row per dead letter. A second delivery of a dead letter is the same row; another body with a known message id is
-- another dead letter. If a dead letter contains no error, it gets that of its last attempt. No dead letter died later
-- than now, and of two with the same time the second died a microsecond later.
insert into ops.dead_letters (
    queue, message_id, job_type, body, reason, error, attempts, dead_at, sent_at, redriven_from
)
select letter.queue, letter."messageId", letter."jobType", letter.body, letter.reason,
    coalesce(letter.error, failure.error_class || ': ' || failure.error_text),
    coalesce(letter.attempts, 0),
    least(coalesce(letter."deadAt", :now), :now) + interval '1 microsecond' * (
        letter.number - 1 + (
            select count(*) from ops.dead_letters as other
            where other.queue = letter.queue and other.message_id = letter."messageId"
        )
    ),
    letter."sentAt", letter."redrivenFrom"
from (
    select sent.*, row_number() over (partition by sent.queue, sent."messageId") as number
    from (
        select distinct on (one.queue, one."messageId", one."bodyDigest") one.*
        from jsonb_to_recordset(cast(:letters as jsonb)) as one (
            queue text, "messageId" text, "jobType" text, body jsonb, reason text, error text,
            attempts integer, "deadAt" timestamptz, "sentAt" timestamptz, "bodyDigest" text,
            "redrivenFrom" bigint
        )
    ) as sent
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
        and known.body is not distinct from letter.body
)
on conflict (queue, message_id, dead_at) do nothing
returning id, queue, job_type, reason, message_id, body, error
