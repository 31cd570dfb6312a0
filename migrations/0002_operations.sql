-- migrate:up
-- What the jobs remember of themselves: the ledger of runs, dead letters, schedules.

create schema if not exists ops; -- the migration tool keeps its own table there

create table ops.job_runs (
    job_type text not null,
    window_start timestamptz not null,
    window_end timestamptz not null,
    shard text not null default '',
    status text not null check (status in ('queued', 'running', 'sharded', 'failed', 'succeeded', 'dead', 'skipped')),
    trigger text not null check (trigger in ('cron', 'catch-up', 'manual', 'backfill')),
    attempts integer not null default 0,
    message_id text,
    scheduled_for timestamptz not null,
    queued_at timestamptz,
    lease_until timestamptz,
    fencing_token bigint not null default 0,
    started_at timestamptz,
    finished_at timestamptz,
    rows_read bigint,
    rows_written bigint,
    error_class text,
    error_text text,
    retryable boolean,
    overdue_at timestamptz,
    primary key (job_type, window_start, window_end, shard),
    check (window_start < window_end)
);
comment on table ops.job_runs is 'The ledger: one row a window of a job, and one a shard where a window was split.';
comment on column ops.job_runs.shard is 'Empty for the window itself; else which part of it, for example ''2/4''.';
comment on column ops.job_runs.lease_until is 'Until then somebody answers for the row; afterwards the next tick may enqueue it again.';
comment on column ops.job_runs.fencing_token is 'Rises with every start: a run may only finish with the newest.';
comment on column ops.job_runs.overdue_at is 'When the window was reported as overdue: once.';
create index job_runs_newest on ops.job_runs (job_type, window_end desc) where shard = '';
create index job_runs_unfinished on ops.job_runs (job_type, window_start, window_end)
where status not in ('succeeded', 'skipped');

create table ops.message_failures (
    queue text not null,
    message_id text not null,
    attempt integer not null,
    job_type text,
    body_digest text not null,
    error_class text not null,
    error_text text not null,
    failed_at timestamptz not null,
    primary key (queue, message_id, attempt)
);
comment on table ops.message_failures is 'The error of each failed attempt, so that a dead letter can say why it died.';
create index message_failures_digest on ops.message_failures (queue, body_digest, failed_at desc);
create index message_failures_age on ops.message_failures (failed_at);

create table ops.dead_letters (
    id bigint generated always as identity primary key,
    queue text not null,
    message_id text not null,
    job_type text,
    body jsonb,
    reason text not null,
    error text,
    attempts integer not null,
    dead_at timestamptz not null,
    status text not null default 'dead' check (status in ('dead', 'redriven', 'discarded')),
    redriven_from bigint references ops.dead_letters (id),
    changed_by text,
    changed_at timestamptz,
    note text,
    unique (queue, message_id, dead_at)
);
comment on column ops.dead_letters.redriven_from is 'The dead letter of which this is the second death.';
create index dead_letters_open on ops.dead_letters (queue, dead_at) where status = 'dead';

create table ops.schedules (
    job_type text primary key,
    paused boolean not null default false,
    note text,
    starts_at timestamptz,
    recorded_until timestamptz,
    changed_by text,
    changed_at timestamptz not null default now()
);
comment on column ops.schedules.starts_at is 'Start of the first window that a tick ever enqueued: nothing before it counts as missed.';
comment on column ops.schedules.recorded_until is 'The watermark: every window from starts_at up to here has its row in the ledger.';
