"""Tables and triggers of the simulator that record what was written, and from which state.

A fold records the signals that it considers. A score's row contains the changes that its
transaction had seen, so that the expected score can be computed for exactly those. Rolled-back work
is not recorded.
"""

from __future__ import annotations

from scoring.store.statements import SQL

SCHEMA = """
create table sim.changes (number bigint primary key);
create table sim.scores (
    id bigint generated always as identity primary key,
    changes bigint not null,
    organization_id uuid not null,
    contact_id uuid not null,
    score jsonb
);
create table sim.considered (
    id bigint generated always as identity primary key,
    at timestamptz not null,
    changes bigint not null,
    signals uuid[] not null
);
create function sim.note_score() returns trigger language plpgsql as $$
begin
    insert into sim.scores (changes, organization_id, contact_id, score)
    values (
        (select coalesce(max(number), 0) from sim.changes),
        coalesce(new.organization_id, old.organization_id),
        coalesce(new.contact_id, old.contact_id),
        to_jsonb(new)
    );
    return null;
end $$;
create trigger sim_note after insert or delete on scoring.lead_scores
for each row execute function sim.note_score();
-- When to look again is no statement about the score.
create trigger sim_note_update after update on scoring.lead_scores
for each row when (to_jsonb(old) - 'recheck_at' is distinct from to_jsonb(new) - 'recheck_at')
execute function sim.note_score();
create table sim.starts (
    id bigint generated always as identity primary key,
    job_type text not null,
    window_start timestamptz not null,
    shard text not null,
    trigger text not null,
    was_done boolean not null
);
-- Each committed start of a run, and whether its window had succeeded before.
create function sim.note_start() returns trigger language plpgsql as $$
begin
    insert into sim.starts (job_type, window_start, shard, trigger, was_done)
    select new.job_type, new.window_start, new.shard, new.trigger, exists (
        select 1 from ops.job_runs as whole
        where whole.job_type = new.job_type and whole.window_start = new.window_start
            and whole.window_end = new.window_end and whole.shard = ''
            and whole.status = 'succeeded'
    ) or (tg_op = 'UPDATE' and old.status = 'succeeded');
    return null;
end $$;
create trigger sim_note_insert after insert on ops.job_runs
for each row when (new.status = 'running') execute function sim.note_start();
create trigger sim_note_update after update on ops.job_runs
for each row when (new.status = 'running' and new.fencing_token > old.fencing_token)
execute function sim.note_start();
create table sim.splits (job_type text not null, window_start timestamptz not null, trigger text);
create function sim.note_split() returns trigger language plpgsql as $$
begin
    insert into sim.splits values (new.job_type, new.window_start, new.trigger);
    return null;
end $$;
create trigger sim_note_split after update on ops.job_runs
for each row when (new.status = 'sharded' and old.status = 'running')
execute function sim.note_split();
"""

# What a transaction does before a statement of the system.
BEFORE_STATEMENT = {
    SQL["open_alerts"]: "insert into sim.considered (at, changes, signals)"
    " select :t, coalesce(max(number), 0), cast(:signals as uuid[]) from sim.changes"
}
NOTE = "with noted as (insert into sim.changes values (:number)) "
