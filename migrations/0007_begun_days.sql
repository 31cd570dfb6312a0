-- migrate:up
-- A day that a split window books for the first time is not booked before all of its shards are
-- done: docs/decisions/0002.
alter table analytics.locked_days add column begun_by timestamptz;
comment on column analytics.locked_days.begun_by is 'Start of the split window that books the day for the first time. Until it has succeeded, the day counts as unbooked.';
