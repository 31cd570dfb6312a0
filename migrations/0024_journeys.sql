-- migrate:up
-- Journeys: their versions and steps, who enters, where each contact stands, and what was done.
-- docs/journeys.md explains the rules.

create function journey.are_settings(settings jsonb) returns boolean
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
return jsonb_typeof(settings) = 'object'
and coalesce(settings #>> '{reEntry,type}', 'once') in ('once', 'always', 'cooldown')
and (
    settings #>> '{reEntry,type}' is distinct from 'cooldown'
    or coalesce(jsonb_path_exists(settings, '$.reEntry.cooldownDays ? (@.type() == "number" && @ > 0)'), false)
)
and (
    coalesce(jsonb_typeof(settings -> 'frequencyCap'), 'null') = 'null'
    or (
        jsonb_path_exists(settings, '$.frequencyCap.maxCount ? (@.type() == "number" && @ >= 1)')
        and jsonb_path_exists(settings, '$.frequencyCap.windowDays ? (@.type() == "number" && @ > 0)')
    )
);

alter table journey.journeys
add column settings jsonb not null default '{}',
add column active_version_id uuid,
add column status_changed_at timestamptz not null default now();
comment on column journey.journeys.settings is 'reEntry {type: once, always or cooldown, cooldownDays}, frequencyCap {maxCount, windowDays}, goal.';
comment on column journey.journeys.active_version_id is 'The version that was published last: contacts enter it. Set by publishing.';
create index journeys_organization on journey.journeys (organization_id, id);

create function journey.note_status() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    new.status_changed_at := now();
    return new;
end $$;
create trigger note_status before update of status on journey.journeys
for each row when (new.status is distinct from old.status) execute function journey.note_status();

create function journey.check_settings() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if not journey.are_settings(new.settings) then
        raise exception 'the settings of the journey are invalid: docs/journeys.md' using errcode = '22023';
    end if;
    return new;
end $$;
create trigger check_settings_insert before insert on journey.journeys
for each row when (new.settings <> '{}') execute function journey.check_settings();
create trigger check_settings_update before update of settings on journey.journeys
for each row when (new.settings is distinct from old.settings) execute function journey.check_settings();

create table journey.journey_versions (
    id uuid primary key default gen_random_uuid(),
    journey_id uuid not null,
    organization_id uuid not null,
    version_number integer not null,
    definition jsonb,
    published_at timestamptz,
    created_at timestamptz not null default now(),
    entry_step_id uuid,
    unique (journey_id, version_number)
);
comment on table journey.journey_versions is 'A version does not change once it is published. An execution stays on its version.';
comment on column journey.journey_versions.entry_step_id is 'The step with which executions begin. Set by publishing.';

create table journey.journey_steps (
    id uuid primary key default gen_random_uuid(),
    journey_version_id uuid not null,
    organization_id uuid not null,
    type text not null,
    config jsonb not null default '{}',
    position_x integer,
    position_y integer
);
create index journey_steps_version on journey.journey_steps (journey_version_id);

create table journey.journey_step_connections (
    id uuid primary key default gen_random_uuid(),
    from_step_id uuid not null,
    to_step_id uuid not null,
    label varchar(255)
);
create unique index journey_step_connections_label
on journey.journey_step_connections (from_step_id, coalesce(label, ''));
create index journey_step_connections_target on journey.journey_step_connections (to_step_id);

create table journey.journey_triggers (
    id uuid primary key default gen_random_uuid(),
    journey_id uuid not null,
    organization_id uuid not null,
    type text not null,
    config jsonb not null default '{}',
    enabled boolean not null default true,
    problem text
);
create index journey_triggers_journey on journey.journey_triggers (journey_id);
create index journey_triggers_event on journey.journey_triggers (organization_id, (config ->> 'eventType'))
where type = 'event' and enabled and problem is null;
create index journey_triggers_segment on journey.journey_triggers (organization_id)
where type = 'segment' and enabled and problem is null;
create index journey_triggers_score on journey.journey_triggers (organization_id)
where type in ('score', 'score_threshold') and enabled and problem is null;
comment on column journey.journey_triggers.problem is 'Why the trigger enrolls no contact. Set when the trigger is written.';

create table journey.trigger_entries (
    journey_id uuid not null,
    contact_id uuid not null,
    occasion text not null,
    organization_id uuid not null,
    trigger_id uuid,
    outcome text not null check (outcome in ('entered', 'refused', 'blocked')),
    reason text,
    retry_at timestamptz,
    execution_id uuid,
    at timestamptz not null,
    primary key (journey_id, contact_id, occasion),
    check ((outcome = 'entered') = (execution_id is not null)),
    check ((outcome = 'blocked') = (retry_at is not null))
);
create index trigger_entries_retry on journey.trigger_entries (retry_at) where outcome = 'blocked';
create index trigger_entries_contact on journey.trigger_entries (organization_id, contact_id);
comment on table journey.trigger_entries is 'Each occasion of a contact is used once, whatever came of it.';
comment on column journey.trigger_entries.occasion is 'segment:{segment}:{entered_no}, event:{activity}, score:{event} or request:{request}.';

create table journey.trigger_progress (
    trigger_id uuid primary key,
    organization_id uuid not null,
    segment_id uuid not null,
    changes_until bigint not null,
    full_pass_at timestamptz,
    pass_after uuid,
    due_at timestamptz
);
create index trigger_progress_due on journey.trigger_progress (due_at) where due_at is not null;
comment on table journey.trigger_progress is 'How far the trigger of a segment has come with its members and changes.';
comment on column journey.trigger_progress.changes_until is 'The number of the last change of the segment that was processed.';
comment on column journey.trigger_progress.full_pass_at is 'When the last pass over all members ended. Null: the first has not.';
comment on column journey.trigger_progress.pass_after is 'The last member of the pass in progress.';
comment on column journey.trigger_progress.due_at is 'When the trigger was asked to run. Null: it has nothing to do.';

create table journey.entrants (
    journey_id uuid not null,
    contact_id uuid not null,
    organization_id uuid not null,
    entries integer not null default 0,
    first_entered_at timestamptz,
    last_entered_at timestamptz,
    last_left_at timestamptz,
    active_execution_id uuid,
    primary key (journey_id, contact_id)
);
create index entrants_contact on journey.entrants (organization_id, contact_id);
comment on table journey.entrants is 'One row for each contact of a journey: entering locks it.';

alter table journey.journey_executions
add column trigger_id uuid,
add column occasion text,
add column entry_no integer,
add column seq integer not null default 0,
add column wake_at timestamptz,
add column wake_queued_until timestamptz,
add column last_progress_at timestamptz not null default now(),
add column exit_reason text;
comment on column journey.journey_executions.entry_no is 'The how many-th entry of the contact. Null: from before these columns.';
comment on column journey.journey_executions.seq is 'Visits so far. The visit with this number may still wait.';
comment on column journey.journey_executions.wake_at is 'When the execution goes on. Null: it waits for an event without a deadline, or is not active.';
comment on column journey.journey_executions.wake_queued_until is 'A queue message was sent: until then no other is.';
create unique index journey_executions_active on journey.journey_executions (journey_id, contact_id)
where status = 'active';
create unique index journey_executions_entry on journey.journey_executions (journey_id, contact_id, entry_no);
create index journey_executions_wake on journey.journey_executions (wake_at) where status = 'active';
create index journey_executions_progress on journey.journey_executions (last_progress_at) where status = 'active';
create index journey_executions_contact on journey.journey_executions (contact_id) where status = 'active';
create index journey_executions_of_journey on journey.journey_executions (journey_id, id) where status = 'active';

create table journey.step_executions (
    id uuid primary key default gen_random_uuid(),
    execution_id uuid not null,
    step_id uuid not null,
    organization_id uuid not null,
    status text not null default 'pending'
    check (status in ('pending', 'running', 'completed', 'failed', 'skipped')),
    started_at timestamptz,
    completed_at timestamptz,
    result jsonb,
    error text,
    seq integer,
    unique (execution_id, seq)
);
comment on table journey.step_executions is 'One row for each visit of a step. It is running while the execution waits in the step.';
create index step_executions_age on journey.step_executions (completed_at);

create table journey.execution_logs (
    id uuid primary key default gen_random_uuid(),
    execution_id uuid not null,
    organization_id uuid not null,
    level text not null check (level in ('info', 'warn', 'error')),
    message text not null,
    metadata jsonb,
    created_at timestamptz not null default now(),
    code text
);
create index execution_logs_execution on journey.execution_logs (execution_id, created_at);
create index execution_logs_age on journey.execution_logs (created_at);

create table journey.waits (
    execution_id uuid not null,
    seq integer not null,
    organization_id uuid not null,
    contact_id uuid not null,
    event_type text not null,
    scope text not null check (scope in ('execution', 'contact')),
    since timestamptz not null,
    until timestamptz,
    primary key (execution_id, seq)
);
create index waits_event on journey.waits (organization_id, contact_id, event_type);
comment on table journey.waits is 'Executions that wait in a gate for an event of their contact.';
comment on column journey.waits.since is 'Events from then on count: the visit, or the start of the execution.';

create table journey.pending_events (
    activity_id uuid primary key,
    organization_id uuid not null,
    contact_id uuid not null,
    event_type text not null,
    seen_at timestamptz not null default now()
);
create index pending_events_contact on journey.pending_events (organization_id, contact_id);
create index pending_events_age on journey.pending_events (seen_at);
comment on table journey.pending_events is 'Events that a trigger or a gate names, until journey.wake-due has applied them.';

create table journey.outbox (
    id bigint generated always as identity primary key,
    event_id uuid not null default gen_random_uuid(),
    type text not null,
    organization_id uuid not null,
    contact_id uuid not null,
    body jsonb not null,
    created_at timestamptz not null default now()
);
create index outbox_contact on journey.outbox (organization_id, contact_id);
comment on table journey.outbox is 'Events for the platform: recorded with what they report, and published after its commit.';

-- Executions.

create function journey.event_body(
    organization_id uuid, journey_id uuid, execution_id uuid, contact_id uuid, further jsonb default '{}'
) returns jsonb
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
return jsonb_strip_nulls(jsonb_build_object(
    'organizationId', organization_id, 'journeyId', journey_id, 'executionId', execution_id, 'contactId', contact_id
) || further);

-- When an execution ends, by any statement, its contact has left: its entry says so, and its waits end. No statement
-- joins the rows of before: its plan is kept, and would read them once for each row if the first call had few.
create function journey.executions_ended() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if not exists (select from became where became.status <> 'active') then
        return null;
    end if;
    -- In the order in which entering locks them.
    perform from became
    join journey.entrants as entrant
        on entrant.journey_id = became.journey_id and entrant.contact_id = became.contact_id
    where became.status <> 'active'
    order by entrant.journey_id, entrant.contact_id
    for update of entrant;
    delete from journey.waits as waiting
    using became
    where became.status <> 'active' and waiting.execution_id = became.id;
    with gone as (
        update journey.entrants as entrant set
            active_execution_id = null,
            last_left_at = coalesce(became.completed_at, now())
        from became
        where became.status <> 'active' and entrant.journey_id = became.journey_id
            and entrant.contact_id = became.contact_id and entrant.active_execution_id = became.id
        returning
            became.id, became.journey_id, became.organization_id, became.contact_id, became.status, became.exit_reason
    )
    insert into journey.outbox (type, organization_id, contact_id, body)
    select
        'journey.Execution' || initcap(status), organization_id, contact_id,
        journey.event_body(
            organization_id, journey_id, id, contact_id, jsonb_build_object('reason', exit_reason)
        )
    from gone;
    return null;
end $$;
create trigger executions_ended after update on journey.journey_executions
referencing new table as became for each statement execute function journey.executions_ended();

create view journey.execution_state as
select
    execution.id, execution.organization_id, execution.journey_id, execution.journey_version_id, execution.contact_id,
    execution.status, execution.exit_reason, execution.started_at, execution.completed_at, execution.last_progress_at,
    execution.entry_no, execution.seq, execution.current_step_id, step.type as current_step_type, execution.wake_at,
    waiting.event_type as waits_for, waiting.until as waits_until
from journey.journey_executions as execution
left join journey.journey_steps as step on step.id = execution.current_step_id
left join journey.waits as waiting on waiting.execution_id = execution.id and waiting.seq = execution.seq;
comment on view journey.execution_state is 'Where each contact of a journey stands.';

-- Local times.

create function journey.local_instant(local timestamp, zone text) returns timestamptz
language sql stable parallel safe set search_path = pg_catalog, pg_temp
begin atomic
with offsets as (
    select
        (local at time zone 'UTC' - interval '1 day') at time zone zone - (local - interval '1 day') as earlier,
        (local at time zone 'UTC' + interval '1 day') at time zone zone - (local + interval '1 day') as later
),
candidates as (
    select local at time zone 'UTC' - earlier as before_change, local at time zone 'UTC' - later as after_change
    from offsets
)
select coalesce(
    least(
        case when before_change at time zone zone = local then before_change end,
        case when after_change at time zone zone = local then after_change end
    ),
    (
        select min(moment)
        from generate_series(after_change, before_change, interval '1 minute') as moment
        where moment at time zone zone > local
    ),
    before_change
)
from candidates;
end;
comment on function journey.local_instant is 'The instant of a local time: the first of two, and the end of the gap for a time that a change of clocks leaves out.';

create function journey.next_local_time(since timestamptz, at time, weekdays integer [], zone text) returns timestamptz
language sql stable parallel safe set search_path = pg_catalog, pg_temp
begin atomic
select min(journey.local_instant(day + at, zone))
from generate_series(
    date_trunc('day', since at time zone zone), date_trunc('day', since at time zone zone) + interval '8 days',
    interval '1 day'
) as day
where (weekdays is null or extract(isodow from day) = any (weekdays)) and journey.local_instant(day + at, zone) > since;
end;
comment on function journey.next_local_time is 'The first time of day after a moment, on some days of the week: 1 is Monday, null is every day.';

-- Entering.

create function journey.enter(
    journey_id uuid, trigger_id uuid, contact_ids uuid [], occasions text [], has_stay boolean,
    moment timestamptz, queued_until timestamptz
) returns table (execution_id uuid, contact_id uuid, occasion text, outcome text, reason text)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    own record;
begin
    select
        known.organization_id,
        known.status = 'active' and version.entry_step_id is not null as is_open,
        version.id as version_id,
        version.entry_step_id,
        coalesce(known.settings #>> '{reEntry,type}', 'once') as re_entry,
        make_interval(secs => 86400 * cast(known.settings #>> '{reEntry,cooldownDays}' as numeric)) as cooldown,
        cast(cast(known.settings #>> '{frequencyCap,maxCount}' as numeric) as integer) as cap,
        make_interval(secs => 86400 * cast(known.settings #>> '{frequencyCap,windowDays}' as numeric)) as cap_window
    into own
    from journey.journeys as known
    left join journey.journey_versions as version on version.id = known.active_version_id
    where known.id = enter.journey_id;
    if not found then
        return;
    end if;
    -- In key order, so that two runs never wait for each other.
    insert into journey.entrants (
        journey_id, contact_id, organization_id, entries, first_entered_at, last_entered_at, last_left_at,
        active_execution_id
    )
    select
        enter.journey_id, contact.id, own.organization_id, greatest(past.highest, past.entries), past.first_at,
        past.last_at, past.left_at, past.active_id
    from crm.contacts as contact
    cross join lateral (
        select
            count(*) as entries, coalesce(max(execution.entry_no), 0) as highest, min(execution.started_at) as first_at,
            max(execution.started_at) as last_at, max(execution.completed_at) as left_at,
            (array_agg(execution.id) filter (where execution.status = 'active'))[1] as active_id
        from journey.journey_executions as execution
        where execution.journey_id = enter.journey_id and execution.contact_id = contact.id
    ) as past
    where contact.id = any (enter.contact_ids) and contact.organization_id = own.organization_id
    order by contact.id
    on conflict do nothing;
    perform from journey.entrants as entrant
    where entrant.journey_id = enter.journey_id and entrant.contact_id = any (enter.contact_ids)
    order by entrant.contact_id
    for update;

    return query
    with asked as (
        select given.contact_id, given.occasion, min(given.place) as place
        from unnest(enter.contact_ids, enter.occasions) with ordinality as given (contact_id, occasion, place)
        group by given.contact_id, given.occasion
    ),
    fresh as (
        select asked.*, row_number() over (partition by asked.contact_id order by asked.place) as turn
        from asked
        left join journey.trigger_entries as used
            on used.journey_id = enter.journey_id and used.contact_id = asked.contact_id
            and used.occasion = asked.occasion
        where used.occasion is null or used.outcome = 'blocked'
    ),
    weighed as (
        select
            fresh.contact_id, fresh.occasion, fresh.turn, entrant.entries,
            contact.id is null as is_missing, contact.status = 'do_not_contact' as is_off_limits,
            entrant.active_execution_id is not null as is_inside,
            entrant.last_left_at + own.cooldown as rested_at,
            (
                select execution.started_at + own.cap_window
                from journey.journey_executions as execution
                where execution.journey_id = enter.journey_id and execution.contact_id = fresh.contact_id
                order by execution.started_at desc
                offset own.cap - 1
                limit 1
            ) as uncapped_at
        from fresh
        left join crm.contacts as contact
            on contact.id = fresh.contact_id and contact.organization_id = own.organization_id
        left join journey.entrants as entrant
            on entrant.journey_id = enter.journey_id and entrant.contact_id = fresh.contact_id
    ),
    judged as (
        select
            weighed.*,
            case
                when not own.is_open then 'journey_not_active'
                when is_missing then 'contact_missing'
                when is_off_limits then 'do_not_contact'
                when own.re_entry = 'once' and entries > 0 then 'entered_before'
                when is_inside then 'active'
                when own.re_entry = 'cooldown' and rested_at > moment then 'cooldown'
                when own.cap is not null and uncapped_at > moment then 'cap'
                when turn > 1 then 'active'
            end as why
        from weighed
    ),
    decided as (
        select
            judged.*,
            case when why is null then gen_random_uuid() end as new_id,
            case
                when why is null then 'entered'
                when has_stay and why in ('active', 'cooldown', 'cap') then 'blocked'
                else 'refused'
            end as verdict
        from judged
    ),
    noted as (
        insert into journey.trigger_entries as entry (
            journey_id, contact_id, occasion, organization_id, trigger_id, outcome, reason, retry_at, execution_id, at
        )
        select
            enter.journey_id, decided.contact_id, decided.occasion, own.organization_id, enter.trigger_id, verdict, why,
            case
                when verdict = 'blocked' then
                    case why when 'cooldown' then rested_at when 'cap' then uncapped_at else moment + interval '1 hour' end
            end,
            new_id, moment
        from decided
        order by decided.contact_id, decided.occasion
        on conflict (journey_id, contact_id, occasion) do update
        set outcome = excluded.outcome, reason = excluded.reason, retry_at = excluded.retry_at,
            execution_id = excluded.execution_id, at = excluded.at
        where entry.outcome = 'blocked'
    ),
    counted as (
        update journey.entrants as entrant set
            entries = entrant.entries + 1,
            first_entered_at = coalesce(entrant.first_entered_at, moment),
            last_entered_at = moment,
            active_execution_id = decided.new_id
        from decided
        where decided.verdict = 'entered' and entrant.journey_id = enter.journey_id
            and entrant.contact_id = decided.contact_id
    ),
    created as (
        insert into journey.journey_executions (
            id, journey_id, journey_version_id, organization_id, contact_id, status, started_at, current_step_id,
            trigger_id, occasion, entry_no, wake_at, wake_queued_until, last_progress_at
        )
        select
            new_id, enter.journey_id, own.version_id, own.organization_id, decided.contact_id, 'active', moment,
            own.entry_step_id, enter.trigger_id, decided.occasion, decided.entries + 1, moment, queued_until, moment
        from decided
        where verdict = 'entered'
    ),
    announced as (
        insert into journey.outbox (type, organization_id, contact_id, body)
        select
            'journey.ExecutionStarted', own.organization_id, decided.contact_id,
            journey.event_body(own.organization_id, enter.journey_id, new_id, decided.contact_id)
        from decided
        where verdict = 'entered'
    )
    select decided.new_id, decided.contact_id, decided.occasion, decided.verdict, decided.why
    from decided
    order by decided.contact_id, decided.occasion;
end $$;
comment on function journey.enter is 'Enters contacts on occasions, each of which is used once. has_stay: a contact that must wait is asked again.';

create function journey.enroll(organization_id uuid, journey_id uuid, contact_ids uuid [], request_id text)
returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
    entered bigint;
begin
    if coalesce(trim(request_id), '') = '' or length(request_id) > 200 then
        raise exception 'a request needs an id of 1 to 200 characters' using errcode = '22023';
    end if;
    if not exists (
        select from journey.journeys as known
        where known.id = enroll.journey_id and known.organization_id = enroll.organization_id
    ) then
        raise exception 'the organization has no such journey' using errcode = '22023';
    end if;
    select count(*) filter (where found.outcome = 'entered') into entered
    from journey.enter(
        journey_id, null, contact_ids, array_fill('request:' || request_id, array[cardinality(contact_ids)]),
        false, now(), null
    ) as found;
    return entered;
end $$;
comment on function journey.enroll is 'Enters contacts into a journey, at most once for each request. Returns how many entered; the first step follows within five minutes.';

-- Publishing.

create function journey.step_kind(type text, config jsonb) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
return case
    when type in ('split', 'condition') then
        case coalesce(config ->> 'type', 'split_' || case type when 'split' then 'random' else 'condition' end)
            when 'split_random' then 'split'
            when 'split_condition' then 'condition'
        end
    when type in ('trigger', 'action', 'delay', 'gate', 'exit') then type
end;
comment on function journey.step_kind is 'What a step does; null: it is not known.';

create function journey.step_problem(type text, config jsonb) returns text
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
declare
    kind constant text := journey.step_kind(type, config);
    action constant text := coalesce(config ->> 'type', config ->> 'action');
    is_uuid constant text := '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$';
begin
    if kind is null then
        return format('the type "%s" is not known', type);
    elsif kind = 'action' then
        if action is null or action not in ('send_email', 'send_sms', 'send_push', 'create_task', 'send_linkedin') then
            return format('the action "%s" is not known', action);
        elsif action like 'send\_%' and action <> 'send_linkedin'
            and coalesce(config ->> 'templateId', '') !~ is_uuid then
            return 'templateId is not an id';
        elsif coalesce(config ->> 'class', 'marketing') not in ('marketing', 'transactional') then
            return 'class is neither marketing nor transactional';
        end if;
    elsif kind = 'delay' and config ->> 'type' = 'delay_until' then
        if coalesce(config ->> 'time', '') !~ '^([01][0-9]|2[0-3]):[0-5][0-9]$' then
            return 'time is not HH:MM';
        elsif coalesce(config ->> 'zone', 'contact') not in ('contact', 'organization') then
            return 'zone is neither contact nor organization';
        elsif config ? 'weekdays' and not (
            jsonb_typeof(config -> 'weekdays') = 'array' and jsonb_array_length(config -> 'weekdays') > 0
            and not jsonb_path_exists(config, '$.weekdays[*] ? (!(@ == 1 || @ == 2 || @ == 3 || @ == 4 || @ == 5 || @ == 6 || @ == 7))')
        ) then
            return 'weekdays is not a list of days from 1 (Monday) to 7';
        end if;
    elsif kind = 'delay' then
        if not jsonb_path_exists(config, '$.duration ? (@.type() == "number" && @ > 0 && @ <= 1000000)') then
            return 'duration is not a number above 0';
        elsif coalesce(config ->> 'unit', '') not in ('minutes', 'hours', 'days') then
            return 'unit is not minutes, hours or days';
        end if;
    elsif kind = 'split' then
        if jsonb_path_exists(config, '$.branches[*] ? (!(@.percentage.type() == "number" && @.percentage >= 0 && @.label.type() == "string"))')
            or (select sum(cast(branch ->> 'percentage' as numeric)) is distinct from 100
                from jsonb_path_query(config, '$.branches[*]') as branch) then
            return 'the percentages of the branches do not add up to 100';
        elsif (select count(*) > count(distinct branch ->> 'label')
            from jsonb_path_query(config, '$.branches[*]') as branch) then
            return 'two branches have the same label';
        end if;
    elsif kind = 'condition' then
        if not (config ? 'conditions' or config ? 'field' or config ? 'event') then
            return 'the condition has neither field, event nor conditions';
        end if;
    elsif kind = 'gate' then
        if coalesce(config ->> 'eventType', '') = '' then
            return 'eventType is missing';
        elsif coalesce(config ->> 'scope', 'contact') not in ('execution', 'contact') then
            return 'scope is neither execution nor contact';
        elsif coalesce(jsonb_typeof(config -> 'timeout'), 'null') <> 'null'
            and not jsonb_path_exists(config, '$.timeout ? (@.type() == "number" && @ > 0 && @ <= 1000000)') then
            return 'timeout is not a number of hours above 0';
        end if;
    end if;
    return null;
end $$;

create function journey.labels(type text, config jsonb) returns text []
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
return case journey.step_kind(type, config)
    when 'split' then array(select branch ->> 'label' from jsonb_path_query(config, '$.branches[*]') as branch)
    when 'condition' then array['yes', 'no']
    when 'gate' then array['yes', 'no']
    else '{}'
end;
comment on function journey.labels is 'The labels between which a step decides.';

create function journey.entry_step(version_id uuid) returns uuid []
language sql stable set search_path = pg_catalog, pg_temp
begin atomic
with own as (
    select step.id, step.type from journey.journey_steps as step where step.journey_version_id = version_id
),
triggers as (
    select own.id from own where own.type = 'trigger'
)
select coalesce(array_agg(entry.id order by entry.id), '{}')
from (
    select connection.to_step_id as id
    from triggers join journey.journey_step_connections as connection on connection.from_step_id = triggers.id
    union
    select own.id from own
    where not exists (select from triggers)
        and not exists (select from journey.journey_step_connections as connection where connection.to_step_id = own.id)
) as entry;
end;
comment on function journey.entry_step is 'Where executions begin: the target of the trigger step, or the step without an incoming connection.';

create function journey.version_problem(version_id uuid) returns text
language sql stable set search_path = pg_catalog, pg_temp
as $$
with own as (
    select step.id, step.type, step.config from journey.journey_steps as step where step.journey_version_id = version_id
),
links as (
    select
        connection.from_step_id, connection.label, own.type, own.config, cardinality(journey.labels(own.type, own.config)) as choices,
        target.id is null as is_dangling
    from own
    join journey.journey_step_connections as connection on connection.from_step_id = own.id
    left join own as target on target.id = connection.to_step_id
)
select problem
from (
    select 1 as place, 'the version has no entry' as problem where cardinality(journey.entry_step(version_id)) = 0
    union all
    select 2, 'the version has more than one entry' where cardinality(journey.entry_step(version_id)) > 1
    union all
    select 3, format('step %s: %s', own.id, journey.step_problem(own.type, own.config))
    from own where journey.step_problem(own.type, own.config) is not null
    union all
    select 4, format('step %s: a connection leads out of the version', links.from_step_id)
    from links where links.is_dangling
    union all
    select 5, format('step %s: "%s" is not one of its labels', links.from_step_id, links.label)
    from links
    where coalesce(links.label, '') <> '' and not links.label = any (journey.labels(links.type, links.config))
    union all
    select 6, format('step %s: more than one connection without a label', links.from_step_id)
    from links where links.choices = 0
    group by links.from_step_id having count(*) > 1
) as found
order by place, problem
limit 1
$$;
comment on function journey.version_problem is 'Why a version cannot be published; null: it can.';

create function journey.guard_version() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    problem text;
begin
    if tg_op = 'UPDATE' and old.published_at is not null then
        if new is distinct from old then
            raise exception 'a published version does not change: publish a new one' using errcode = '22023';
        end if;
        return new;
    end if;
    if new.published_at is not null then
        problem := journey.version_problem(new.id);
        if problem is not null then
            raise exception 'the version cannot be published: %', problem using errcode = '22023';
        end if;
        new.entry_step_id := (journey.entry_step(new.id))[1];
        update journey.journeys as known set active_version_id = new.id
        where known.id = new.journey_id and known.organization_id = new.organization_id;
        if not found then
            raise exception 'the organization has no such journey' using errcode = '22023';
        end if;
    end if;
    return new;
end $$;
create trigger guard_version before insert or update on journey.journey_versions
for each row execute function journey.guard_version();

-- Steps and connections change with their version: not once it is published. They may be deleted when
-- their journey is gone.
create function journey.guard_steps() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if exists (
        select from journey.journey_versions as version
        join journey.journeys as known on known.id = version.journey_id or tg_op <> 'DELETE'
        where version.published_at is not null
            and version.id in (
                case when tg_op <> 'INSERT' then old.journey_version_id end,
                case when tg_op <> 'DELETE' then new.journey_version_id end
            )
    ) then
        raise exception 'the steps of a published version do not change' using errcode = '22023';
    end if;
    return case tg_op when 'DELETE' then old else new end;
end $$;
create trigger guard_steps before insert or update or delete on journey.journey_steps
for each row execute function journey.guard_steps();

create function journey.guard_connections() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if exists (
        select from journey.journey_steps as step
        join journey.journey_versions as version on version.id = step.journey_version_id
        join journey.journeys as known on known.id = version.journey_id or tg_op <> 'DELETE'
        where version.published_at is not null
            and step.id in (
                case when tg_op <> 'INSERT' then old.from_step_id end,
                case when tg_op <> 'DELETE' then new.from_step_id end
            )
    ) then
        raise exception 'the steps of a published version do not change' using errcode = '22023';
    end if;
    return case tg_op when 'DELETE' then old else new end;
end $$;
create trigger guard_connections before insert or update or delete on journey.journey_step_connections
for each row execute function journey.guard_connections();

create function journey.guard_published() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if exists (select from journey.journeys as known where known.id = old.journey_id) then
        raise exception 'a published version stays as long as its journey' using errcode = '22023';
    end if;
    return old;
end $$;
create trigger guard_published before delete on journey.journey_versions
for each row when (old.published_at is not null) execute function journey.guard_published();

-- Triggers of journeys.

create function journey.trigger_problem(type text, config jsonb) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
return case
    when type in ('manual', 'api') then null
    when type = 'segment' then
        case
            when coalesce(config ->> 'segmentId', '') !~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'
                then 'segmentId is not an id'
            when coalesce(jsonb_typeof(config -> 'existing'), 'boolean') <> 'boolean' then 'existing is not true or false'
        end
    when type = 'event' then
        case
            when coalesce(config ->> 'eventType', '') = '' then 'eventType is missing'
            when coalesce(jsonb_typeof(config -> 'filters'), 'null') not in ('null', 'object')
                then 'filters is not an object'
        end
    when type in ('score', 'score_threshold') then
        case
            when coalesce(config ->> 'threshold', config ->> 'minScore', '') not in ('20', '40', '60', '80')
                then 'the threshold is not 20, 40, 60 or 80: use a segment on lead_score'
            when coalesce(config ->> 'operator', 'gte') not in ('gte', 'lte')
                or coalesce(config ->> 'direction', 'up') not in ('up', 'down')
                then 'the direction is not known'
        end
    else 'not supported'
end;
comment on function journey.trigger_problem is 'Why a trigger enrolls no contact; null: it does.';

create function journey.note_problem() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    new.problem := journey.trigger_problem(new.type, new.config);
    return new;
end $$;
create trigger note_problem before insert or update of type, config, problem on journey.journey_triggers
for each row execute function journey.note_problem();

-- What the change feed carries for journeys.

create function journey.activity_added() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into crm.contact_changes (consumer, organization_id, contact_id, source, name, activity_id)
    select 'events', changed.organization_id, changed.contact_id, 'event', changed.event_type, changed.id
    from changed
    where exists (
            select from journey.journey_triggers as known
            where known.organization_id = changed.organization_id and known.config ->> 'eventType' = changed.event_type
                and known.type = 'event' and known.enabled and known.problem is null
        )
        or exists (
            select from journey.waits as waiting
            where waiting.organization_id = changed.organization_id and waiting.contact_id = changed.contact_id
                and waiting.event_type = changed.event_type
        );
    return null;
end $$;
create trigger journey_insert after insert on analytics.contact_activity
referencing new table as changed for each statement execute function journey.activity_added();

create function journey.contacts_removed() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into crm.contact_changes (consumer, organization_id, contact_id, source, name)
    select 'events', changed.organization_id, changed.id, 'contact', 'deleted'
    from changed
    where exists (
        select from journey.journey_executions as execution
        where execution.contact_id = changed.id and execution.status = 'active'
    );
    return null;
end $$;
create trigger journey_delete after delete on crm.contacts
referencing old table as changed for each statement execute function journey.contacts_removed();

-- Erasure.

create function journey.erase_contact(organization_id uuid, contact_id uuid) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    touched bigint;
    total bigint := 0;
begin
    delete from journey.step_executions as gone using journey.journey_executions as execution
    where execution.organization_id = erase_contact.organization_id
        and execution.contact_id = erase_contact.contact_id and gone.execution_id = execution.id;
    get diagnostics touched = row_count; total := total + touched;
    delete from journey.execution_logs as gone using journey.journey_executions as execution
    where execution.organization_id = erase_contact.organization_id
        and execution.contact_id = erase_contact.contact_id and gone.execution_id = execution.id;
    get diagnostics touched = row_count; total := total + touched;
    delete from journey.waits as gone
    where gone.organization_id = erase_contact.organization_id and gone.contact_id = erase_contact.contact_id;
    get diagnostics touched = row_count; total := total + touched;
    delete from journey.journey_executions as gone
    where gone.organization_id = erase_contact.organization_id and gone.contact_id = erase_contact.contact_id;
    get diagnostics touched = row_count; total := total + touched;
    delete from journey.pending_events as gone
    where gone.organization_id = erase_contact.organization_id and gone.contact_id = erase_contact.contact_id;
    get diagnostics touched = row_count; total := total + touched;
    delete from journey.trigger_entries as gone
    where gone.organization_id = erase_contact.organization_id and gone.contact_id = erase_contact.contact_id;
    get diagnostics touched = row_count; total := total + touched;
    delete from journey.entrants as gone
    where gone.organization_id = erase_contact.organization_id and gone.contact_id = erase_contact.contact_id;
    get diagnostics touched = row_count; total := total + touched;
    delete from journey.outbox as gone
    where gone.organization_id = erase_contact.organization_id and gone.contact_id = erase_contact.contact_id;
    get diagnostics touched = row_count; total := total + touched;
    return total;
end $$;
create index journey_executions_of_contact on journey.journey_executions (organization_id, contact_id);

do $do$
declare
    was constant text := pg_get_functiondef('ops.erase_contact'::regproc);
    old_step constant text := 'delete from journey.journey_executions as gone
    where gone.organization_id = erase_contact.organization_id and gone.contact_id = erase_contact.contact_id;
    get diagnostics touched = row_count; total := total + touched;';
    new_step constant text := 'total := total + journey.erase_contact(erase_contact.organization_id, erase_contact.contact_id);';
begin
    if position(old_step in was) = 0 then
        raise exception 'ops.erase_contact does not erase executions where it is expected';
    end if;
    execute replace(was, old_step, new_step);
end $do$;
