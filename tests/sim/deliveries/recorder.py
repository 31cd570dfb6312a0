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
    on_uncertain text not null,
    sent_at timestamptz,
    called_at timestamptz,
    job_id uuid
);
create table sim.statuses (moment bigint not null, contact_id uuid not null, status text not null);
create table sim.runs (
    moment bigint not null, job_id uuid not null, campaign_id uuid, idempotency_key text
);
create table sim.parts (moment bigint not null, job_id uuid not null, part integer not null);
create table sim.ends (
    moment bigint not null, job_id uuid, campaign_id uuid, old_status text, open_messages bigint,
    open_parts bigint
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
        possible_duplicate, on_uncertain, sent_at, called_at, job_id
    )
    values (
        cast(current_setting('sim.moment') as bigint),
        cast(current_setting('sim.at') as timestamptz), current_setting('sim.statement'),
        new.id, case when tg_op = 'UPDATE' then old.state end, new.state, new.reason, new.address,
        new.warmup_day, new.possible_duplicate, new.on_uncertain, new.sent_at, new.called_at,
        new.job_id
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
-- At the commit: what an open transaction has written forbids nothing yet.
create constraint trigger sim_note after insert on delivery.suppressions
deferrable initially deferred for each row execute function sim.note_suppression();
create function sim.note_status() returns trigger language plpgsql as $$
begin
    insert into sim.statuses values (
        cast(current_setting('sim.moment') as bigint), new.id, new.status
    );
    return null;
end $$;
create constraint trigger sim_note after update on crm.contacts
deferrable initially deferred for each row when (old.status <> new.status)
execute function sim.note_status();
create function sim.note_run() returns trigger language plpgsql as $$
begin
    insert into sim.runs values (
        cast(current_setting('sim.moment') as bigint), new.id, new.campaign_id, new.idempotency_key
    );
    return null;
end $$;
create trigger sim_note after insert on delivery.delivery_jobs
for each row execute function sim.note_run();
create function sim.note_part() returns trigger language plpgsql as $$
begin
    insert into sim.parts values (
        cast(current_setting('sim.moment') as bigint), new.subject_id, new.part
    );
    return null;
end $$;
create trigger sim_note after update on ops.parts for each row
when (old.done_at is null and new.done_at is not null) execute function sim.note_part();
create function sim.note_end() returns trigger language plpgsql as $$
declare
    job uuid := case tg_table_name when 'delivery_jobs' then new.id end;
    own uuid := case tg_table_name when 'campaigns' then new.id end;
begin
    insert into sim.ends
    select
        cast(current_setting('sim.moment') as bigint), job, own, old.status,
        (
            select count(*) from delivery.messages as message
            where message.finished_at is null
                and (message.job_id = job or (message.campaign_id = own and message.job_id in (
                    select run.id from delivery.delivery_jobs as run where run.campaign_id = own
                )))
        ),
        (
            select count(*) from ops.parts as part
            where part.done_at is null and part.subject_id in (
                select run.id from delivery.delivery_jobs as run
                where run.id = job or run.campaign_id = own
            )
        );
    return null;
end $$;
create trigger sim_note_end after update on delivery.delivery_jobs for each row
when (old.completed_at is null and new.completed_at is not null) execute function sim.note_end();
create trigger sim_note_end after update on campaign.campaigns for each row
when (old.status <> 'sent' and new.status = 'sent') execute function sim.note_end();
-- The order of rows must not depend on chance: neither on ids nor on when tables are analyzed.
do $$
declare
    name regclass;
    drawn record;
begin
    for drawn in
        select own.adrelid as id, attribute.attname as name
        from pg_attrdef as own
        join pg_attribute as attribute
            on attribute.attrelid = own.adrelid and attribute.attnum = own.adnum
        where pg_get_expr(own.adbin, own.adrelid) = 'gen_random_uuid()'
    loop
        execute format(
            'alter table %s alter column %I'
            ' set default cast(md5(cast(nextval(''sim.ids'') as text)) as uuid)',
            cast(drawn.id as regclass), drawn.name
        );
    end loop;
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
