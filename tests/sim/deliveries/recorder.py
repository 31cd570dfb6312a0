"""Triggers of the simulator: they record every change of a message's state, and by what.

A transaction that is rolled back records nothing. `sim.moment` numbers the statements of the whole
simulation and the actions of the platform in their order.
"""

from __future__ import annotations

from delivery.store.statements import SQL
from tests.roles import ROLES

# A claim is several statements: the table of transitions has its one name.
_RENAMED = {"write_claims": "claim", "insert_devices": "insert_messages"}
NAMES = {SQL[name]: _RENAMED.get(name, name) for name in SQL.blocks}

SCHEMA = (
    """
create schema sim;
create sequence sim.ids;
create table sim.changes (
    id bigint generated always as identity primary key,
    moment bigint not null,
    at timestamptz not null,
    statement text not null,
    message_id uuid not null,
    old_state text,
    new_state text not null,
    reason text,
    address text,
    warmup_day date,
    possible_duplicate boolean not null,
    on_uncertain text not null
);
create table sim.suppressions (
    moment bigint not null,
    organization_id uuid not null,
    channel text not null,
    address text not null,
    scope text not null
);
create function sim.note_change() returns trigger language plpgsql as $$
begin
    insert into sim.changes (
        moment, at, statement, message_id, old_state, new_state, reason, address, warmup_day,
        possible_duplicate, on_uncertain
    )
    values (
        cast(current_setting('sim.moment') as bigint),
        cast(current_setting('sim.at') as timestamptz), current_setting('sim.statement'),
        new.id, case when tg_op = 'UPDATE' then old.state end, new.state, new.reason, new.address,
        new.warmup_day, new.possible_duplicate, new.on_uncertain
    );
    return null;
end $$;
create trigger sim_note_insert after insert on delivery.messages
for each row execute function sim.note_change();
create trigger sim_note_update after update on delivery.messages
for each row when (
    old.state <> new.state or old.token <> new.token
    or (old.finished_at is null) <> (new.finished_at is null)
)
execute function sim.note_change();
create function sim.note_suppression() returns trigger language plpgsql as $$
begin
    insert into sim.suppressions values (
        cast(current_setting('sim.moment') as bigint), new.organization_id, new.channel,
        new.address, new.scope
    );
    return null;
end $$;
create trigger sim_note after insert on delivery.suppressions
for each row execute function sim.note_suppression();
-- The order of rows must not depend on chance: neither on ids nor on when tables are analyzed.
alter table delivery.messages alter column id
set default cast(md5(cast(nextval('sim.ids') as text)) as uuid);
do $$
declare
    name regclass;
begin
    for name in
        select oid from pg_class
        where relkind = 'r'
            and relnamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
    loop
        execute format('alter table %s set (autovacuum_enabled = false)', name);
    end loop;
end $$;
"""
    f"grant usage on schema sim to {ROLES.workers};"
    f" grant all on all tables in schema sim to {ROLES.workers};"
    f" grant all on all sequences in schema sim to {ROLES.workers}"
)
