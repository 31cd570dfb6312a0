-- migrate:up
-- Split work that is no window: the build of a segment, the fan-out of a campaign. Each part is a
-- row that its message claims. A window that is split has the rows of its shards in ops.job_runs.
create table ops.parts (
    kind text not null,
    subject_id uuid not null,
    version bigint not null,
    part integer not null,
    "of" integer not null,
    bounds jsonb not null,
    queued_until timestamptz not null,
    done_at timestamptz,
    primary key (kind, subject_id, version, part),
    check (part between 1 and "of")
);
create index parts_open on ops.parts (kind, queued_until) where done_at is null;
create index parts_age on ops.parts (queued_until);

comment on table ops.parts is 'Parts of split work that is no window. The part that finishes last completes the work.';
comment on column ops.parts.kind is 'The kind of work, such as segment.build.';
comment on column ops.parts.subject_id is 'The row whose work was split, such as a segment.';
comment on column ops.parts.version is 'The version of the subject that was split: parts of another version are void.';
comment on column ops.parts.bounds is 'What the part covers, with the names that a shard has in a message.';
comment on column ops.parts.queued_until is 'An open part is enqueued again after this time.';
comment on column ops.parts.done_at is 'Set in the transaction of the part''s rows. Null: the part is open.';
