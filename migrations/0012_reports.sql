-- migrate:up
-- Where the shards of one organization leave what they have counted, until the last of them adds it up:
-- docs/decisions/0005.

create table analytics.partial_counts (
    job_type text not null,
    window_start timestamptz not null,
    split bigint not null,
    organization_id uuid not null,
    date date not null,
    piece integer not null,
    subject text not null,
    figures bigint [] not null,
    counted_at timestamptz not null default now(),
    primary key (job_type, window_start, organization_id, date, split, piece, subject)
);
create index partial_counts_date on analytics.partial_counts (job_type, date);
comment on table analytics.partial_counts is 'What each shard of a cut organization has counted for a day, or a month by its first day. The last shard adds it up, sets the rows and deletes it.';
comment on column analytics.partial_counts.split is 'The run that cut the window: shards of another run do not add to it.';
comment on column analytics.partial_counts.piece is 'Which shard has counted it; 0 is the row that the shards lock while one of them adds up.';
comment on column analytics.partial_counts.subject is 'What was counted: a campaign, or a monthly type. Empty says that the piece is complete.';
