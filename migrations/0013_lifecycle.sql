-- migrate:up
-- Turns, retention and erasure: docs/decisions/0011-role-and-retention.md.

create table ops.turns (
    name text primary key
);
comment on table ops.turns is 'One row for each thing that one transaction does at a time, such as the archive of a queue: the row is locked until the transaction ends.';
