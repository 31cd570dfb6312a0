-- migrate:up
-- A run counts its hour in one pass, before its turn; and cells go by their age: docs/decisions/0002.

alter table analytics.booking_turns add column taken_before timestamptz;
comment on column analytics.booking_turns.taken_before is 'When the run before took it: whether another was between a look and a turn. Null for the first.';

alter table analytics.hourly_work
add column first_seen bigint,
add column fingerprint bigint,
add column turn_taken_at timestamptz;
comment on column analytics.hourly_work.first_seen is 'Of a fresh cell that was counted in advance; null where it is yet to be counted.';
comment on column analytics.hourly_work.turn_taken_at is 'When the turn at its day had last been taken as the cell was counted.';

-- Cells go with their day's row, so that whoever deletes them takes the turn. Turns used to go by their own age, so
-- some days have cells and no row.
insert into analytics.booking_turns as turn (organization_id, date)
select distinct organization_id, date from analytics.hourly_cells order by organization_id, date
on conflict (organization_id, date) do update set taken_at = excluded.taken_at;
drop index analytics.booking_turns_age;
create index booking_turns_date on analytics.booking_turns (date);
comment on table analytics.booking_turns is 'One row for each organization and day, locked by the run that writes its rollups. It goes with the cells of its day, by their age.';
