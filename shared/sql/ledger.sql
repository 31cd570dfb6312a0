-- name: start_run
-- Take a window's lease: a new row, or one without a lease. A later delivery of the message that holds the lease takes
-- it over: the platform delivers a message again when its consumer is gone, and the fencing token rejects a consumer
-- that is not. No row is returned in these cases: another message holds the lease; the row is done and the message is
-- obsolete; the window's split is valid, unless an operator requests the whole window; the split of a shard is not
-- valid; the schedule is paused. A split that is dead because one of its shards died is valid: the others continue, and
-- the next run of the dead shard completes it.
insert into ops.job_runs as run (
    job_type, window_start, window_end, shard, status, trigger, attempts, message_id, delivery,
    scheduled_for, lease_until, fencing_token, started_at
)
select :job_type, :window_start, :window_end, :shard, 'running', :trigger, 1, :message_id, :delivery,
    cast(:scheduled_for as timestamptz), cast(:lease_until as timestamptz), 1, cast(:now as timestamptz)
where (
    cast(:shard as text) = '' or exists (
        select 1 from ops.job_runs as whole
        where whole.job_type = :job_type and whole.window_start = :window_start and whole.window_end = :window_end
            and whole.shard = '' and whole.status in ('sharded', 'dead') and whole.fencing_token = :split
    )
) and not (
    cast(:trigger as text) in ('cron', 'catch-up')
    and exists (select 1 from ops.schedules where job_type = :job_type and paused)
)
on conflict (job_type, window_start, window_end, shard) do update set
    status = 'running',
    trigger = excluded.trigger,
    attempts = case when run.message_id = excluded.message_id then run.attempts + 1 else 1 end,
    message_id = excluded.message_id,
    delivery = excluded.delivery,
    scheduled_for = excluded.scheduled_for,
    lease_until = excluded.lease_until,
    fencing_token = run.fencing_token + 1,
    started_at = excluded.started_at,
    finished_at = null
where not (
    run.status = 'running' and run.lease_until > :now
    and not (run.message_id = excluded.message_id and run.delivery < excluded.delivery)
) and not (
    run.status = 'succeeded' and (
        run.shard <> '' or excluded.trigger in ('cron', 'catch-up') or run.message_id = excluded.message_id
    )
) and not (
    (excluded.trigger in ('cron', 'catch-up') or run.message_id = excluded.message_id) and
-- include: split_stands
)
returning run.fencing_token

-- name: run_state
-- The reason why a lease was refused. A shard without a valid split has no status.
select run.status, run.lease_until, run.fencing_token, run.message_id = cast(:message_id as text) as is_own,
    cast(:trigger as text) in ('cron', 'catch-up')
    and exists (select 1 from ops.schedules where job_type = :job_type and paused) as is_held
from (select 1) as always
left join ops.job_runs as run
    on run.job_type = :job_type and run.window_start = :window_start and run.window_end = :window_end
    and run.shard = :shard
    and (cast(:shard as text) = '' or exists (
        select 1 from ops.job_runs as whole
        where whole.job_type = :job_type and whole.window_start = :window_start and whole.window_end = :window_end
            and whole.shard = '' and whole.status in ('sharded', 'dead') and whole.fencing_token = :split
    ))

-- name: hold_run
-- A message of a paused schedule is answered without a run: the next tick after the pause sends another.
update ops.job_runs set status = 'queued', lease_until = :now, sends = 0
where job_type = :job_type and window_start = :window_start and window_end = :window_end and shard = :shard
    and status in ('queued', 'failed')

-- name: unbegun_shards
-- The shards of a window's split that no message has started.
select shard_data
from ops.job_runs
where job_type = :job_type and window_start = :window_start and window_end = :window_end
    and shard <> '' and status = 'queued' and cast(shard_data ->> 'run' as bigint) = :token
order by shard

-- name: put_off_run
-- The run waits for other work: a later tick sends it again.
update ops.job_runs set
    status = 'waiting',
    lease_until = :until,
    error_class = :error_class,
    error_text = :error_text
where job_type = :job_type and window_start = :window_start and window_end = :window_end
    and shard = :shard and fencing_token = :token and status = 'running'

-- name: finish_run
-- Success is valid only with the newest token. A window that ran unsplit leaves no shards of an earlier split behind,
-- because nothing would ever run them.
with void as (
    delete from ops.job_runs
    where job_type = :job_type and window_start = :window_start and window_end = :window_end
        and shard <> '' and cast(:shard as text) = ''
)
update ops.job_runs set
    status = 'succeeded',
    finished_at = :now,
    lease_until = null,
    rows_read = :rows_read,
    rows_written = :rows_written,
    error_class = null,
    error_text = null,
    retryable = null
where job_type = :job_type and window_start = :window_start and window_end = :window_end
    and shard = :shard and fencing_token = :token and status = 'running'

-- name: split_run
-- The window waits for its shards.
update ops.job_runs set status = 'sharded', lease_until = :lease_until
where job_type = :job_type and window_start = :window_start and window_end = :window_end
    and shard = :shard and fencing_token = :token and status = 'running'

-- name: forget_shards
-- Delete an earlier split of the window.
delete from ops.job_runs
where job_type = :job_type and window_start = :window_start and window_end = :window_end
    and shard <> :shard

-- name: queue_shards
-- The shards' tokens begin far above those of any earlier split: a running shard of that one cannot finish the shard
-- with the same name.
insert into ops.job_runs (
    job_type, window_start, window_end, shard, status, trigger, scheduled_for, queued_at, sends, lease_until,
    fencing_token, shard_data
)
select run.job_type, run.window_start, run.window_end, part.key, 'queued', run.trigger,
    run.scheduled_for, :now, 1, :lease_until, run.fencing_token * 1000000, part.data
from ops.job_runs as run
cross join unnest(cast(:shards as text[]), cast(:shard_data as jsonb[])) as part (key, data)
where run.job_type = :job_type and run.window_start = :window_start
    and run.window_end = :window_end and run.shard = :shard

-- name: lock_split
-- Locked before a shard reads its siblings, so that it sees the result of one that ends at the same time.
select 1 from ops.job_runs
where job_type = :job_type and window_start = :window_start and window_end = :window_end
    and shard = '' and cast(:shard as text) <> ''
for update

-- name: hold_split
-- A shard ends: its window is alive for another lease, and no longer dead if this was the dead shard. From here, shards
-- that end at the same time run one after the other; those of an earlier split find nothing.
update ops.job_runs set
    lease_until = :lease_until,
    status = case when exists (
            select 1 from ops.job_runs as sibling
            where sibling.job_type = :job_type and sibling.window_start = :window_start
                and sibling.window_end = :window_end and sibling.shard not in ('', :shard) and sibling.status = 'dead'
        ) then status else 'sharded' end
where job_type = :job_type and window_start = :window_start and window_end = :window_end
    and shard = '' and cast(:shard as text) <> '' and status in ('sharded', 'dead') and fencing_token = :run

-- name: finish_split
-- A split window has succeeded when all of its shards have.
update ops.job_runs as run set
    status = 'succeeded',
    finished_at = :now,
    lease_until = null,
    rows_read = part.rows_read,
    rows_written = part.rows_written,
    error_class = null,
    error_text = null,
    retryable = null
from (
    select bool_and(status = 'succeeded') as complete, sum(rows_read) as rows_read, sum(rows_written) as rows_written
    from ops.job_runs
    where job_type = :job_type and window_start = :window_start and window_end = :window_end
        and shard <> '' and cast(:shard as text) <> ''
) as part
where run.job_type = :job_type and run.window_start = :window_start and run.window_end = :window_end
    and run.shard = '' and run.status in ('sharded', 'dead') and part.complete

-- name: fail_run
-- Record why a run failed. A dead run waits longer after each send until a tick sends it again. If a shard dies, its
-- window dies too, if its split is still valid.
update ops.job_runs as run set
    status = :status,
    lease_until = cast(:lease_until as timestamptz) + case when cast(:status as text) = 'dead' then
-- include: patience
    else interval '0' end,
    retryable = :retryable,
    error_class = :error_class,
    error_text = :error_text
where job_type = :job_type and window_start = :window_start and window_end = :window_end
    and (
        (shard = :shard and message_id = :message_id and delivery = :delivery and status = 'running')
        or (
            shard = '' and cast(:shard as text) <> '' and status in ('sharded', 'dead')
            and cast(:status as text) = 'dead' and fencing_token = :split
        )
    )
