-- migrate:up
-- Which window a message meant that named none, where no run of it has left a trace.
alter table ops.dead_letters add column sent_at timestamptz;
comment on column ops.dead_letters.sent_at is 'When a message of a scheduled job was sent first: it meant the last complete window before, unless its body names a time. Null where nobody knows.';
