CREATE SCHEMA analytics;

CREATE SCHEMA crm;

CREATE SCHEMA delivery;

CREATE SCHEMA ops;

CREATE SCHEMA scoring;

CREATE FUNCTION analytics.hour_of(moment timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (date_trunc('hour'::text, (moment AT TIME ZONE 'UTC'::text)) AT TIME ZONE 'UTC'::text);

CREATE FUNCTION analytics.hour_of_day(moment timestamp with time zone) RETURNS smallint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN isfinite(moment) THEN (date_part('hour'::text, (moment AT TIME ZONE 'UTC'::text)))::smallint ELSE NULL::smallint END;

CREATE FUNCTION analytics.hours_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    insert into analytics.changed_hours (organization_id, event_type, hour)
    select organization_id, event_type, analytics.hour_of(occurred_at)
    from (
        select id, organization_id, event_type, contact_id, occurred_at, created_at from was
        except all
        select id, organization_id, event_type, contact_id, occurred_at, created_at from became
    ) as lost
    where isfinite(occurred_at)
    union
    select organization_id, event_type, analytics.hour_of(occurred_at)
    from (
        select id, organization_id, event_type, contact_id, occurred_at, created_at from became
        except all
        select id, organization_id, event_type, contact_id, occurred_at, created_at from was
    ) as gained
    where isfinite(occurred_at);
    return null;
end $$;

CREATE FUNCTION analytics.visitor_key(occurred_at timestamp with time zone, contact_id uuid) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN isfinite(occurred_at) THEN ((((((occurred_at AT TIME ZONE 'UTC'::text))::date - '1970-01-01'::date))::bigint << 32) | ((uuid_hash(contact_id))::bigint & '4294967295'::bigint)) ELSE NULL::bigint END;

COMMENT ON FUNCTION analytics.visitor_key(occurred_at timestamp with time zone, contact_id uuid) IS 'A contact on a day, in eight bytes: the day and a 32-bit hash. Two contacts may share one.';

CREATE FUNCTION ops.erase_contact(organization_id uuid, contact_id uuid, email text DEFAULT NULL::text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
#variable_conflict use_variable
declare
    mentioned text [] := ops.mentions(concat_ws(' ', contact_id, email, (
        select known.email from crm.contacts as known
        where known.id = contact_id and known.organization_id = erase_contact.organization_id
    )));
    touched bigint;
    total bigint := 0;
begin
    delete from scoring.lead_scores as gone
    where gone.organization_id = erase_contact.organization_id and gone.contact_id = erase_contact.contact_id;
    get diagnostics touched = row_count; total := total + touched;
    delete from scoring.score_history as gone
    where gone.organization_id = erase_contact.organization_id and gone.contact_id = erase_contact.contact_id;
    get diagnostics touched = row_count; total := total + touched;
    delete from scoring.intent_signals as gone
    where gone.organization_id = erase_contact.organization_id and gone.contact_id = erase_contact.contact_id;
    get diagnostics touched = row_count; total := total + touched;
    delete from scoring.signal_alerts as gone
    where gone.organization_id = erase_contact.organization_id and gone.contact_id = erase_contact.contact_id;
    get diagnostics touched = row_count; total := total + touched;
    delete from scoring.alert_requests as gone
    where gone.organization_id = erase_contact.organization_id and gone.contact_id = erase_contact.contact_id;
    get diagnostics touched = row_count; total := total + touched;
    delete from scoring.threshold_outbox as gone
    where gone.organization_id = erase_contact.organization_id and gone.contact_id = erase_contact.contact_id;
    get diagnostics touched = row_count; total := total + touched;
    delete from scoring.recompute_backlog as gone
    where gone.organization_id = erase_contact.organization_id and gone.contact_id = erase_contact.contact_id;
    get diagnostics touched = row_count; total := total + touched;
    delete from ops.message_failures as gone where ops.mentions(gone.error_text) && mentioned;
    get diagnostics touched = row_count; total := total + touched;
    update ops.job_runs as kept set error_text = 'erased with a contact'
    where kept.error_text is not null and ops.mentions(kept.error_text) && mentioned;
    get diagnostics touched = row_count; total := total + touched;
    update ops.dead_letters as kept set
        body = null,
        error = null,
        note = 'erased with a contact',
        status = case kept.status when 'dead' then 'discarded' else kept.status end,
        changed_by = session_user,
        changed_at = now()
    where ops.mentions(kept.body::text || ' ' || coalesce(kept.error, '')) && mentioned;
    get diagnostics touched = row_count; total := total + touched;
    -- Last: the deletions above have noted changes of their own.
    delete from crm.contact_changes as gone
    where gone.consumer in ('scoring', 'segments', 'events')
        and gone.organization_id = erase_contact.organization_id and gone.contact_id = erase_contact.contact_id;
    get diagnostics touched = row_count; total := total + touched;
    return total;
end $$;

COMMENT ON FUNCTION ops.erase_contact(organization_id uuid, contact_id uuid, email text) IS 'Removes or empties all that our tables hold of a contact, by its id and its e-mail address. Call it after the contact and its events are deleted, in the same transaction. Repeating it does no harm.';

CREATE FUNCTION ops.mentions(content text) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    -- Two patterns, each linear: after each match of both as one, the rest of the text was looked through for an '@'.
    select array_agg(distinct rtrim(lower(word[1]), '.'))
    from (
        select regexp_matches(content, '([^][[:space:]"''<>(){}:;,@\\]+@[^][[:space:]"''<>(){}:;,@\\]+)', 'g') as word
        union all
        select regexp_matches(
            regexp_replace(content, '[^][[:space:]"''<>(){}:;,@\\]+@[^][[:space:]"''<>(){}:;,@\\]+', ' ', 'g'),
            '([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})', 'gi'
        )
    ) as found
$$;

COMMENT ON FUNCTION ops.mentions(content text) IS 'The UUIDs and e-mail addresses in a text, in lower case.';

CREATE TABLE ops.retention (
    source text DEFAULT 'contact_activity'::text NOT NULL,
    organization_id uuid,
    retained_since date NOT NULL,
    changed_by text DEFAULT SESSION_USER NOT NULL,
    changed_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT retention_source_check CHECK ((source = 'contact_activity'::text))
);

COMMENT ON TABLE ops.retention IS 'The retained period. Since that day the source is the truth; figures of earlier days are kept as they are.';

COMMENT ON COLUMN ops.retention.organization_id IS 'Null for all organizations. Of two rows that apply, the later day counts.';

CREATE FUNCTION ops.purged_before(date date, organization_id uuid DEFAULT NULL::uuid) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    BEGIN ATOMIC
 INSERT INTO ops.retention (source, organization_id, retained_since)
   VALUES ('contact_activity'::text, purged_before.organization_id, purged_before.date) ON CONFLICT(source, organization_id) DO UPDATE SET retained_since = excluded.retained_since, changed_by = excluded.changed_by, changed_at = excluded.changed_at
   WHERE (retention.retained_since < excluded.retained_since);
END;

COMMENT ON FUNCTION ops.purged_before(date date, organization_id uuid) IS 'To be called in the transaction that deletes the events before a day, of one organization or of all. The period only ever shrinks.';

CREATE FUNCTION ops.retained_since(organization_id uuid, source text DEFAULT 'contact_activity'::text) RETURNS date
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (SELECT COALESCE(max(retention.retained_since), '-infinity'::date) AS "coalesce" FROM ops.retention WHERE ((retention.source = retained_since.source) AND ((retention.organization_id = retained_since.organization_id) OR (retention.organization_id IS NULL))));

COMMENT ON FUNCTION ops.retained_since(organization_id uuid, source text) IS 'First day of which the events of an organization are complete; -infinity where no event was ever purged.';

CREATE FUNCTION scoring.activity_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    insert into crm.contact_changes (consumer, organization_id, contact_id, source)
    select distinct 'scoring', organization_id, contact_id, 'event'
    from changed
    where event_type in ('email_opened', 'email_clicked', 'form_submitted', 'page_visited', 'content_download');
    return null;
end $$;

CREATE FUNCTION scoring.activity_updated() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    insert into crm.contact_changes (consumer, organization_id, contact_id, source)
    select 'scoring', organization_id, contact_id, 'event'
    from was
    where event_type in ('email_opened', 'email_clicked', 'form_submitted', 'page_visited', 'content_download')
    union
    select 'scoring', organization_id, contact_id, 'event'
    from became
    where event_type in ('email_opened', 'email_clicked', 'form_submitted', 'page_visited', 'content_download');
    return null;
end $$;

CREATE FUNCTION scoring.alert_sla(priority text) RETURNS interval
    LANGUAGE sql IMMUTABLE STRICT
    AS $$
    select case priority
        when 'critical' then interval '1 hour'
        when 'high' then interval '4 hours'
        when 'medium' then interval '24 hours'
        when 'low' then interval '72 hours'
    end
$$;

COMMENT ON FUNCTION scoring.alert_sla(priority text) IS 'How long an alert may stay open.';

CREATE FUNCTION scoring.contacts_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    insert into crm.contact_changes (consumer, organization_id, contact_id, source)
    select 'scoring', organization_id, id, 'contact' from changed;
    return null;
end $$;

CREATE FUNCTION scoring.contacts_updated() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    insert into crm.contact_changes (consumer, organization_id, contact_id, source)
    select 'scoring', organization_id, id, 'contact'
    from (
        select was.organization_id, was.id, was.email, was.phone, was.custom_fields from was
        except all
        select became.organization_id, became.id, became.email, became.phone, became.custom_fields from became
    ) as lost
    union
    select 'scoring', organization_id, id, 'contact'
    from (
        select became.organization_id, became.id, became.email, became.phone, became.custom_fields from became
        except all
        select was.organization_id, was.id, was.email, was.phone, was.custom_fields from was
    ) as gained;
    return null;
end $$;

CREATE FUNCTION scoring.open_alert(organization_id uuid, contact_id uuid, signal_type text, priority text, opened_at timestamp with time zone DEFAULT now()) RETURNS uuid
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    with request as (
        insert into scoring.alert_requests (organization_id, contact_id, signal_type, priority, opened_at)
        select open_alert.organization_id, open_alert.contact_id, open_alert.signal_type, open_alert.priority,
            open_alert.opened_at
        where not exists (
                select from scoring.signal_alerts as alert
                where alert.organization_id = open_alert.organization_id
                    and alert.contact_id = open_alert.contact_id and alert.signal_type = open_alert.signal_type
                    and alert.status = 'open' and alert.deadline > open_alert.opened_at
            )
            and not exists (
                select from scoring.alert_requests as earlier
                where earlier.organization_id = open_alert.organization_id
                    and earlier.contact_id = open_alert.contact_id and earlier.signal_type = open_alert.signal_type
            )
        returning id
    ),
    noted as (
        insert into crm.contact_changes (consumer, organization_id, contact_id, source, name, activity_id)
        select 'scoring', open_alert.organization_id, open_alert.contact_id, 'signal', open_alert.signal_type, id
        from request
    )
    select id from request
$$;

COMMENT ON FUNCTION scoring.open_alert(organization_id uuid, contact_id uuid, signal_type text, priority text, opened_at timestamp with time zone) IS 'Asks for an alert, which the next fold of the change feed opens (within a minute). Returns the id that the alert will have; null where one of this contact and type is open or asked for.';

CREATE FUNCTION scoring.request_recompute(organization_ids uuid[], contact_ids uuid[], reason text) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    with requested as (
        insert into crm.contact_changes (consumer, organization_id, contact_id, source, name)
        select distinct 'scoring', contact.organization_id, contact.contact_id, 'contact', request_recompute.reason
        from unnest(organization_ids, contact_ids) as contact (organization_id, contact_id)
        where contact.contact_id is not null
        returning 1
    )
    select count(*) from requested
$$;

COMMENT ON FUNCTION scoring.request_recompute(organization_ids uuid[], contact_ids uuid[], reason text) IS 'Asks for contacts to be scored: for a change that no trigger sees. Returns how many contacts it asked for.';

CREATE FUNCTION scoring.scoring_configs_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    insert into crm.contact_changes (consumer, organization_id, source)
    select distinct 'scoring', organization_id, 'config' from changed;
    return null;
end $$;

CREATE FUNCTION scoring.scoring_configs_updated() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    insert into crm.contact_changes (consumer, organization_id, source)
    select 'scoring', organization_id, 'config' from was
    union
    select 'scoring', organization_id, 'config' from became;
    return null;
end $$;

CREATE FUNCTION scoring.set_alert_deadline() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    new.deadline := new.created_at + scoring.alert_sla(new.priority);
    return new;
end $$;

CREATE FUNCTION scoring.signal_configs_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    insert into crm.contact_changes (consumer, organization_id, source, name)
    select distinct 'scoring', organization_id, 'config', signal_type from changed;
    return null;
end $$;

CREATE FUNCTION scoring.signal_configs_updated() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    insert into crm.contact_changes (consumer, organization_id, source, name)
    select 'scoring', organization_id, 'config', signal_type from was
    union
    select 'scoring', organization_id, 'config', signal_type from became;
    return null;
end $$;

CREATE FUNCTION scoring.signals_added() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    insert into crm.contact_changes (consumer, organization_id, contact_id, source, name, activity_id)
    select distinct on (organization_id, contact_id, signal_type)
        'scoring', organization_id, contact_id, 'signal', signal_type, id
    from changed
    order by organization_id, contact_id, signal_type, detected_at desc, id;
    return null;
end $$;

CREATE FUNCTION scoring.signals_removed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    insert into crm.contact_changes (consumer, organization_id, contact_id, source)
    select distinct 'scoring', organization_id, contact_id, 'signal' from changed;
    return null;
end $$;

CREATE FUNCTION scoring.signals_updated() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    insert into crm.contact_changes (consumer, organization_id, contact_id, source)
    select 'scoring', organization_id, contact_id, 'signal' from was
    union
    select 'scoring', organization_id, contact_id, 'signal' from became;
    return null;
end $$;

CREATE TABLE analytics.booking_turns (
    organization_id uuid NOT NULL,
    date date NOT NULL,
    taken_at timestamp with time zone DEFAULT now() NOT NULL,
    taken_before timestamp with time zone
);

COMMENT ON TABLE analytics.booking_turns IS 'One row for each organization and day, locked by the run that writes its rollups. It goes with the cells of its day, by their age.';

COMMENT ON COLUMN analytics.booking_turns.taken_before IS 'When the run before took it: whether another was between a look and a turn. Null for the first.';

CREATE TABLE analytics.campaign_daily_stats (
    campaign_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    date date NOT NULL,
    sent bigint DEFAULT 0 NOT NULL,
    delivered bigint DEFAULT 0 NOT NULL,
    opened bigint DEFAULT 0 NOT NULL,
    unique_opened bigint DEFAULT 0 NOT NULL,
    clicked bigint DEFAULT 0 NOT NULL,
    unique_clicked bigint DEFAULT 0 NOT NULL,
    bounced bigint DEFAULT 0 NOT NULL,
    complained bigint DEFAULT 0 NOT NULL,
    unsubscribed bigint DEFAULT 0 NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE analytics.changed_hours (
    id bigint NOT NULL,
    organization_id uuid NOT NULL,
    event_type character varying(100) NOT NULL,
    hour timestamp with time zone NOT NULL,
    changed_at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON TABLE analytics.changed_hours IS 'Hours of an organization and type in which an update has put, taken or altered an event. Writers only append; the next hourly run deletes the rows and looks at the hours. No unique key but the id, so that no writer waits for another.';

ALTER TABLE analytics.changed_hours ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME analytics.changed_hours_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE analytics.contact_activity (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid NOT NULL,
    contact_id uuid NOT NULL,
    event_type character varying(100) NOT NULL,
    event_source character varying(100),
    event_data jsonb,
    occurred_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    event_id text
);

COMMENT ON COLUMN analytics.contact_activity.created_at IS 'When the event was ingested.';

COMMENT ON COLUMN analytics.contact_activity.event_id IS 'The producer''s own key, if it has one: a second delivery of the event is refused.';

CREATE TABLE analytics.event_aggregates (
    organization_id uuid NOT NULL,
    date date NOT NULL,
    event_type character varying(108) NOT NULL,
    channel character varying(50),
    count bigint NOT NULL,
    unique_count bigint NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT event_aggregates_check CHECK (((unique_count >= 0) AND (unique_count <= count))),
    CONSTRAINT event_aggregates_count_check CHECK ((count >= 0))
);

COMMENT ON COLUMN analytics.event_aggregates.event_type IS 'A type of event, or ''monthly:'' and a type (hence eight characters more than an event''s).';

COMMENT ON COLUMN analytics.event_aggregates.unique_count IS 'Distinct contacts of the whole day (of the whole month in monthly rows).';

CREATE VIEW analytics.daily_aggregates AS
 SELECT organization_id,
    date,
    event_type,
    channel,
    count,
    unique_count,
    updated_at
   FROM analytics.event_aggregates
  WHERE ((event_type)::text !~~ 'monthly:%'::text);

COMMENT ON VIEW analytics.daily_aggregates IS 'The daily rows alone: what a reader of daily figures should use.';

CREATE TABLE analytics.hourly_cells (
    organization_id uuid NOT NULL,
    date date NOT NULL,
    event_type character varying(100) NOT NULL,
    hour timestamp with time zone NOT NULL,
    count bigint NOT NULL,
    first_seen bigint NOT NULL,
    fingerprint bigint NOT NULL,
    booked_in timestamp with time zone NOT NULL,
    CONSTRAINT hourly_cells_check CHECK (((first_seen >= 0) AND (first_seen <= count))),
    CONSTRAINT hourly_cells_check1 CHECK ((date = ((hour AT TIME ZONE 'UTC'::text))::date)),
    CONSTRAINT hourly_cells_check2 CHECK ((booked_in >= hour)),
    CONSTRAINT hourly_cells_count_check CHECK ((count >= 0))
);

COMMENT ON TABLE analytics.hourly_cells IS 'The events of one hour of an organisation and type, as far as one run books them. A day''s row in event_aggregates is the sum of its cells.';

COMMENT ON COLUMN analytics.hourly_cells.first_seen IS 'Contacts who have no event of this type in an earlier cell of the same day, in the order of (booked_in, hour): summed over the day they are its distinct contacts.';

COMMENT ON COLUMN analytics.hourly_cells.fingerprint IS 'Exclusive or over the hour''s events of a 64-bit hash of (id, contact): tells a changed hour without reading its day.';

COMMENT ON COLUMN analytics.hourly_cells.booked_in IS 'The hour whose run books the events: that of their ingestion, where it is later than their own.';

CREATE UNLOGGED TABLE analytics.hourly_work (
    kind text NOT NULL,
    organization_id uuid NOT NULL,
    date date NOT NULL,
    event_type character varying(100) NOT NULL,
    hour timestamp with time zone NOT NULL,
    until timestamp with time zone,
    booked_in timestamp with time zone,
    count bigint DEFAULT 0 NOT NULL,
    first_seen bigint,
    fingerprint bigint,
    turn_taken_at timestamp with time zone,
    CONSTRAINT hourly_work_kind_check CHECK ((kind = ANY (ARRAY['fresh'::text, 'look'::text, 'book'::text, 'set'::text])))
);

COMMENT ON TABLE analytics.hourly_work IS 'The list of what a run of the hourly job has to do: empty outside of its transaction.';

COMMENT ON COLUMN analytics.hourly_work.kind IS 'fresh: an hour without cells. look: a cell whose events may have changed. book: a cell that has to be written. set: a row to set without a look at its events.';

COMMENT ON COLUMN analytics.hourly_work.until IS 'The cells from hour up to this are looked at together; null for late events alone.';

COMMENT ON COLUMN analytics.hourly_work.first_seen IS 'Of a fresh cell that was counted in advance; null where it is yet to be counted.';

COMMENT ON COLUMN analytics.hourly_work.turn_taken_at IS 'When the turn at its day had last been taken as the cell was counted.';

CREATE TABLE analytics.locked_days (
    job_type text NOT NULL,
    date date NOT NULL,
    shared_by text
);

COMMENT ON TABLE analytics.locked_days IS 'One row a job and day, locked by whoever writes the rows of that day: runs of one day go one after the other.';

COMMENT ON COLUMN analytics.locked_days.shared_by IS 'The window that was split last: its shards, which have no row in common, may write the day together.';

CREATE TABLE analytics.partial_counts (
    job_type text NOT NULL,
    window_start timestamp with time zone NOT NULL,
    split bigint NOT NULL,
    organization_id uuid NOT NULL,
    date date NOT NULL,
    piece integer NOT NULL,
    subject text NOT NULL,
    figures bigint[] NOT NULL,
    counted_at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON TABLE analytics.partial_counts IS 'What each shard of a cut organization has counted for a day, or a month by its first day. The last shard adds it up, sets the rows and deletes it.';

COMMENT ON COLUMN analytics.partial_counts.split IS 'The run that cut the window: shards of another run do not add to it.';

COMMENT ON COLUMN analytics.partial_counts.piece IS 'Which shard has counted it; 0 is the row that the shards lock while one of them adds up.';

COMMENT ON COLUMN analytics.partial_counts.subject IS 'What was counted: a campaign, or a monthly type. Empty says that the piece is complete.';

CREATE TABLE crm.contact_changes (
    id bigint NOT NULL,
    consumer text NOT NULL,
    organization_id uuid NOT NULL,
    contact_id uuid,
    source text NOT NULL,
    name text,
    activity_id uuid,
    at timestamp with time zone DEFAULT now() NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='20000');

COMMENT ON TABLE crm.contact_changes IS 'What changed, a row for each consumer. Writers only append; the consumer''s job deletes what it has folded. There is no unique key but the id and no foreign key, so that no writer waits for another.';

COMMENT ON COLUMN crm.contact_changes.consumer IS 'scoring, segments or events. Checks of this and of the source would cost each writer 10 µs a statement; triggers alone write them.';

COMMENT ON COLUMN crm.contact_changes.contact_id IS 'Null: the change concerns every contact of the organization.';

COMMENT ON COLUMN crm.contact_changes.source IS 'contact, custom, event, tag, score, segment, company, signal or config.';

COMMENT ON COLUMN crm.contact_changes.name IS 'What changed within the source. A new signal: its type. A setting: the type of signal it concerns, null for all contacts.';

COMMENT ON COLUMN crm.contact_changes.activity_id IS 'The row that the change is about. A new signal, or a request for an alert: its id.';

ALTER TABLE crm.contact_changes ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME crm.contact_changes_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE crm.contacts (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid NOT NULL,
    email text,
    first_name text,
    last_name text,
    phone text,
    status text DEFAULT 'active'::text NOT NULL,
    stage text,
    custom_fields jsonb DEFAULT '{}'::jsonb NOT NULL,
    last_activity_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT contacts_status_check CHECK ((status = ANY (ARRAY['active'::text, 'unsubscribed'::text, 'bounced'::text, 'do_not_contact'::text])))
);

CREATE TABLE crm.expanded_changes (
    change_id bigint NOT NULL,
    reached uuid NOT NULL,
    expanded_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE crm.expanded_changes IS 'How far a job has come with a change that concerns a whole organization: the last contact it has taken. Deleted with the change.';

CREATE TABLE delivery.sending_domains (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid NOT NULL,
    domain character varying(255) NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL,
    dns_records jsonb,
    verified_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT sending_domains_domain_check CHECK (((domain)::text = lower((domain)::text))),
    CONSTRAINT sending_domains_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'verified'::text, 'failed'::text])))
);

CREATE TABLE ops.dead_letters (
    id bigint NOT NULL,
    queue text NOT NULL,
    message_id text NOT NULL,
    job_type text,
    body jsonb,
    reason text NOT NULL,
    error text,
    attempts integer NOT NULL,
    dead_at timestamp with time zone NOT NULL,
    status text DEFAULT 'dead'::text NOT NULL,
    redriven_from bigint,
    changed_by text,
    changed_at timestamp with time zone,
    note text,
    sent_at timestamp with time zone,
    CONSTRAINT dead_letters_status_check CHECK ((status = ANY (ARRAY['dead'::text, 'redriven'::text, 'discarded'::text])))
);

COMMENT ON COLUMN ops.dead_letters.redriven_from IS 'The dead letter of which this is the second death.';

COMMENT ON COLUMN ops.dead_letters.sent_at IS 'When a message of a scheduled job was sent first: it meant the last complete window before, unless its body names a time. Null where nobody knows.';

ALTER TABLE ops.dead_letters ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME ops.dead_letters_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE ops.job_runs (
    job_type text NOT NULL,
    window_start timestamp with time zone NOT NULL,
    window_end timestamp with time zone NOT NULL,
    shard text DEFAULT ''::text NOT NULL,
    status text NOT NULL,
    trigger text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    message_id text,
    scheduled_for timestamp with time zone NOT NULL,
    queued_at timestamp with time zone,
    lease_until timestamp with time zone,
    fencing_token bigint DEFAULT 0 NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    rows_read bigint,
    rows_written bigint,
    error_class text,
    error_text text,
    retryable boolean,
    overdue_at timestamp with time zone,
    sends integer DEFAULT 0 NOT NULL,
    delivery integer DEFAULT 0 NOT NULL,
    shard_data jsonb,
    CONSTRAINT job_runs_check CHECK ((window_start < window_end)),
    CONSTRAINT job_runs_status_check CHECK ((status = ANY (ARRAY['queued'::text, 'running'::text, 'sharded'::text, 'failed'::text, 'waiting'::text, 'succeeded'::text, 'dead'::text, 'skipped'::text]))),
    CONSTRAINT job_runs_trigger_check CHECK ((trigger = ANY (ARRAY['cron'::text, 'catch-up'::text, 'manual'::text, 'backfill'::text])))
);

COMMENT ON TABLE ops.job_runs IS 'The ledger: one row a window of a job, and one a shard where a window was split.';

COMMENT ON COLUMN ops.job_runs.shard IS 'Empty for the window itself; else which part of it, for example ''2/4''.';

COMMENT ON COLUMN ops.job_runs.lease_until IS 'Until then somebody answers for the row; afterwards the next tick may enqueue it again.';

COMMENT ON COLUMN ops.job_runs.fencing_token IS 'Rises with every start: a run may only finish with the newest.';

COMMENT ON COLUMN ops.job_runs.overdue_at IS 'When the window was reported as overdue: once.';

COMMENT ON COLUMN ops.job_runs.sends IS 'How often a tick has sent the row since it last began: the wait for its message grows with it.';

COMMENT ON COLUMN ops.job_runs.delivery IS 'Which delivery of message_id started the run: a later one shows that the run has ended without an answer.';

COMMENT ON COLUMN ops.job_runs.shard_data IS 'The bounds of a shard, as its message carries them: a tick sends the shard again.';

CREATE TABLE ops.message_failures (
    queue text NOT NULL,
    message_id text NOT NULL,
    attempt integer NOT NULL,
    job_type text,
    body_digest text NOT NULL,
    error_class text NOT NULL,
    error_text text NOT NULL,
    failed_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE ops.message_failures IS 'The error of each failed attempt, so that a dead letter can say why it died.';

CREATE TABLE ops.parts (
    kind text NOT NULL,
    subject_id uuid NOT NULL,
    version bigint NOT NULL,
    part integer NOT NULL,
    of integer NOT NULL,
    bounds jsonb NOT NULL,
    queued_until timestamp with time zone NOT NULL,
    done_at timestamp with time zone,
    CONSTRAINT parts_check CHECK (((part >= 1) AND (part <= of)))
);

COMMENT ON TABLE ops.parts IS 'Parts of split work that is no window. The part that finishes last completes the work.';

COMMENT ON COLUMN ops.parts.kind IS 'The kind of work, such as segment.build.';

COMMENT ON COLUMN ops.parts.subject_id IS 'The row whose work was split, such as a segment.';

COMMENT ON COLUMN ops.parts.version IS 'The version of the subject that was split: parts of another version are void.';

COMMENT ON COLUMN ops.parts.bounds IS 'What the part covers, with the names that a shard has in a message.';

COMMENT ON COLUMN ops.parts.queued_until IS 'An open part is enqueued again after this time.';

COMMENT ON COLUMN ops.parts.done_at IS 'Set in the transaction of the part''s rows. Null: the part is open.';

CREATE TABLE ops.schedules (
    job_type text NOT NULL,
    paused boolean DEFAULT false NOT NULL,
    note text,
    starts_at timestamp with time zone,
    recorded_until timestamp with time zone,
    changed_by text,
    changed_at timestamp with time zone DEFAULT now() NOT NULL,
    overdue_since timestamp with time zone,
    missed_windows bigint DEFAULT 0 NOT NULL
);

COMMENT ON COLUMN ops.schedules.starts_at IS 'Start of the first window that a tick ever enqueued: nothing before it counts as missed.';

COMMENT ON COLUMN ops.schedules.recorded_until IS 'The watermark: every window from starts_at up to here has its row in the ledger.';

COMMENT ON COLUMN ops.schedules.overdue_since IS 'When the schedule was reported as overdue; null once its recovery is reported.';

COMMENT ON COLUMN ops.schedules.missed_windows IS 'How many windows were overdue or skipped since then.';

CREATE TABLE ops.turns (
    name text NOT NULL
);

COMMENT ON TABLE ops.turns IS 'One row for each thing that one transaction does at a time, such as the archive of a queue: the row is locked until the transaction ends.';

CREATE TABLE scoring.alert_requests (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid NOT NULL,
    contact_id uuid NOT NULL,
    signal_type character varying(50) NOT NULL,
    priority text NOT NULL,
    opened_at timestamp with time zone NOT NULL,
    CONSTRAINT alert_requests_priority_check CHECK ((priority = ANY (ARRAY['critical'::text, 'high'::text, 'medium'::text, 'low'::text])))
);

COMMENT ON TABLE scoring.alert_requests IS 'Alerts that the platform asks for (scoring.open_alert). The fold of the change feed opens them.';

CREATE SEQUENCE scoring.backlog_version
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE scoring.factors (
    category text NOT NULL,
    factor character varying(100) NOT NULL,
    part_of character varying(100),
    points integer,
    CONSTRAINT factors_category_check CHECK ((category = ANY (ARRAY['fit'::text, 'engagement'::text, 'intent'::text])))
);

COMMENT ON TABLE scoring.factors IS 'Every factor that a score may have. In the category intent a factor is a type of signal, and its points are the weight of one.';

COMMENT ON COLUMN scoring.factors.part_of IS 'The factor of which this is one level: an override of the whole counts for each level that has none of its own.';

CREATE TABLE scoring.intent_signals (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid NOT NULL,
    contact_id uuid NOT NULL,
    signal_type character varying(50) NOT NULL,
    source character varying(100),
    weight numeric(5,2),
    detected_at timestamp with time zone DEFAULT now() NOT NULL,
    decay_model text DEFAULT 'linear'::text NOT NULL,
    decay_hours integer,
    expires_at timestamp with time zone,
    metadata jsonb,
    CONSTRAINT intent_signals_decay_hours_check CHECK ((decay_hours > 0)),
    CONSTRAINT intent_signals_decay_model_check CHECK ((decay_model = ANY (ARRAY['linear'::text, 'exponential'::text, 'step'::text]))),
    CONSTRAINT intent_signals_detected_at_check CHECK (isfinite(detected_at)),
    CONSTRAINT intent_signals_weight_check CHECK (((weight >= '-999.99'::numeric) AND (weight <= 999.99)))
);

COMMENT ON COLUMN scoring.intent_signals.weight IS 'Null takes the organisation''s weight for the type (signal_configs, then scoring_configs), then the usual one (factors).';

COMMENT ON COLUMN scoring.intent_signals.decay_hours IS 'Null takes the organisation''s for the type (signal_configs), then 168.';

COMMENT ON COLUMN scoring.intent_signals.expires_at IS 'An end before the decay''s own, if there is one.';

CREATE TABLE scoring.lead_scores (
    organization_id uuid NOT NULL,
    contact_id uuid NOT NULL,
    total_score integer NOT NULL,
    grade character(1) NOT NULL,
    engagement_score integer NOT NULL,
    fit_score integer NOT NULL,
    intent_score integer NOT NULL,
    components jsonb DEFAULT '{}'::jsonb NOT NULL,
    top_contributors jsonb DEFAULT '[]'::jsonb NOT NULL,
    scored_at timestamp with time zone NOT NULL,
    recheck_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT lead_scores_grade_check CHECK ((grade = ANY (ARRAY['A'::bpchar, 'B'::bpchar, 'C'::bpchar, 'D'::bpchar, 'F'::bpchar]))),
    CONSTRAINT lead_scores_total_score_check CHECK (((total_score >= 0) AND (total_score <= 100)))
);

COMMENT ON COLUMN scoring.lead_scores.scored_at IS 'The time that the score is of; a score is never replaced by one of an earlier time.';

COMMENT ON COLUMN scoring.lead_scores.recheck_at IS 'Before this moment the mere passing of time cannot change the score: SignalDecay need not look.';

CREATE TABLE scoring.recompute_backlog (
    organization_id uuid NOT NULL,
    contact_id uuid NOT NULL,
    reason text NOT NULL,
    version bigint DEFAULT nextval('scoring.backlog_version'::regclass) NOT NULL,
    requested_at timestamp with time zone DEFAULT now() NOT NULL
)
WITH (fillfactor='70');

COMMENT ON TABLE scoring.recompute_backlog IS 'Contacts whose score is older than what it depends on. Jobs fill it from the change feed. A row is locked by the run that writes the contact''s score.';

COMMENT ON COLUMN scoring.recompute_backlog.version IS 'Moves with every change: a row is cleared only by a computation that has seen this very version.';

COMMENT ON COLUMN scoring.recompute_backlog.requested_at IS 'The first change that has not been computed yet.';

CREATE TABLE scoring.score_history (
    organization_id uuid NOT NULL,
    contact_id uuid NOT NULL,
    date date NOT NULL,
    total_score integer NOT NULL,
    engagement_score integer NOT NULL,
    fit_score integer NOT NULL,
    intent_score integer NOT NULL
);

COMMENT ON TABLE scoring.score_history IS 'The last score of each day on which it was written. On other days it was what it had been: take the newest row up to the day.';

CREATE TABLE scoring.scoring_configs (
    organization_id uuid NOT NULL,
    category text NOT NULL,
    factor character varying(100) NOT NULL,
    weight integer,
    enabled boolean DEFAULT true NOT NULL,
    CONSTRAINT scoring_configs_weight_check CHECK (((weight >= '-1000'::integer) AND (weight <= 1000)))
);

COMMENT ON TABLE scoring.scoring_configs IS 'An organisation''s own points for a factor; null keeps the usual ones. The foreign key refuses a factor that is not known.';

CREATE TABLE scoring.signal_alerts (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid NOT NULL,
    contact_id uuid NOT NULL,
    signal_type character varying(50) NOT NULL,
    priority text NOT NULL,
    deadline timestamp with time zone NOT NULL,
    status text DEFAULT 'open'::text NOT NULL,
    acknowledged_at timestamp with time zone,
    acknowledged_by text,
    expired_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT signal_alerts_check CHECK (((status = 'expired'::text) = (expired_at IS NOT NULL))),
    CONSTRAINT signal_alerts_check1 CHECK (((status <> 'acknowledged'::text) OR (acknowledged_at IS NOT NULL))),
    CONSTRAINT signal_alerts_priority_check CHECK ((priority = ANY (ARRAY['critical'::text, 'high'::text, 'medium'::text, 'low'::text]))),
    CONSTRAINT signal_alerts_status_check CHECK ((status = ANY (ARRAY['open'::text, 'acknowledged'::text, 'expired'::text])))
);

COMMENT ON COLUMN scoring.signal_alerts.deadline IS 'created_at and what the priority allows (alert_sla), unless given.';

CREATE TABLE scoring.signal_configs (
    organization_id uuid NOT NULL,
    signal_type character varying(50) NOT NULL,
    weight numeric(5,2),
    decay_hours integer,
    tier text,
    enabled boolean DEFAULT true NOT NULL,
    CONSTRAINT signal_configs_decay_hours_check CHECK ((decay_hours > 0)),
    CONSTRAINT signal_configs_tier_check CHECK ((tier = ANY (ARRAY['critical'::text, 'high'::text, 'medium'::text, 'low'::text]))),
    CONSTRAINT signal_configs_weight_check CHECK (((weight >= '-999.99'::numeric) AND (weight <= 999.99)))
);

COMMENT ON TABLE scoring.signal_configs IS 'What a type of signal means to an organisation. A disabled type counts nothing and alerts nobody.';

COMMENT ON COLUMN scoring.signal_configs.tier IS 'With a tier, a signal of this type opens an alert of that priority.';

CREATE TABLE scoring.threshold_outbox (
    id bigint NOT NULL,
    event_id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid NOT NULL,
    contact_id uuid NOT NULL,
    score integer NOT NULL,
    previous_score integer NOT NULL,
    scored_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE scoring.threshold_outbox IS 'Scores that crossed a threshold, written with the score and removed once they are published.';

ALTER TABLE scoring.threshold_outbox ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME scoring.threshold_outbox_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE ONLY analytics.booking_turns
    ADD CONSTRAINT booking_turns_pkey PRIMARY KEY (organization_id, date);

ALTER TABLE ONLY analytics.campaign_daily_stats
    ADD CONSTRAINT campaign_daily_stats_pkey PRIMARY KEY (campaign_id, organization_id, date);

ALTER TABLE ONLY analytics.changed_hours
    ADD CONSTRAINT changed_hours_pkey PRIMARY KEY (id);

ALTER TABLE ONLY analytics.contact_activity
    ADD CONSTRAINT contact_activity_pkey PRIMARY KEY (id);

ALTER TABLE ONLY analytics.event_aggregates
    ADD CONSTRAINT event_aggregates_pkey PRIMARY KEY (organization_id, date, event_type);

ALTER TABLE ONLY analytics.hourly_cells
    ADD CONSTRAINT hourly_cells_pkey PRIMARY KEY (organization_id, date, event_type, hour, booked_in);

ALTER TABLE ONLY analytics.locked_days
    ADD CONSTRAINT locked_days_pkey PRIMARY KEY (job_type, date);

ALTER TABLE ONLY analytics.partial_counts
    ADD CONSTRAINT partial_counts_pkey PRIMARY KEY (job_type, window_start, organization_id, date, split, piece, subject);

ALTER TABLE ONLY crm.contact_changes
    ADD CONSTRAINT contact_changes_pkey PRIMARY KEY (id);

ALTER TABLE ONLY crm.contacts
    ADD CONSTRAINT contacts_pkey PRIMARY KEY (id);

ALTER TABLE ONLY crm.expanded_changes
    ADD CONSTRAINT expanded_changes_pkey PRIMARY KEY (change_id);

ALTER TABLE ONLY delivery.sending_domains
    ADD CONSTRAINT sending_domains_organization_id_domain_key UNIQUE (organization_id, domain);

ALTER TABLE ONLY delivery.sending_domains
    ADD CONSTRAINT sending_domains_pkey PRIMARY KEY (id);

ALTER TABLE ONLY ops.dead_letters
    ADD CONSTRAINT dead_letters_pkey PRIMARY KEY (id);

ALTER TABLE ONLY ops.dead_letters
    ADD CONSTRAINT dead_letters_queue_message_id_dead_at_key UNIQUE (queue, message_id, dead_at);

ALTER TABLE ONLY ops.job_runs
    ADD CONSTRAINT job_runs_pkey PRIMARY KEY (job_type, window_start, window_end, shard);

ALTER TABLE ONLY ops.message_failures
    ADD CONSTRAINT message_failures_pkey PRIMARY KEY (queue, message_id, attempt);

ALTER TABLE ONLY ops.parts
    ADD CONSTRAINT parts_pkey PRIMARY KEY (kind, subject_id, version, part);

ALTER TABLE ONLY ops.schedules
    ADD CONSTRAINT schedules_pkey PRIMARY KEY (job_type);

ALTER TABLE ONLY ops.turns
    ADD CONSTRAINT turns_pkey PRIMARY KEY (name);

ALTER TABLE ONLY scoring.alert_requests
    ADD CONSTRAINT alert_requests_pkey PRIMARY KEY (id);

ALTER TABLE ONLY scoring.factors
    ADD CONSTRAINT factors_pkey PRIMARY KEY (category, factor);

ALTER TABLE ONLY scoring.intent_signals
    ADD CONSTRAINT intent_signals_pkey PRIMARY KEY (id);

ALTER TABLE ONLY scoring.lead_scores
    ADD CONSTRAINT lead_scores_pkey PRIMARY KEY (organization_id, contact_id);

ALTER TABLE ONLY scoring.recompute_backlog
    ADD CONSTRAINT recompute_backlog_pkey PRIMARY KEY (organization_id, contact_id);

ALTER TABLE ONLY scoring.score_history
    ADD CONSTRAINT score_history_pkey PRIMARY KEY (organization_id, contact_id, date);

ALTER TABLE ONLY scoring.scoring_configs
    ADD CONSTRAINT scoring_configs_pkey PRIMARY KEY (organization_id, category, factor);

ALTER TABLE ONLY scoring.signal_alerts
    ADD CONSTRAINT signal_alerts_pkey PRIMARY KEY (id);

ALTER TABLE ONLY scoring.signal_configs
    ADD CONSTRAINT signal_configs_pkey PRIMARY KEY (organization_id, signal_type);

ALTER TABLE ONLY scoring.threshold_outbox
    ADD CONSTRAINT threshold_outbox_pkey PRIMARY KEY (id);

CREATE INDEX booking_turns_date ON analytics.booking_turns USING btree (date);

CREATE INDEX campaign_daily_stats_date ON analytics.campaign_daily_stats USING btree (date, organization_id);

CREATE INDEX changed_hours_organization ON analytics.changed_hours USING btree (organization_id, id);

CREATE INDEX contact_activity_contact ON analytics.contact_activity USING btree (organization_id, contact_id, occurred_at) INCLUDE (event_type);

CREATE UNIQUE INDEX contact_activity_event_id ON analytics.contact_activity USING btree (organization_id, event_id) WHERE (event_id IS NOT NULL);

CREATE INDEX contact_activity_key ON analytics.contact_activity USING btree (organization_id, event_type, occurred_at);

CREATE INDEX contact_activity_late ON analytics.contact_activity USING btree (created_at) WHERE (date_trunc('hour'::text, (occurred_at AT TIME ZONE 'UTC'::text)) < date_trunc('hour'::text, (created_at AT TIME ZONE 'UTC'::text)));

CREATE INDEX contact_activity_occurred ON analytics.contact_activity USING btree (occurred_at);

CREATE INDEX contact_activity_visitor ON analytics.contact_activity USING btree (analytics.visitor_key(occurred_at, contact_id), analytics.hour_of_day(occurred_at));

CREATE INDEX event_aggregates_date ON analytics.event_aggregates USING btree (date, organization_id);

CREATE INDEX hourly_cells_hour ON analytics.hourly_cells USING btree (hour);

CREATE INDEX hourly_cells_late ON analytics.hourly_cells USING btree (booked_in) WHERE (booked_in > hour);

CREATE INDEX partial_counts_date ON analytics.partial_counts USING btree (job_type, date);

CREATE INDEX contact_changes_pending ON crm.contact_changes USING btree (consumer, organization_id, id);

CREATE INDEX contact_changes_whole ON crm.contact_changes USING btree (consumer, id) WHERE (contact_id IS NULL);

CREATE INDEX contacts_organization ON crm.contacts USING btree (organization_id, id);

CREATE INDEX dead_letters_age ON ops.dead_letters USING btree (COALESCE(changed_at, dead_at));

CREATE INDEX dead_letters_descent ON ops.dead_letters USING btree (redriven_from) WHERE (redriven_from IS NOT NULL);

CREATE INDEX dead_letters_mentions ON ops.dead_letters USING gin (ops.mentions((((body)::text || ' '::text) || COALESCE(error, ''::text))));

CREATE INDEX dead_letters_open ON ops.dead_letters USING btree (queue, dead_at) WHERE (status = 'dead'::text);

CREATE INDEX job_runs_age ON ops.job_runs USING btree (COALESCE(finished_at, lease_until, scheduled_for));

CREATE INDEX job_runs_mentions ON ops.job_runs USING gin (ops.mentions(error_text)) WHERE (error_text IS NOT NULL);

CREATE INDEX job_runs_newest ON ops.job_runs USING btree (job_type, window_end DESC) WHERE (shard = ''::text);

CREATE INDEX job_runs_unfinished ON ops.job_runs USING btree (job_type, window_start, window_end) WHERE (status <> ALL (ARRAY['succeeded'::text, 'skipped'::text]));

CREATE INDEX message_failures_age ON ops.message_failures USING btree (failed_at);

CREATE INDEX message_failures_digest ON ops.message_failures USING btree (queue, body_digest, failed_at DESC);

CREATE INDEX message_failures_mentions ON ops.message_failures USING gin (ops.mentions(error_text));

CREATE INDEX parts_age ON ops.parts USING btree (queued_until);

CREATE INDEX parts_open ON ops.parts USING btree (kind, queued_until) WHERE (done_at IS NULL);

CREATE UNIQUE INDEX retention_key ON ops.retention USING btree (source, organization_id) NULLS NOT DISTINCT;

CREATE INDEX alert_requests_age ON scoring.alert_requests USING btree (opened_at);

CREATE INDEX alert_requests_contact ON scoring.alert_requests USING btree (organization_id, contact_id, signal_type);

CREATE INDEX intent_signals_contact ON scoring.intent_signals USING btree (organization_id, contact_id);

CREATE INDEX lead_scores_recheck ON scoring.lead_scores USING btree (recheck_at) WHERE (recheck_at < 'infinity'::timestamp with time zone);

CREATE INDEX score_history_age ON scoring.score_history USING btree (date);

CREATE INDEX signal_alerts_closed ON scoring.signal_alerts USING btree (COALESCE(expired_at, acknowledged_at)) WHERE (status <> 'open'::text);

CREATE INDEX signal_alerts_due ON scoring.signal_alerts USING btree (deadline) WHERE (status = 'open'::text);

CREATE UNIQUE INDEX signal_alerts_one_open ON scoring.signal_alerts USING btree (organization_id, contact_id, signal_type) WHERE (status = 'open'::text);

CREATE INDEX threshold_outbox_contact ON scoring.threshold_outbox USING btree (organization_id, contact_id);

CREATE TRIGGER hours_update AFTER UPDATE ON analytics.contact_activity REFERENCING OLD TABLE AS was NEW TABLE AS became FOR EACH STATEMENT EXECUTE FUNCTION analytics.hours_changed();

CREATE TRIGGER scoring_delete AFTER DELETE ON analytics.contact_activity REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION scoring.activity_changed();

CREATE TRIGGER scoring_insert AFTER INSERT ON analytics.contact_activity REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION scoring.activity_changed();

CREATE TRIGGER scoring_update AFTER UPDATE ON analytics.contact_activity REFERENCING OLD TABLE AS was NEW TABLE AS became FOR EACH STATEMENT EXECUTE FUNCTION scoring.activity_updated();

CREATE TRIGGER scoring_delete AFTER DELETE ON crm.contacts REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION scoring.contacts_changed();

CREATE TRIGGER scoring_insert AFTER INSERT ON crm.contacts REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION scoring.contacts_changed();

CREATE TRIGGER scoring_update AFTER UPDATE ON crm.contacts REFERENCING OLD TABLE AS was NEW TABLE AS became FOR EACH STATEMENT EXECUTE FUNCTION scoring.contacts_updated();

CREATE TRIGGER scoring_deadline BEFORE INSERT ON scoring.signal_alerts FOR EACH ROW WHEN ((new.deadline IS NULL)) EXECUTE FUNCTION scoring.set_alert_deadline();

CREATE TRIGGER scoring_delete AFTER DELETE ON scoring.intent_signals REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION scoring.signals_removed();

CREATE TRIGGER scoring_delete AFTER DELETE ON scoring.scoring_configs REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION scoring.scoring_configs_changed();

CREATE TRIGGER scoring_delete AFTER DELETE ON scoring.signal_configs REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION scoring.signal_configs_changed();

CREATE TRIGGER scoring_insert AFTER INSERT ON scoring.intent_signals REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION scoring.signals_added();

CREATE TRIGGER scoring_insert AFTER INSERT ON scoring.scoring_configs REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION scoring.scoring_configs_changed();

CREATE TRIGGER scoring_insert AFTER INSERT ON scoring.signal_configs REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION scoring.signal_configs_changed();

CREATE TRIGGER scoring_update AFTER UPDATE ON scoring.intent_signals REFERENCING OLD TABLE AS was NEW TABLE AS became FOR EACH STATEMENT EXECUTE FUNCTION scoring.signals_updated();

CREATE TRIGGER scoring_update AFTER UPDATE ON scoring.scoring_configs REFERENCING OLD TABLE AS was NEW TABLE AS became FOR EACH STATEMENT EXECUTE FUNCTION scoring.scoring_configs_updated();

CREATE TRIGGER scoring_update AFTER UPDATE ON scoring.signal_configs REFERENCING OLD TABLE AS was NEW TABLE AS became FOR EACH STATEMENT EXECUTE FUNCTION scoring.signal_configs_updated();

ALTER TABLE ONLY ops.dead_letters
    ADD CONSTRAINT dead_letters_redriven_from_fkey FOREIGN KEY (redriven_from) REFERENCES ops.dead_letters(id) ON DELETE SET NULL;

ALTER TABLE ONLY scoring.factors
    ADD CONSTRAINT factors_category_part_of_fkey FOREIGN KEY (category, part_of) REFERENCES scoring.factors(category, factor);

ALTER TABLE ONLY scoring.scoring_configs
    ADD CONSTRAINT scoring_configs_category_factor_fkey FOREIGN KEY (category, factor) REFERENCES scoring.factors(category, factor);
