-- migrate:up
-- Lead scores: what they are computed from, the scores, their alerts, and who is to be scored anew.

create schema scoring;

-- What a factor is worth unless an organisation says otherwise.

create table scoring.factors (
    category text not null check (category in ('fit', 'engagement', 'intent')),
    factor varchar(100) not null,
    part_of varchar(100),
    points integer,
    primary key (category, factor),
    foreign key (category, part_of) references scoring.factors (category, factor)
);
comment on table scoring.factors is 'Every factor that a score may have. In the category intent a factor is a type of signal, and its points are the weight of one.';
comment on column scoring.factors.part_of is 'The factor of which this is one level: an override of the whole counts for each level that has none of its own.';

insert into scoring.factors (category, factor, part_of, points) values
('fit', 'has_email', null, 10),
('fit', 'has_phone', null, 15),
('fit', 'has_direct_phone', null, 10),
('fit', 'company_size', null, null),
('fit', 'company_size_smb', 'company_size', 5),
('fit', 'company_size_mid', 'company_size', 10),
('fit', 'company_size_enterprise', 'company_size', 15),
('fit', 'seniority', null, null),
('fit', 'seniority_c_level', 'seniority', 20),
('fit', 'seniority_vp', 'seniority', 15),
('fit', 'seniority_director', 'seniority', 10),
('fit', 'seniority_manager', 'seniority', 5),
('engagement', 'recent_activity', null, null),
('engagement', 'recent_activity_high', 'recent_activity', 15),
('engagement', 'recent_activity_some', 'recent_activity', 10),
('engagement', 'content_download', null, 10),
('intent', 'PRICING_PAGE', null, 20),
('intent', 'DEMO_REQUEST', null, 30),
('intent', 'FREE_TRIAL', null, 25),
('intent', 'CONTACT_REQUEST', null, 20),
('intent', 'COMPETITOR_COMPARISON', null, 15),
('intent', 'CASE_STUDY_VIEW', null, 12),
('intent', 'FORM_SUBMISSION', null, 15),
('intent', 'CONTENT_DOWNLOAD', null, 10),
('intent', 'EMAIL_CLICK', null, 8),
('intent', 'WEBSITE_VISIT', null, 5),
('intent', 'EMAIL_OPEN', null, 3),
('intent', 'PROFILE_UPDATE', null, 2);

create table scoring.scoring_configs (
    organization_id uuid not null,
    category text not null,
    factor varchar(100) not null,
    weight integer check (weight between -1000 and 1000),
    enabled boolean not null default true,
    primary key (organization_id, category, factor),
    foreign key (category, factor) references scoring.factors (category, factor)
);
comment on table scoring.scoring_configs is 'An organisation''s own points for a factor; null keeps the usual ones. The foreign key refuses a factor that is not known.';

create table scoring.signal_configs (
    organization_id uuid not null,
    signal_type varchar(50) not null,
    weight numeric(5, 2) check (weight between -999.99 and 999.99), -- this refuses NaN too
    decay_hours integer check (decay_hours > 0),
    tier text check (tier in ('critical', 'high', 'medium', 'low')),
    enabled boolean not null default true,
    primary key (organization_id, signal_type)
);
comment on table scoring.signal_configs is 'What a type of signal means to an organisation. A disabled type counts nothing and alerts nobody.';
comment on column scoring.signal_configs.tier is 'With a tier, a signal of this type opens an alert of that priority.';

create table scoring.intent_signals (
    id uuid primary key default gen_random_uuid(),
    organization_id uuid not null,
    contact_id uuid not null,
    signal_type varchar(50) not null,
    source varchar(100),
    weight numeric(5, 2) check (weight between -999.99 and 999.99),
    detected_at timestamptz not null default now() check (isfinite(detected_at)),
    decay_model text not null default 'linear' check (decay_model in ('linear', 'exponential', 'step')),
    decay_hours integer check (decay_hours > 0),
    expires_at timestamptz,
    metadata jsonb
);
comment on column scoring.intent_signals.weight is 'Null takes the organisation''s weight for the type (signal_configs, then scoring_configs), then the usual one (factors).';
comment on column scoring.intent_signals.decay_hours is 'Null takes the organisation''s for the type (signal_configs), then 168.';
comment on column scoring.intent_signals.expires_at is 'An end before the decay''s own, if there is one.';
create index intent_signals_contact on scoring.intent_signals (organization_id, contact_id);

create table scoring.lead_scores (
    organization_id uuid not null,
    contact_id uuid not null,
    total_score integer not null check (total_score between 0 and 100),
    grade char(1) not null check (grade in ('A', 'B', 'C', 'D', 'F')),
    engagement_score integer not null,
    fit_score integer not null,
    intent_score integer not null,
    components jsonb not null default '{}',
    top_contributors jsonb not null default '[]',
    scored_at timestamptz not null,
    recheck_at timestamptz not null default '-infinity',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (organization_id, contact_id)
);
comment on column scoring.lead_scores.scored_at is 'The time that the score is of; a score is never replaced by one of an earlier time.';
comment on column scoring.lead_scores.recheck_at is 'Before this moment the mere passing of time cannot change the score: SignalDecay need not look.';
create index lead_scores_recheck on scoring.lead_scores (recheck_at) where recheck_at < 'infinity';

create table scoring.score_history (
    organization_id uuid not null,
    contact_id uuid not null,
    date date not null,
    total_score integer not null,
    engagement_score integer not null,
    fit_score integer not null,
    intent_score integer not null,
    primary key (organization_id, contact_id, date)
);
comment on table scoring.score_history is 'The last score of each day on which it was written. On other days it was what it had been: take the newest row up to the day.';

create table scoring.threshold_outbox (
    id bigint generated always as identity primary key,
    event_id uuid not null default gen_random_uuid(),
    organization_id uuid not null,
    contact_id uuid not null,
    score integer not null,
    previous_score integer not null,
    scored_at timestamptz not null
);
comment on table scoring.threshold_outbox is 'Scores that crossed a threshold, written with the score and removed once they are published.';

-- Who must be scored anew.

create sequence scoring.backlog_version;

create table scoring.recompute_backlog (
    organization_id uuid not null,
    contact_id uuid not null,
    reason text not null,
    version bigint not null default nextval('scoring.backlog_version'),
    requested_at timestamptz not null default now(),
    primary key (organization_id, contact_id)
) with (fillfactor = 70);
comment on table scoring.recompute_backlog is 'Contacts whose score is older than what it depends on. A row is locked by whoever writes that contact''s score.';
comment on column scoring.recompute_backlog.version is 'Moves with every change: a row is cleared only by a computation that has seen this very version.';
comment on column scoring.recompute_backlog.requested_at is 'The first change that has not been computed yet.';

-- The triggers work on the rows of a whole statement. They write entries in the order of the key,
-- so that two writers never wait for each other in a circle; and with the rights of their owner,
-- so that the platform's other services need none on this schema.

create function scoring.request_recompute(organization_ids uuid [], contact_ids uuid [], reason text)
returns bigint language sql as $$
    with requested as (
        insert into scoring.recompute_backlog as entry (organization_id, contact_id, reason)
        select distinct organization_id, contact_id, request_recompute.reason
        from unnest(organization_ids, contact_ids) as contact (organization_id, contact_id)
        order by organization_id, contact_id
        on conflict (organization_id, contact_id) do update set version = excluded.version, reason = excluded.reason
        returning 1
    )
    select count(*) from requested
$$;
comment on function scoring.request_recompute is 'Asks for contacts to be scored anew: for whoever changes what a score depends on behind the triggers'' back.';

create function scoring.contacts_changed() returns trigger language plpgsql security definer set search_path = pg_catalog as $$
begin
    insert into scoring.recompute_backlog as entry (organization_id, contact_id, reason)
    select organization_id, id, 'contact' from changed order by organization_id, id
    on conflict (organization_id, contact_id) do update set version = excluded.version, reason = excluded.reason;
    return null;
end $$;

-- Most updates of a contact (its stage, its last activity) touch nothing that counts.
create function scoring.contacts_updated() returns trigger language plpgsql security definer set search_path = pg_catalog as $$
begin
    insert into scoring.recompute_backlog as entry (organization_id, contact_id, reason)
    select organization_id, id, 'contact'
    from (
        select was.organization_id, was.id, was.email, was.phone, was.custom_fields from was
        except all
        select became.organization_id, became.id, became.email, became.phone, became.custom_fields from became
    ) as lost
    union
    select organization_id, id, 'contact'
    from (
        select became.organization_id, became.id, became.email, became.phone, became.custom_fields from became
        except all
        select was.organization_id, was.id, was.email, was.phone, was.custom_fields from was
    ) as gained
    order by 1, 2
    on conflict (organization_id, contact_id) do update set version = excluded.version, reason = excluded.reason;
    return null;
end $$;

create function scoring.signals_changed() returns trigger language plpgsql security definer set search_path = pg_catalog as $$
begin
    insert into scoring.recompute_backlog as entry (organization_id, contact_id, reason)
    select distinct organization_id, contact_id, 'signal' from changed order by organization_id, contact_id
    on conflict (organization_id, contact_id) do update set version = excluded.version, reason = excluded.reason;
    return null;
end $$;

create function scoring.activity_changed() returns trigger language plpgsql security definer set search_path = pg_catalog as $$
begin
    insert into scoring.recompute_backlog as entry (organization_id, contact_id, reason)
    select distinct organization_id, contact_id, 'activity'
    from changed
    where event_type in ('email_opened', 'email_clicked', 'form_submitted', 'page_visited', 'content_download')
    order by organization_id, contact_id
    on conflict (organization_id, contact_id) do update set version = excluded.version, reason = excluded.reason;
    return null;
end $$;

create function scoring.scoring_configs_changed() returns trigger language plpgsql security definer set search_path = pg_catalog as $$
begin
    insert into scoring.recompute_backlog as entry (organization_id, contact_id, reason)
    select contact.organization_id, contact.id, 'config'
    from (select distinct organization_id from changed) as organization
    join crm.contacts as contact using (organization_id)
    order by contact.organization_id, contact.id
    on conflict (organization_id, contact_id) do update set version = excluded.version, reason = excluded.reason;
    return null;
end $$;

create function scoring.signal_configs_changed() returns trigger language plpgsql security definer set search_path = pg_catalog as $$
begin
    insert into scoring.recompute_backlog as entry (organization_id, contact_id, reason)
    select distinct signal.organization_id, signal.contact_id, 'config'
    from (select distinct organization_id, signal_type from changed) as kind
    join scoring.intent_signals as signal using (organization_id, signal_type)
    order by signal.organization_id, signal.contact_id
    on conflict (organization_id, contact_id) do update set version = excluded.version, reason = excluded.reason;
    return null;
end $$;

create trigger scoring_insert after insert on crm.contacts
referencing new table as changed for each statement execute function scoring.contacts_changed();
create trigger scoring_delete after delete on crm.contacts
referencing old table as changed for each statement execute function scoring.contacts_changed();
create trigger scoring_update after update on crm.contacts
referencing old table as was new table as became for each statement execute function scoring.contacts_updated();

create trigger scoring_insert after insert on scoring.intent_signals
referencing new table as changed for each statement execute function scoring.signals_changed();
create trigger scoring_delete after delete on scoring.intent_signals
referencing old table as changed for each statement execute function scoring.signals_changed();
create trigger scoring_update_from after update on scoring.intent_signals
referencing old table as changed for each statement execute function scoring.signals_changed();
create trigger scoring_update_to after update on scoring.intent_signals
referencing new table as changed for each statement execute function scoring.signals_changed();

create trigger scoring_insert after insert on analytics.contact_activity
referencing new table as changed for each statement execute function scoring.activity_changed();
create trigger scoring_delete after delete on analytics.contact_activity
referencing old table as changed for each statement execute function scoring.activity_changed();
create trigger scoring_update_from after update on analytics.contact_activity
referencing old table as changed for each statement execute function scoring.activity_changed();
create trigger scoring_update_to after update on analytics.contact_activity
referencing new table as changed for each statement execute function scoring.activity_changed();

create trigger scoring_insert after insert on scoring.scoring_configs
referencing new table as changed for each statement execute function scoring.scoring_configs_changed();
create trigger scoring_delete after delete on scoring.scoring_configs
referencing old table as changed for each statement execute function scoring.scoring_configs_changed();
create trigger scoring_update_from after update on scoring.scoring_configs
referencing old table as changed for each statement execute function scoring.scoring_configs_changed();
create trigger scoring_update_to after update on scoring.scoring_configs
referencing new table as changed for each statement execute function scoring.scoring_configs_changed();

create trigger scoring_insert after insert on scoring.signal_configs
referencing new table as changed for each statement execute function scoring.signal_configs_changed();
create trigger scoring_delete after delete on scoring.signal_configs
referencing old table as changed for each statement execute function scoring.signal_configs_changed();
create trigger scoring_update_from after update on scoring.signal_configs
referencing old table as changed for each statement execute function scoring.signal_configs_changed();
create trigger scoring_update_to after update on scoring.signal_configs
referencing new table as changed for each statement execute function scoring.signal_configs_changed();

-- Everybody known so far has no score yet.
insert into scoring.recompute_backlog (organization_id, contact_id, reason)
select organization_id, id, 'contact' from crm.contacts;

-- Alerts.

create table scoring.signal_alerts (
    id uuid primary key default gen_random_uuid(),
    organization_id uuid not null,
    contact_id uuid not null,
    signal_type varchar(50) not null,
    priority text not null check (priority in ('critical', 'high', 'medium', 'low')),
    deadline timestamptz not null,
    status text not null default 'open' check (status in ('open', 'acknowledged', 'expired')),
    acknowledged_at timestamptz,
    acknowledged_by text,
    expired_at timestamptz,
    created_at timestamptz not null default now(),
    check ((status = 'expired') = (expired_at is not null)),
    check (status <> 'acknowledged' or acknowledged_at is not null)
);
comment on column scoring.signal_alerts.deadline is 'created_at and what the priority allows (alert_sla), unless given.';
create unique index signal_alerts_one_open on scoring.signal_alerts (organization_id, contact_id, signal_type)
where status = 'open';
-- The sweep reads the open ones that are due, however many are closed.
create index signal_alerts_due on scoring.signal_alerts (deadline) where status = 'open';

create function scoring.alert_sla(priority text) returns interval language sql immutable strict as $$
    select case priority
        when 'critical' then interval '1 hour'
        when 'high' then interval '4 hours'
        when 'medium' then interval '24 hours'
        when 'low' then interval '72 hours'
    end
$$;
comment on function scoring.alert_sla is 'How long an alert may stay open.';

create function scoring.set_alert_deadline() returns trigger language plpgsql as $$
begin
    new.deadline := new.created_at + scoring.alert_sla(new.priority);
    return new;
end $$;

create trigger scoring_deadline before insert on scoring.signal_alerts
for each row when (new.deadline is null) execute function scoring.set_alert_deadline();

create function scoring.open_alert(
    organization_id uuid, contact_id uuid, signal_type text, priority text, opened_at timestamptz default now()
) returns uuid language sql as $$
    insert into scoring.signal_alerts (organization_id, contact_id, signal_type, priority, created_at)
    values (
        open_alert.organization_id, open_alert.contact_id, open_alert.signal_type, open_alert.priority,
        open_alert.opened_at
    )
    on conflict (organization_id, contact_id, signal_type) where status = 'open' do nothing
    returning id
$$;
comment on function scoring.open_alert is 'Opens an alert, unless one of this contact and type is open; null then.';

-- A signal whose type has a tier opens an alert, timed from when the signal was detected.
create function scoring.signals_alert() returns trigger language plpgsql security definer set search_path = pg_catalog as $$
begin
    insert into scoring.signal_alerts (organization_id, contact_id, signal_type, priority, created_at)
    select organization_id, contact_id, signal_type, config.tier, min(signal.detected_at)
    from changed as signal
    join scoring.signal_configs as config using (organization_id, signal_type)
    where config.enabled and config.tier is not null
    group by organization_id, contact_id, signal_type, config.tier
    order by organization_id, contact_id, signal_type
    on conflict (organization_id, contact_id, signal_type) where status = 'open' do nothing;
    return null;
end $$;

create trigger scoring_alerts after insert on scoring.intent_signals
referencing new table as changed for each statement execute function scoring.signals_alert();
