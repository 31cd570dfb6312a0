-- migrate:up
-- A backlog makes no work: how often a window was sent, what a shard is to do, who waits.

alter table ops.job_runs
    add column sends integer not null default 0,
    add column delivery integer not null default 0,
    add column shard_data jsonb,
    drop constraint job_runs_status_check,
    add constraint job_runs_status_check
        check (status in ('queued', 'running', 'sharded', 'failed', 'waiting', 'succeeded', 'dead', 'skipped'));
comment on column ops.job_runs.sends is 'How often a tick has sent the row since it last began: the wait for its message grows with it.';
comment on column ops.job_runs.delivery is 'Which delivery of message_id started the run: a later one shows that the run has ended without an answer.';
comment on column ops.job_runs.shard_data is 'The bounds of a shard, as its message carries them: a tick sends the shard again.';

alter table ops.schedules
    add column overdue_since timestamptz,
    add column missed_windows bigint not null default 0;
comment on column ops.schedules.overdue_since is 'When the schedule was reported as overdue; null once its recovery is reported.';
comment on column ops.schedules.missed_windows is 'How many windows were overdue or skipped since then.';
