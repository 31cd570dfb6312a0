CREATE SCHEMA analytics;

CREATE SCHEMA campaign;

CREATE SCHEMA content;

CREATE SCHEMA crm;

CREATE SCHEMA delivery;

CREATE SCHEMA journey;

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

CREATE FUNCTION campaign.note_cancel() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    new.canceled_run := greatest(new.canceled_run, old.run);
    return new;
end $$;

CREATE FUNCTION crm.anniversary_in(day date, year integer) RETURNS date
    LANGUAGE sql IMMUTABLE
    AS $$
    select make_date(year, extract(month from day)::integer, case
        when extract(month from day) = 2 and extract(day from day) = 29
            and not (year % 400 = 0 or year % 4 = 0 and year % 100 <> 0) then 28
        else extract(day from day)::integer
    end)
$$;

COMMENT ON FUNCTION crm.anniversary_in(day date, year integer) IS 'The day on which an anniversary counts in a year: 29 February on the 28th of other years.';

CREATE FUNCTION crm.boolean_of(value jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    AS $$
    select case when value #>> '{}' in ('true', 'false') and jsonb_typeof(value) in ('string', 'boolean')
        then (value #>> '{}')::boolean end
$$;

CREATE FUNCTION crm.check_time_zone() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if new.time_zone is not null then
        if not exists (select from pg_timezone_names where name = new.time_zone) then
            raise exception 'time zone "%" is not known', new.time_zone using errcode = '22023';
        end if;
    end if;
    return new;
end $$;

CREATE FUNCTION crm.complete_membership() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    new.organization_id := (select organization_id from crm.segments where id = new.segment_id);
    return new;
end $$;

CREATE FUNCTION crm.day_start(day date, zone text) RETURNS timestamp with time zone
    LANGUAGE sql STABLE
    AS $$
    select case
        when (midnight - interval '1 hour') at time zone zone = day::timestamp then midnight - interval '1 hour'
        else midnight
    end
    from (select day::timestamp at time zone zone as midnight) as start
$$;

CREATE FUNCTION crm.end_memberships() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    delete from crm.segment_contacts where contact_id in (select id from gone);
    return null;
end $$;

COMMENT ON FUNCTION crm.end_memberships() IS 'A deleted contact leaves its segments in the same statement.';

CREATE FUNCTION crm.erase_contact(organization_id uuid, contact_id uuid) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
#variable_conflict use_variable
declare
    touched bigint;
    total bigint := 0;
begin
    delete from crm.segment_changes as gone
    where gone.organization_id = erase_contact.organization_id and gone.contact_id = erase_contact.contact_id;
    get diagnostics touched = row_count; total := total + touched;
    delete from crm.segment_recheck as gone
    where gone.organization_id = erase_contact.organization_id and gone.contact_id = erase_contact.contact_id;
    get diagnostics touched = row_count; total := total + touched;
    delete from crm.segment_backlog as gone
    where gone.organization_id = erase_contact.organization_id and gone.contact_id = erase_contact.contact_id;
    get diagnostics touched = row_count; total := total + touched;
    if not exists (
        select from crm.contacts as other where other.id = contact_id and other.organization_id <> organization_id
    ) then
        delete from crm.contact_tags as gone where gone.contact_id = erase_contact.contact_id;
        get diagnostics touched = row_count; total := total + touched;
        delete from crm.contact_companies as gone where gone.contact_id = erase_contact.contact_id;
        get diagnostics touched = row_count; total := total + touched;
    end if;
    return total;
end $$;

COMMENT ON FUNCTION crm.erase_contact(organization_id uuid, contact_id uuid) IS 'The part of ops.erase_contact for segments. Memberships end with the contact''s row.';

CREATE FUNCTION crm.finite(moment timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE
    AS $$
    select case when moment < '9000-01-01T00:00:00Z' then moment end
$$;

COMMENT ON FUNCTION crm.finite(moment timestamp with time zone) IS 'Null for a moment in the year 9000 or later, as infinity is.';

CREATE FUNCTION crm.forget_segments() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    delete from crm.segment_dependencies where segment_id in (select id from gone);
    delete from crm.segment_recheck where segment_id in (select id from gone);
    delete from crm.segment_changes where segment_id in (select id from gone);
    delete from crm.segment_contacts where segment_id in (select id from gone);
    delete from ops.parts where kind = 'segment.build' and subject_id in (select id from gone);
    return null;
end $$;

CREATE FUNCTION crm.is_day(value text) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    AS $_$
    select case
        when value ~ '^(19|2[0-9])[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])(T|$)'
            then substr(value, 9, 2)::integer <= case substr(value, 6, 2)
                when '02' then case
                    when substr(value, 1, 4)::integer % 400 = 0
                        or substr(value, 1, 4)::integer % 4 = 0 and substr(value, 1, 4)::integer % 100 <> 0
                        then 29
                    else 28
                end
                when '04' then 30
                when '06' then 30
                when '09' then 30
                when '11' then 30
                else 31
            end
        else false
    end
$_$;

COMMENT ON FUNCTION crm.is_day(value text) IS 'Whether a text begins with a day of the calendar, of the years 1900 to 2999.';

CREATE FUNCTION crm.is_own_event(event_type text) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    AS $_$
    select event_type !~ '_(sent|delivered|bounced|shown)$'
$_$;

COMMENT ON FUNCTION crm.is_own_event(event_type text) IS 'Whether an event is an activity of the contact, and not something that was done to them.';

CREATE FUNCTION crm.moment_of(value jsonb, zone text) RETURNS timestamp with time zone
    LANGUAGE sql STABLE
    AS $_$
    select case
        when jsonb_typeof(value) <> 'string' or not crm.is_day(value #>> '{}') then null
        when length(value #>> '{}') = 10 then crm.day_start((value #>> '{}')::date, zone)
        when substr(value #>> '{}', 11)
            ~ '^T([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,6})?)?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])$'
            then (value #>> '{}')::timestamptz
    end
$_$;

CREATE FUNCTION crm.next_anniversary(day date, today date) RETURNS date
    LANGUAGE sql IMMUTABLE
    AS $$
    select case
        when crm.anniversary_in(day, extract(year from today)::integer) = today then today + 1
        when crm.anniversary_in(day, extract(year from today)::integer) > today
            then crm.anniversary_in(day, extract(year from today)::integer)
        else crm.anniversary_in(day, extract(year from today)::integer + 1)
    end
$$;

COMMENT ON FUNCTION crm.next_anniversary(day date, today date) IS 'The first day after today on which "the anniversary is today" has another answer.';

CREATE FUNCTION crm.note_companies() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    insert into crm.contact_changes (consumer, organization_id, contact_id, source, name)
    with sized as (
        select distinct organization_id, id, (
            select count(*)
            from (select from crm.contact_companies as own where own.company_id = changed.id limit 101) as first
        ) as contacts
        from changed
        where exists (
            select from crm.segment_dependencies as needed
            where needed.organization_id = changed.organization_id and needed.source = 'company'
        )
    )
    select 'segments', organization_id, null::uuid, 'company', id::text from sized where contacts > 100
    union
    select 'segments', organization_id, own.contact_id, 'company', null
    from sized
    join crm.contact_companies as own on own.company_id = sized.id
    where contacts <= 100;
    return null;
end $$;

CREATE FUNCTION crm.note_companies_of_contacts() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    insert into crm.contact_changes (consumer, organization_id, contact_id, source)
    select distinct 'segments', contact.organization_id, contact.id, 'company'
    from changed
    join crm.contacts as contact on contact.id = changed.contact_id
    where exists (
        select from crm.segment_dependencies as needed
        where needed.organization_id = contact.organization_id and needed.source = 'company'
    );
    return null;
end $$;

CREATE FUNCTION crm.note_contacts_added() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    insert into crm.contact_changes (consumer, organization_id, contact_id, source)
    select 'segments', organization_id, id, 'contact'
    from changed
    where exists (select from crm.segment_dependencies as needed where needed.organization_id = changed.organization_id);
    return null;
end $$;

CREATE FUNCTION crm.note_contacts_updated() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    insert into crm.contact_changes (consumer, organization_id, contact_id, source)
    select distinct 'segments', needed.organization_id, became.id, needed.source
    from became
    join was on was.id = became.id
    join crm.segment_dependencies as needed on needed.organization_id in (was.organization_id, became.organization_id)
    where was is distinct from became
        and (
            was.organization_id <> became.organization_id
            or needed.source = 'custom'
                and was.custom_fields -> needed.name is distinct from became.custom_fields -> needed.name
            or needed.source = 'contact' and case needed.name
                when 'email' then was.email is distinct from became.email
                when 'first_name' then was.first_name is distinct from became.first_name
                when 'last_name' then was.last_name is distinct from became.last_name
                when 'phone' then was.phone is distinct from became.phone
                when 'status' then was.status is distinct from became.status
                when 'stage' then was.stage is distinct from became.stage
                when 'created_at' then was.created_at is distinct from became.created_at
                when 'updated_at' then was.updated_at is distinct from became.updated_at
                when 'last_activity_at' then was.last_activity_at is distinct from became.last_activity_at
            end
        );
    return null;
end $$;

CREATE FUNCTION crm.note_events() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    insert into crm.contact_changes (consumer, organization_id, contact_id, source)
    select distinct 'segments', changed.organization_id, changed.contact_id, 'event'
    from changed
    where exists (
            select from crm.segment_dependencies as needed
            where needed.organization_id = changed.organization_id and needed.source = 'event'
                and needed.name = changed.event_type
        )
        or exists (
            select from crm.segment_dependencies as needed
            where needed.organization_id = changed.organization_id and needed.source = 'event' and needed.name = '*'
        ) and crm.is_own_event(changed.event_type);
    return null;
end $$;

CREATE FUNCTION crm.note_events_updated() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    insert into crm.contact_changes (consumer, organization_id, contact_id, source)
    select distinct 'segments', changed.organization_id, changed.contact_id, 'event'
    from (table was union all table became) as changed
    where exists (
            select from crm.segment_dependencies as needed
            where needed.organization_id = changed.organization_id and needed.source = 'event'
                and needed.name = changed.event_type
        )
        or exists (
            select from crm.segment_dependencies as needed
            where needed.organization_id = changed.organization_id and needed.source = 'event' and needed.name = '*'
        ) and crm.is_own_event(changed.event_type);
    return null;
end $$;

CREATE FUNCTION crm.note_fields() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    insert into crm.contact_changes (consumer, organization_id, source, name)
    select distinct 'segments', changed.organization_id, 'custom', changed.name
    from changed
    join crm.segment_dependencies as needed
        on needed.organization_id = changed.organization_id and needed.source = 'custom' and needed.name = changed.name
    where changed.entity_type = 'contact';
    return null;
end $$;

CREATE FUNCTION crm.note_members() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if current_setting('mauntic.numbers_members', true) = 'on' then
        return null;
    end if;
    insert into crm.contact_changes (consumer, organization_id, contact_id, source, name, activity_id)
    select 'segments', organization_id, contact_id, 'segment',
        case tg_op when 'INSERT' then 'entered' else 'left' end, segment_id
    from changed
    where organization_id is not null;
    return null;
end $$;

CREATE FUNCTION crm.note_scores() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    insert into crm.contact_changes (consumer, organization_id, contact_id, source)
    select 'segments', organization_id, contact_id, 'score'
    from changed
    where exists (
        select from crm.segment_dependencies as needed
        where needed.organization_id = changed.organization_id and needed.source = 'score'
    );
    return null;
end $$;

CREATE FUNCTION crm.note_scores_updated() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    insert into crm.contact_changes (consumer, organization_id, contact_id, source)
    select 'segments', became.organization_id, became.contact_id, 'score'
    from became
    join was using (organization_id, contact_id)
    where (was.total_score, was.grade) is distinct from (became.total_score, became.grade)
        and exists (
            select from crm.segment_dependencies as needed
            where needed.organization_id = became.organization_id and needed.source = 'score'
        );
    return null;
end $$;

CREATE FUNCTION crm.note_tags() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    insert into crm.contact_changes (consumer, organization_id, contact_id, source)
    select distinct 'segments', contact.organization_id, contact.id, 'tag'
    from changed
    join crm.contacts as contact on contact.id = changed.contact_id
    where exists (
        select from crm.segment_dependencies as needed
        where needed.organization_id = contact.organization_id and needed.source = 'tag'
    );
    return null;
end $$;

CREATE FUNCTION crm.note_time_zone() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    insert into crm.contact_changes (consumer, organization_id, source, name)
    select distinct 'segments', needed.organization_id, 'config', 'time_zone'
    from crm.segment_dependencies as needed
    where needed.organization_id = coalesce(new.organization_id, old.organization_id)
        and needed.source = 'config' and needed.name = 'time_zone';
    return null;
end $$;

CREATE FUNCTION crm.number_of(value jsonb) RETURNS numeric
    LANGUAGE sql IMMUTABLE
    AS $_$
    select case jsonb_typeof(value)
        when 'number' then value::numeric
        when 'string' then case
            when length(value #>> '{}') <= 100
                and value #>> '{}' ~ '^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]{1,3})?$'
                then (value #>> '{}')::numeric
        end
    end
$_$;

CREATE FUNCTION crm.request_evaluation(organization_ids uuid[], contact_ids uuid[]) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    with requested as (
        insert into crm.contact_changes (consumer, organization_id, contact_id, source)
        select distinct 'segments', contact.organization_id, contact.contact_id, 'contact'
        from unnest(organization_ids, contact_ids) as contact (organization_id, contact_id)
        where contact.contact_id is not null
        returning 1
    )
    select count(*) from requested
$$;

COMMENT ON FUNCTION crm.request_evaluation(organization_ids uuid[], contact_ids uuid[]) IS 'Asks for contacts to be evaluated: for a bulk load that no trigger sees. Returns how many contacts it asked for.';

CREATE FUNCTION crm.text_of(value jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$
    select case when jsonb_typeof(value) in ('string', 'number', 'boolean') then nullif(value #>> '{}', '') end
$$;

CREATE FUNCTION crm.texts_of(value jsonb) RETURNS text[]
    LANGUAGE sql IMMUTABLE
    AS $$
    select case jsonb_typeof(value)
        when 'array' then nullif(array(
            select crm.text_of(element)
            from jsonb_array_elements(value) as list (element)
            where crm.text_of(element) is not null
        ), '{}')
        else array_remove(array[crm.text_of(value)], null)
    end
$$;

CREATE FUNCTION crm.version_segment() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if tg_op = 'UPDATE' then
        new.criteria_version := old.criteria_version + 1;
    end if;
    new.problem := null;
    new.failed_runs := 0;
    if new.type = 'static' then
        new.state := 'ready';
        new.ready_version := new.criteria_version;
    else
        new.state := 'building';
    end if;
    return new;
end $$;

COMMENT ON FUNCTION crm.version_segment() IS 'New criteria have a new version, for which a dynamic segment is built.';

CREATE FUNCTION delivery.announce_events() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    insert into delivery.platform_outbox (
        event_id, organization_id, message_id, contact_id, kind, occurred_at, details
    )
    select
        added.id, added.organization_id, added.message_id, added.contact_id,
        case added.event_type when 'gone' then 'bounced' else added.event_type end,
        added.occurred_at,
        case added.event_type
            when 'gone' then '{"bounceKind": "hard", "reason": "device_gone"}'
            else coalesce(added.metadata, '{}')
        end
    from added
    where added.event_type in (
        'sent', 'failed', 'delivered', 'opened', 'clicked', 'bounced', 'gone', 'complained', 'unsubscribed'
    );
    return null;
end $$;

CREATE FUNCTION delivery.complete_suppression() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    new.address := delivery.suppressed_address(
        new.channel, coalesce(new.address, case new.channel when 'email' then new.email end)
    );
    new.email := coalesce(new.email, case new.channel when 'email' then left(new.address, 255) end);
    new.scope := coalesce(new.scope, case new.reason when 'unsubscribe' then 'marketing' else 'all' end);
    return new;
end $$;

CREATE FUNCTION delivery.default_expiry(class text, since timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (since + CASE class WHEN 'transactional'::text THEN '24:00:00'::interval ELSE '72:00:00'::interval END);

COMMENT ON FUNCTION delivery.default_expiry(class text, since timestamp with time zone) IS 'When a message is too late: after 72 hours, a transactional one after 24.';

CREATE FUNCTION delivery.default_on_uncertain(channel text, class text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN ((channel = 'push'::text) OR ((channel = 'email'::text) AND (class = 'transactional'::text))) THEN 'retry'::text ELSE 'hold'::text END;

COMMENT ON FUNCTION delivery.default_on_uncertain(channel text, class text) IS 'Transactional e-mail and push get one more call after an unknown one.';

CREATE FUNCTION delivery.enqueue(organization_id uuid, channel text, key text, contact_id uuid DEFAULT NULL::uuid, address text DEFAULT NULL::text, template_id uuid DEFAULT NULL::uuid, content jsonb DEFAULT NULL::jsonb, variables jsonb DEFAULT NULL::jsonb, class text DEFAULT 'marketing'::text, campaign_id uuid DEFAULT NULL::uuid, not_before timestamp with time zone DEFAULT NULL::timestamp with time zone, expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone, on_uncertain text DEFAULT NULL::text, device_id uuid DEFAULT NULL::uuid) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
#variable_conflict use_variable
declare
    inserted uuid;
begin
    if contact_id is null and address is null then
        raise exception 'a message needs a contact or an address' using errcode = '22023';
    end if;
    if contact_id is null and class <> 'transactional' then
        raise exception 'a marketing message needs a contact' using errcode = '22023';
    end if;
    if (template_id is null) = (content is null) then
        raise exception 'a message needs either a template or a content' using errcode = '22023';
    end if;
    if length(key) > 200 then
        raise exception 'a key has at most 200 characters' using errcode = '22001';
    end if;
    if on_uncertain = 'retry' and class = 'marketing' and channel <> 'push' then
        raise exception 'marketing is not repeated after an unknown call' using errcode = '22023';
    end if;
    insert into delivery.messages (
        organization_id, idempotency_key, channel, class, contact_id, address, template_id, content, variables,
        campaign_id, device_id, state, reason, not_before, expires_at, finished_at, on_uncertain
    )
    select
        organization_id, key, channel, class, contact_id, address, template_id, content, variables,
        campaign_id, device_id,
        case when is_unknown then 'skipped' when not_before > now() then 'deferred' else 'pending' end,
        case when is_unknown then 'unknown_contact' when not_before > now() then 'not_before' end,
        case when not is_unknown and not_before > now() then not_before end,
        coalesce(expires_at, delivery.default_expiry(class, greatest(now(), not_before))),
        case when is_unknown then now() end,
        case
            when class = 'marketing' and channel <> 'push' then 'hold'
            else coalesce(on_uncertain, delivery.default_on_uncertain(channel, class))
        end
    from (
        select contact_id is not null and not exists (
            select from crm.contacts as known
            where known.id = contact_id and known.organization_id = enqueue.organization_id
        ) as is_unknown
    ) as checked
    on conflict on constraint messages_organization_id_idempotency_key_key do nothing
    returning id into inserted;
    return inserted;
end $$;

COMMENT ON FUNCTION delivery.enqueue(organization_id uuid, channel text, key text, contact_id uuid, address text, template_id uuid, content jsonb, variables jsonb, class text, campaign_id uuid, not_before timestamp with time zone, expires_at timestamp with time zone, on_uncertain text, device_id uuid) IS 'Inserts a message, which the next run of the feeder sends. Returns its id; null: there is one with this key.';

CREATE FUNCTION delivery.erase_contact(organization_id uuid, contact_id uuid, mentioned text[] DEFAULT '{}'::text[]) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
#variable_conflict use_variable
declare
    touched bigint;
    total bigint := 0;
begin
    -- The stored requests of calls have addresses and content. A repetition is no longer allowed in any case.
    update delivery.calls as kept set request = null
    where kept.request is not null and kept.organization_id = erase_contact.organization_id
        and exists (
            select from delivery.attempts as attempt
            join delivery.messages as message on message.id = attempt.message_id
            where attempt.call_id = kept.id
                and (message.contact_id = erase_contact.contact_id or lower(message.address) = any(mentioned))
        );
    get diagnostics touched = row_count; total := total + touched;
    -- Messages to the address alone.
    update delivery.messages as kept set
        idempotency_key = 'erased:' || kept.id, address = null, content = null, variables = null
    where kept.organization_id = organization_id and kept.contact_id is null
        and lower(kept.address) = any(mentioned);
    get diagnostics touched = row_count; total := total + touched;
    update delivery.messages as kept set
        idempotency_key = 'erased:' || kept.id, contact_id = null, address = null, content = null, variables = null,
        device_id = null
    where kept.organization_id = organization_id and kept.contact_id = contact_id;
    get diagnostics touched = row_count; total := total + touched;
    update delivery.delivery_events as kept set contact_id = null, metadata = null
    where kept.organization_id = organization_id and kept.contact_id = contact_id;
    get diagnostics touched = row_count; total := total + touched;
    delete from delivery.device_tokens as gone
    where gone.organization_id = organization_id and gone.contact_id = contact_id;
    get diagnostics touched = row_count; total := total + touched;
    delete from delivery.recipients as gone
    where gone.organization_id = organization_id and gone.contact_id = contact_id;
    get diagnostics touched = row_count; total := total + touched;
    delete from delivery.platform_outbox as gone
    where gone.organization_id = organization_id and gone.contact_id = contact_id;
    get diagnostics touched = row_count; total := total + touched;
    delete from delivery.deleted_contacts as gone
    where gone.organization_id = organization_id and gone.contact_id = contact_id;
    get diagnostics touched = row_count; total := total + touched;
    delete from delivery.unmatched_events as gone
    where ops.mentions(gone.body::text) && (ops.mentions(contact_id::text) || mentioned);
    get diagnostics touched = row_count; total := total + touched;
    return total;
end $$;

COMMENT ON FUNCTION delivery.erase_contact(organization_id uuid, contact_id uuid, mentioned text[]) IS 'The part of ops.erase_contact for deliveries. Suppressions stay: they keep a promise to the person.';

CREATE FUNCTION delivery.gravity(reason text) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    RETURN array_position(ARRAY['unsubscribe'::text, 'invalid'::text, 'bounce'::text, 'complaint'::text, 'manual'::text], reason);

COMMENT ON FUNCTION delivery.gravity(reason text) IS 'How grave a reason of a suppression is: a person''s decision most of all.';

CREATE FUNCTION delivery.note_deleted_contacts() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    insert into delivery.deleted_contacts (organization_id, contact_id)
    select gone.organization_id, gone.id from gone;
    return null;
end $$;

CREATE FUNCTION delivery.suppressed_address(channel text, address text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE channel WHEN 'email'::text THEN NORMALIZE(lower(TRIM(BOTH FROM address)), NFC) WHEN 'sms'::text THEN translate(TRIM(BOTH FROM address), ' -./() '::text, ''::text) ELSE TRIM(BOTH FROM address) END;

COMMENT ON FUNCTION delivery.suppressed_address(channel text, address text) IS 'An address in the spelling of suppressions.';

CREATE TABLE delivery.suppressions (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid NOT NULL,
    email character varying(255),
    reason text NOT NULL,
    source text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    channel text DEFAULT 'email'::text NOT NULL,
    address text NOT NULL,
    scope text NOT NULL,
    expires_at timestamp with time zone,
    message_id uuid,
    CONSTRAINT suppressions_channel_check CHECK ((channel = ANY (ARRAY['email'::text, 'sms'::text, 'push'::text]))),
    CONSTRAINT suppressions_reason_check CHECK ((reason = ANY (ARRAY['bounce'::text, 'complaint'::text, 'unsubscribe'::text, 'manual'::text, 'invalid'::text]))),
    CONSTRAINT suppressions_scope_check CHECK ((scope = ANY (ARRAY['all'::text, 'marketing'::text])))
);

COMMENT ON COLUMN delivery.suppressions.address IS 'Normalized. Without it the e-mail address is taken, in lower case.';

COMMENT ON COLUMN delivery.suppressions.scope IS 'all stops everything; marketing, the default of unsubscribe, stops marketing.';

CREATE FUNCTION delivery.suppress(organization_id uuid, address text, channel text DEFAULT 'email'::text, reason text DEFAULT 'manual'::text, scope text DEFAULT NULL::text, source text DEFAULT NULL::text, expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone, message_id uuid DEFAULT NULL::uuid) RETURNS uuid
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    BEGIN ATOMIC
 INSERT INTO delivery.suppressions AS known (organization_id, channel, address, reason, scope, source, expires_at, message_id)
   VALUES (suppress.organization_id, suppress.channel, delivery.suppressed_address(suppress.channel, suppress.address), suppress.reason, COALESCE(suppress.scope,
         CASE suppress.reason
             WHEN 'unsubscribe'::text THEN 'marketing'::text
             ELSE 'all'::text
         END), suppress.source, suppress.expires_at, suppress.message_id) ON CONFLICT(organization_id, channel, address, scope) DO UPDATE SET expires_at =
         CASE
             WHEN ((known.expires_at IS NULL) OR (excluded.expires_at IS NULL)) THEN NULL::timestamp with time zone
             ELSE GREATEST(known.expires_at, excluded.expires_at)
         END, reason =
         CASE
             WHEN (delivery.gravity(excluded.reason) > delivery.gravity(known.reason)) THEN excluded.reason
             ELSE known.reason
         END, source =
         CASE
             WHEN (delivery.gravity(excluded.reason) > delivery.gravity(known.reason)) THEN excluded.source
             ELSE known.source
         END, message_id =
         CASE
             WHEN (delivery.gravity(excluded.reason) > delivery.gravity(known.reason)) THEN excluded.message_id
             ELSE known.message_id
         END
   RETURNING known.id;
END;

COMMENT ON FUNCTION delivery.suppress(organization_id uuid, address text, channel text, reason text, scope text, source text, expires_at timestamp with time zone, message_id uuid) IS 'Sends nothing more to an address: nothing at all, or no marketing. Of several reasons the gravest stays.';

CREATE FUNCTION delivery.unsuppress(organization_id uuid, address text, channel text, note text, scope text DEFAULT NULL::text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
#variable_conflict use_variable
declare
    removed bigint;
begin
    if coalesce(trim(note), '') = '' then
        raise exception 'a suppression is removed with a note' using errcode = '22023';
    end if;
    with gone as (
        delete from delivery.suppressions as known
        where known.organization_id = organization_id and known.channel = channel
            and known.address = delivery.suppressed_address(channel, address)
            and known.scope = coalesce(unsuppress.scope, known.scope)
        returning known.id, known.organization_id, known.channel, known.reason, known.scope
    )
    insert into delivery.delivery_events (organization_id, channel, event_type, event_id, metadata)
    select gone.organization_id, gone.channel, 'unsuppressed', 'unsuppress:' || gone.id,
        jsonb_build_object('reason', gone.reason, 'scope', gone.scope, 'note', note, 'by', session_user)
    from gone;
    get diagnostics removed = row_count;
    return removed;
end $$;

COMMENT ON FUNCTION delivery.unsuppress(organization_id uuid, address text, channel text, note text, scope text) IS 'Removes suppressions of an address, for a person who says why.';

CREATE FUNCTION delivery.webhook_text(message jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    content text;
begin
    content := encode(decode(message #>> '{data,body}', 'base64'), 'escape');
    -- A form separates its fields by = and &, and encodes the marks of an address.
    return content || ' ' || translate(replace(replace(content, '%40', '@'), '%2B', '+'), '=&', '  ');
exception when others then
    return null;
end $$;

COMMENT ON FUNCTION delivery.webhook_text(message jsonb) IS 'The body of a webhook in a queue message, as text; null if it has none.';

CREATE FUNCTION journey.activity_added() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

CREATE FUNCTION journey.are_settings(settings jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    RETURN ((jsonb_typeof(settings) = 'object'::text) AND (COALESCE((settings #>> '{reEntry,type}'::text[]), 'once'::text) = ANY (ARRAY['once'::text, 'always'::text, 'cooldown'::text])) AND (((settings #>> '{reEntry,type}'::text[]) IS DISTINCT FROM 'cooldown'::text) OR COALESCE(jsonb_path_exists(settings, '$."reEntry"."cooldownDays"?(@.type() == "number" && @ > 0)'::jsonpath), false)) AND ((COALESCE(jsonb_typeof((settings -> 'frequencyCap'::text)), 'null'::text) = 'null'::text) OR (jsonb_path_exists(settings, '$."frequencyCap"."maxCount"?(@.type() == "number" && @ >= 1)'::jsonpath) AND jsonb_path_exists(settings, '$."frequencyCap"."windowDays"?(@.type() == "number" && @ > 0)'::jsonpath))));

CREATE FUNCTION journey.check_settings() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if not journey.are_settings(new.settings) then
        raise exception 'the settings of the journey are invalid: docs/journeys.md' using errcode = '22023';
    end if;
    return new;
end $$;

CREATE FUNCTION journey.contacts_removed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

CREATE FUNCTION journey.enroll(organization_id uuid, journey_id uuid, contact_ids uuid[], request_id text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION journey.enroll(organization_id uuid, journey_id uuid, contact_ids uuid[], request_id text) IS 'Enters contacts into a journey, at most once for each request. Returns how many entered; the first step follows within five minutes.';

CREATE FUNCTION journey.enter(journey_id uuid, trigger_id uuid, contact_ids uuid[], occasions text[], has_stay boolean, moment timestamp with time zone, queued_until timestamp with time zone) RETURNS TABLE(execution_id uuid, contact_id uuid, occasion text, outcome text, reason text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION journey.enter(journey_id uuid, trigger_id uuid, contact_ids uuid[], occasions text[], has_stay boolean, moment timestamp with time zone, queued_until timestamp with time zone) IS 'Enters contacts on occasions, each of which is used once. has_stay: a contact that must wait is asked again.';

CREATE TABLE journey.journey_step_connections (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    from_step_id uuid NOT NULL,
    to_step_id uuid NOT NULL,
    label character varying(255)
);

CREATE TABLE journey.journey_steps (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    journey_version_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    type text NOT NULL,
    config jsonb DEFAULT '{}'::jsonb NOT NULL,
    position_x integer,
    position_y integer
);

CREATE FUNCTION journey.entry_step(version_id uuid) RETURNS uuid[]
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    BEGIN ATOMIC
 WITH own AS (
          SELECT step.id,
             step.type
            FROM journey.journey_steps step
           WHERE (step.journey_version_id = entry_step.version_id)
         ), triggers AS (
          SELECT own.id
            FROM own
           WHERE (own.type = 'trigger'::text)
         )
  SELECT COALESCE(array_agg(entry.id ORDER BY entry.id), '{}'::uuid[]) AS "coalesce"
    FROM ( SELECT connection.to_step_id AS id
            FROM (triggers
              JOIN journey.journey_step_connections connection ON ((connection.from_step_id = triggers.id)))
         UNION
          SELECT own.id
            FROM own
           WHERE ((NOT (EXISTS ( SELECT
                    FROM triggers))) AND (NOT (EXISTS ( SELECT
                    FROM journey.journey_step_connections connection
                   WHERE (connection.to_step_id = own.id)))))) entry;
END;

COMMENT ON FUNCTION journey.entry_step(version_id uuid) IS 'Where executions begin: the target of the trigger step, or the step without an incoming connection.';

CREATE FUNCTION journey.erase_contact(organization_id uuid, contact_id uuid) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

CREATE FUNCTION journey.event_body(organization_id uuid, journey_id uuid, execution_id uuid, contact_id uuid, further jsonb DEFAULT '{}'::jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    RETURN jsonb_strip_nulls((jsonb_build_object('organizationId', organization_id, 'journeyId', journey_id, 'executionId', execution_id, 'contactId', contact_id) || further));

CREATE FUNCTION journey.executions_ended() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

CREATE FUNCTION journey.guard_connections() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

CREATE FUNCTION journey.guard_published() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if exists (select from journey.journeys as known where known.id = old.journey_id) then
        raise exception 'a published version stays as long as its journey' using errcode = '22023';
    end if;
    return old;
end $$;

CREATE FUNCTION journey.guard_steps() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

CREATE FUNCTION journey.guard_version() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

CREATE FUNCTION journey.step_kind(type text, config jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    RETURN CASE WHEN (type = ANY (ARRAY['split'::text, 'condition'::text])) THEN CASE COALESCE((config ->> 'type'::text), ('split_'::text || CASE type WHEN 'split'::text THEN 'random'::text ELSE 'condition'::text END)) WHEN 'split_random'::text THEN 'split'::text WHEN 'split_condition'::text THEN 'condition'::text ELSE NULL::text END WHEN (type = ANY (ARRAY['trigger'::text, 'action'::text, 'delay'::text, 'gate'::text, 'exit'::text])) THEN type ELSE NULL::text END;

COMMENT ON FUNCTION journey.step_kind(type text, config jsonb) IS 'What a step does; null: it is not known.';

CREATE FUNCTION journey.labels(type text, config jsonb) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    RETURN CASE journey.step_kind(type, config) WHEN 'split'::text THEN ARRAY(SELECT (branch.branch ->> 'label'::text) FROM jsonb_path_query(labels.config, '$."branches"[*]'::jsonpath) branch(branch)) WHEN 'condition'::text THEN ARRAY['yes'::text, 'no'::text] WHEN 'gate'::text THEN ARRAY['yes'::text, 'no'::text] ELSE '{}'::text[] END;

COMMENT ON FUNCTION journey.labels(type text, config jsonb) IS 'The labels between which a step decides.';

CREATE FUNCTION journey.local_instant(local timestamp without time zone, zone text) RETURNS timestamp with time zone
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    BEGIN ATOMIC
 WITH offsets AS (
          SELECT ((((local_instant.local AT TIME ZONE 'UTC'::text) - '1 day'::interval) AT TIME ZONE local_instant.zone) - (local_instant.local - '1 day'::interval)) AS earlier,
             ((((local_instant.local AT TIME ZONE 'UTC'::text) + '1 day'::interval) AT TIME ZONE local_instant.zone) - (local_instant.local + '1 day'::interval)) AS later
         ), candidates AS (
          SELECT ((local_instant.local AT TIME ZONE 'UTC'::text) - offsets.earlier) AS before_change,
             ((local_instant.local AT TIME ZONE 'UTC'::text) - offsets.later) AS after_change
            FROM offsets
         )
  SELECT COALESCE(LEAST(
         CASE
             WHEN ((candidates.before_change AT TIME ZONE local_instant.zone) = local_instant.local) THEN candidates.before_change
             ELSE NULL::timestamp with time zone
         END,
         CASE
             WHEN ((candidates.after_change AT TIME ZONE local_instant.zone) = local_instant.local) THEN candidates.after_change
             ELSE NULL::timestamp with time zone
         END), ( SELECT min(moment.moment) AS min
            FROM generate_series(candidates.after_change, candidates.before_change, '00:01:00'::interval) moment(moment)
           WHERE ((moment.moment AT TIME ZONE local_instant.zone) > local_instant.local)), candidates.before_change) AS "coalesce"
    FROM candidates;
END;

COMMENT ON FUNCTION journey.local_instant(local timestamp without time zone, zone text) IS 'The instant of a local time: the first of two, and the end of the gap for a time that a change of clocks leaves out.';

CREATE FUNCTION journey.next_local_time(since timestamp with time zone, at time without time zone, weekdays integer[], zone text) RETURNS timestamp with time zone
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    BEGIN ATOMIC
 SELECT min(journey.local_instant((day.day + (next_local_time.at)::interval), next_local_time.zone)) AS min
    FROM generate_series(date_trunc('day'::text, (next_local_time.since AT TIME ZONE next_local_time.zone)), (date_trunc('day'::text, (next_local_time.since AT TIME ZONE next_local_time.zone)) + '8 days'::interval), '1 day'::interval) day(day)
   WHERE (((next_local_time.weekdays IS NULL) OR (EXTRACT(isodow FROM day.day) = ANY ((next_local_time.weekdays)::numeric[]))) AND (journey.local_instant((day.day + (next_local_time.at)::interval), next_local_time.zone) > next_local_time.since));
END;

COMMENT ON FUNCTION journey.next_local_time(since timestamp with time zone, at time without time zone, weekdays integer[], zone text) IS 'The first time of day after a moment, on some days of the week: 1 is Monday, null is every day.';

CREATE FUNCTION journey.note_problem() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    new.problem := journey.trigger_problem(new.type, new.config);
    return new;
end $$;

CREATE FUNCTION journey.note_status() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    new.status_changed_at := now();
    return new;
end $$;

CREATE FUNCTION journey.step_problem(type text, config jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
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
end $_$;

CREATE FUNCTION journey.trigger_problem(type text, config jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    RETURN CASE WHEN (type = ANY (ARRAY['manual'::text, 'api'::text])) THEN NULL::text WHEN (type = 'segment'::text) THEN CASE WHEN (COALESCE((config ->> 'segmentId'::text), ''::text) !~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'::text) THEN 'segmentId is not an id'::text WHEN (COALESCE(jsonb_typeof((config -> 'existing'::text)), 'boolean'::text) <> 'boolean'::text) THEN 'existing is not true or false'::text ELSE NULL::text END WHEN (type = 'event'::text) THEN CASE WHEN (COALESCE((config ->> 'eventType'::text), ''::text) = ''::text) THEN 'eventType is missing'::text WHEN (COALESCE(jsonb_typeof((config -> 'filters'::text)), 'null'::text) <> ALL (ARRAY['null'::text, 'object'::text])) THEN 'filters is not an object'::text ELSE NULL::text END WHEN (type = ANY (ARRAY['score'::text, 'score_threshold'::text])) THEN CASE WHEN (COALESCE((config ->> 'threshold'::text), (config ->> 'minScore'::text), ''::text) <> ALL (ARRAY['20'::text, '40'::text, '60'::text, '80'::text])) THEN 'the threshold is not 20, 40, 60 or 80: use a segment on lead_score'::text WHEN ((COALESCE((config ->> 'operator'::text), 'gte'::text) <> ALL (ARRAY['gte'::text, 'lte'::text])) OR (COALESCE((config ->> 'direction'::text), 'up'::text) <> ALL (ARRAY['up'::text, 'down'::text]))) THEN 'the direction is not known'::text ELSE NULL::text END ELSE 'not supported'::text END;

COMMENT ON FUNCTION journey.trigger_problem(type text, config jsonb) IS 'Why a trigger enrolls no contact; null: it does.';

CREATE FUNCTION journey.version_problem(version_id uuid) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION journey.version_problem(version_id uuid) IS 'Why a version cannot be published; null: it can.';

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
    -- The bytes of a webhook mention the contact in base64, which no index reads; there are few of them.
    update ops.dead_letters as kept set
        body = null,
        error = null,
        note = 'erased with a contact',
        status = case kept.status when 'dead' then 'discarded' else kept.status end,
        changed_by = session_user,
        changed_at = now()
    where kept.job_type = 'delivery.ProviderEvents' and kept.body is not null
        and ops.mentions(delivery.webhook_text(kept.body)) && mentioned;
    get diagnostics touched = row_count; total := total + touched;
    total := total + delivery.erase_contact(
        erase_contact.organization_id, erase_contact.contact_id,
        mentioned || array_remove(array[lower(trim(email)), (
            select lower(trim(known.email)) from crm.contacts as known
            where known.id = contact_id and known.organization_id = erase_contact.organization_id
        )], null)
    );
    total := total + journey.erase_contact(erase_contact.organization_id, erase_contact.contact_id);
    total := total + crm.erase_contact(erase_contact.organization_id, erase_contact.contact_id);
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

CREATE TABLE campaign.campaigns (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid NOT NULL,
    name character varying(255) NOT NULL,
    type text NOT NULL,
    status text DEFAULT 'draft'::text NOT NULL,
    subject text,
    template_id uuid,
    segment_id uuid,
    scheduled_at timestamp with time zone,
    started_at timestamp with time zone,
    completed_at timestamp with time zone,
    recipient_count bigint DEFAULT 0 NOT NULL,
    sent_count bigint DEFAULT 0 NOT NULL,
    delivered_count bigint DEFAULT 0 NOT NULL,
    opened_count bigint DEFAULT 0 NOT NULL,
    clicked_count bigint DEFAULT 0 NOT NULL,
    bounced_count bigint DEFAULT 0 NOT NULL,
    complained_count bigint DEFAULT 0 NOT NULL,
    unsubscribed_count bigint DEFAULT 0 NOT NULL,
    open_rate numeric,
    click_rate numeric,
    last_event_at timestamp with time zone,
    settings jsonb DEFAULT '{}'::jsonb NOT NULL,
    run integer DEFAULT 1 NOT NULL,
    problem text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    canceled_run integer DEFAULT 0 NOT NULL,
    CONSTRAINT campaigns_status_check CHECK ((status = ANY (ARRAY['draft'::text, 'scheduled'::text, 'sending'::text, 'sent'::text, 'paused'::text, 'canceled'::text]))),
    CONSTRAINT campaigns_type_check CHECK ((type = ANY (ARRAY['email'::text, 'sms'::text, 'push'::text, 'multichannel'::text])))
);

COMMENT ON COLUMN campaign.campaigns.settings IS 'from, reply_to, message_class, expires_after_hours.';

COMMENT ON COLUMN campaign.campaigns.run IS 'The platform increments it to send the campaign again.';

COMMENT ON COLUMN campaign.campaigns.problem IS 'Why the campaign cannot start.';

COMMENT ON COLUMN campaign.campaigns.canceled_run IS 'The newest run that was canceled. Messages of it and of earlier runs are not sent.';

CREATE TABLE content.templates (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid NOT NULL,
    name character varying(255),
    type text NOT NULL,
    subject character varying(500),
    body_html text,
    body_text text,
    is_active boolean DEFAULT true NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT templates_type_check CHECK ((type = ANY (ARRAY['email'::text, 'sms'::text, 'push'::text, 'page'::text])))
);

CREATE SEQUENCE crm.backlog_version
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE crm.companies (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid NOT NULL,
    name text,
    domain text,
    industry text,
    size text
);

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

CREATE TABLE crm.contact_companies (
    contact_id uuid NOT NULL,
    company_id uuid NOT NULL
);

CREATE TABLE crm.contact_tags (
    contact_id uuid NOT NULL,
    tag_id uuid NOT NULL
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
    time_zone text,
    CONSTRAINT contacts_status_check CHECK ((status = ANY (ARRAY['active'::text, 'unsubscribed'::text, 'bounced'::text, 'do_not_contact'::text])))
);

COMMENT ON COLUMN crm.contacts.time_zone IS 'A name of pg_timezone_names; null is the organization''s zone.';

CREATE TABLE crm.expanded_changes (
    change_id bigint NOT NULL,
    reached uuid NOT NULL,
    expanded_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE crm.expanded_changes IS 'How far a job has come with a change that concerns a whole organization: the last contact it has taken. Deleted with the change.';

CREATE TABLE crm.fields (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid NOT NULL,
    entity_type text DEFAULT 'contact'::text NOT NULL,
    name text NOT NULL,
    field_type text NOT NULL,
    CONSTRAINT fields_field_type_check CHECK ((field_type = ANY (ARRAY['text'::text, 'number'::text, 'date'::text, 'select'::text, 'multiselect'::text])))
);

CREATE TABLE crm.segment_backlog (
    organization_id uuid NOT NULL,
    contact_id uuid NOT NULL,
    version bigint DEFAULT nextval('crm.backlog_version'::regclass) NOT NULL,
    reason text NOT NULL,
    requested_at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON TABLE crm.segment_backlog IS 'Contacts to evaluate. Only jobs write it.';

COMMENT ON COLUMN crm.segment_backlog.version IS 'Marks the entries that one evaluation has taken.';

CREATE TABLE crm.segment_changes (
    segment_id uuid NOT NULL,
    change_no bigint NOT NULL,
    organization_id uuid NOT NULL,
    contact_id uuid NOT NULL,
    kind text NOT NULL,
    criteria_version bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    CONSTRAINT segment_changes_kind_check CHECK ((kind = ANY (ARRAY['entered'::text, 'left'::text])))
);

COMMENT ON TABLE crm.segment_changes IS 'Who entered and left, numbered without gaps within a segment.';

CREATE TABLE crm.segment_contacts (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    segment_id uuid NOT NULL,
    contact_id uuid NOT NULL,
    added_at timestamp with time zone DEFAULT now() NOT NULL,
    organization_id uuid NOT NULL,
    entered_no bigint
);

COMMENT ON COLUMN crm.segment_contacts.organization_id IS 'A trigger takes it from the segment.';

COMMENT ON COLUMN crm.segment_contacts.entered_no IS 'The number of the change with which the contact entered; null until it is numbered.';

CREATE TABLE crm.segment_dependencies (
    organization_id uuid NOT NULL,
    source text NOT NULL,
    name text NOT NULL,
    segment_id uuid NOT NULL,
    since_xid xid8,
    CONSTRAINT segment_dependencies_source_check CHECK ((source = ANY (ARRAY['contact'::text, 'custom'::text, 'event'::text, 'tag'::text, 'score'::text, 'segment'::text, 'company'::text, 'config'::text])))
);

COMMENT ON TABLE crm.segment_dependencies IS 'What the criteria of a segment read: the triggers note only changes of this.';

COMMENT ON COLUMN crm.segment_dependencies.name IS 'A column, a key, a type of event (* for any of the contact''s own), a segment; otherwise empty.';

COMMENT ON COLUMN crm.segment_dependencies.since_xid IS 'A transaction that began after the dependency was visible: every writer before it has ended before a build reads.';

CREATE TABLE crm.segment_recheck (
    segment_id uuid NOT NULL,
    contact_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    recheck_at timestamp with time zone NOT NULL,
    CONSTRAINT segment_recheck_recheck_at_check CHECK (isfinite(recheck_at))
);

COMMENT ON TABLE crm.segment_recheck IS 'The moment at which time alone can change a contact''s membership. Deleted with the evaluation.';

CREATE TABLE crm.segments (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid NOT NULL,
    name character varying(255) NOT NULL,
    description text,
    type text NOT NULL,
    filter_criteria jsonb,
    contact_count integer DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    criteria_version bigint DEFAULT 1 NOT NULL,
    ready_version bigint,
    state text DEFAULT 'building'::text NOT NULL,
    problem text,
    failed_runs integer DEFAULT 0 NOT NULL,
    change_no bigint DEFAULT 0 NOT NULL,
    evaluated_at timestamp with time zone,
    prepared_version bigint,
    failed_at timestamp with time zone,
    CONSTRAINT segments_state_check CHECK ((state = ANY (ARRAY['building'::text, 'ready'::text, 'invalid'::text]))),
    CONSTRAINT segments_type_check CHECK ((type = ANY (ARRAY['static'::text, 'dynamic'::text])))
);

COMMENT ON COLUMN crm.segments.criteria_version IS 'A trigger increments it when type or filter_criteria change.';

COMMENT ON COLUMN crm.segments.ready_version IS 'The version of the criteria that the members satisfy; null: none yet.';

COMMENT ON COLUMN crm.segments.state IS 'A static segment is always ready. A dynamic one is building until its members satisfy its criteria.';

COMMENT ON COLUMN crm.segments.problem IS 'Why the segment is invalid.';

COMMENT ON COLUMN crm.segments.failed_runs IS 'Evaluations in a row that failed.';

COMMENT ON COLUMN crm.segments.change_no IS 'The number of the newest change of the members.';

COMMENT ON COLUMN crm.segments.prepared_version IS 'The version of the criteria whose dependencies are recorded.';

COMMENT ON COLUMN crm.segments.failed_at IS 'The time for which the newest failed evaluation was: one hour counts once.';

CREATE TABLE crm.tags (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid NOT NULL,
    name text NOT NULL
);

CREATE TABLE delivery.attempts (
    message_id uuid NOT NULL,
    attempt integer NOT NULL,
    call_id uuid NOT NULL,
    provider_config_id uuid,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    http_status integer,
    verdict text,
    code text,
    error text,
    CONSTRAINT attempts_verdict_check CHECK ((verdict = ANY (ARRAY['accepted'::text, 'refused'::text, 'suppress'::text, 'defer'::text, 'retry'::text, 'pause'::text, 'unknown'::text])))
);

COMMENT ON TABLE delivery.attempts IS 'One row for each message of each call. An open attempt whose lease expired waits for a late verdict.';

CREATE TABLE delivery.calls (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    provider_config_id uuid,
    channel text NOT NULL,
    message_count integer NOT NULL,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    http_status integer,
    request bytea,
    CONSTRAINT calls_channel_check CHECK ((channel = ANY (ARRAY['email'::text, 'sms'::text, 'push'::text]))),
    CONSTRAINT calls_message_count_check CHECK ((message_count > 0))
);

COMMENT ON TABLE delivery.calls IS 'Calls to providers. A row is committed before its call.';

COMMENT ON COLUMN delivery.calls.request IS 'The exact request, compressed with gzip: only for providers with an idempotency key.';

CREATE TABLE delivery.config_alerts (
    organization_id uuid,
    channel text NOT NULL,
    config_id uuid,
    problem text NOT NULL,
    alerted_at timestamp with time zone NOT NULL,
    CONSTRAINT config_alerts_channel_check CHECK ((channel = ANY (ARRAY['email'::text, 'sms'::text, 'push'::text]))),
    CONSTRAINT config_alerts_problem_check CHECK ((problem = ANY (ARRAY['paused'::text, 'no_provider'::text, 'unverified_sender'::text, 'not_configured'::text])))
);

COMMENT ON TABLE delivery.config_alerts IS 'When a problem of a configuration was last reported: an hour passes before the next alert.';

COMMENT ON COLUMN delivery.config_alerts.organization_id IS 'Null: a setting of the worker, which concerns every organization.';

COMMENT ON COLUMN delivery.config_alerts.config_id IS 'The paused config; null of the other problems.';

CREATE TABLE delivery.deleted_contacts (
    id bigint NOT NULL,
    organization_id uuid NOT NULL,
    contact_id uuid NOT NULL,
    deleted_at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON TABLE delivery.deleted_contacts IS 'Contacts that the platform has deleted: the next sweep empties the addresses of their messages.';

ALTER TABLE delivery.deleted_contacts ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME delivery.deleted_contacts_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE delivery.delivery_events (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    job_id uuid,
    organization_id uuid NOT NULL,
    contact_id uuid,
    channel text NOT NULL,
    event_type text NOT NULL,
    provider_message_id text,
    metadata jsonb,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    message_id uuid,
    event_id text NOT NULL,
    occurred_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE delivery.delivery_jobs (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid NOT NULL,
    channel text NOT NULL,
    status text DEFAULT 'queued'::text NOT NULL,
    recipient_count bigint DEFAULT 0 NOT NULL,
    sent_count bigint DEFAULT 0 NOT NULL,
    failed_count bigint DEFAULT 0 NOT NULL,
    idempotency_key character varying(255),
    metadata jsonb,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    completed_at timestamp with time zone,
    campaign_id uuid,
    content jsonb,
    run integer,
    counts jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT delivery_jobs_channel_check CHECK ((channel = ANY (ARRAY['email'::text, 'sms'::text, 'push'::text]))),
    CONSTRAINT delivery_jobs_status_check CHECK ((status = ANY (ARRAY['queued'::text, 'sending'::text, 'sent'::text, 'failed'::text, 'partial'::text])))
);

COMMENT ON COLUMN delivery.delivery_jobs.content IS 'The content of the run, frozen when it starts, with its hash.';

COMMENT ON COLUMN delivery.delivery_jobs.run IS 'The number of the campaign''s run.';

COMMENT ON COLUMN delivery.delivery_jobs.counts IS 'Recipients by what became of them: sent, failed, skipped, uncertain, open; delivered, opened and so on.';

CREATE TABLE delivery.device_tokens (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid NOT NULL,
    contact_id uuid NOT NULL,
    kind text NOT NULL,
    token text NOT NULL,
    p256dh text,
    auth text,
    status text DEFAULT 'active'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    gone_at timestamp with time zone,
    CONSTRAINT device_tokens_check CHECK (((kind = 'fcm'::text) OR ((p256dh IS NOT NULL) AND (auth IS NOT NULL)))),
    CONSTRAINT device_tokens_kind_check CHECK ((kind = ANY (ARRAY['fcm'::text, 'webpush'::text]))),
    CONSTRAINT device_tokens_status_check CHECK ((status = ANY (ARRAY['active'::text, 'gone'::text])))
);

CREATE TABLE delivery.feeders (
    channel text NOT NULL,
    CONSTRAINT feeders_channel_check CHECK ((channel = ANY (ARRAY['email'::text, 'sms'::text, 'push'::text])))
);

COMMENT ON TABLE delivery.feeders IS 'One row for each channel: the feeder locks it, so that limits hold.';

CREATE TABLE delivery.messages (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid NOT NULL,
    idempotency_key text NOT NULL,
    channel text NOT NULL,
    class text DEFAULT 'marketing'::text NOT NULL,
    contact_id uuid,
    job_id uuid,
    campaign_id uuid,
    journey_id uuid,
    journey_execution_id uuid,
    step_id uuid,
    template_id uuid,
    content jsonb,
    variables jsonb,
    address text,
    device_id uuid,
    parent_id uuid,
    state text DEFAULT 'pending'::text NOT NULL,
    reason text,
    not_before timestamp with time zone,
    expires_at timestamp with time zone NOT NULL,
    queued_until timestamp with time zone,
    lease_until timestamp with time zone,
    token bigint DEFAULT 0 NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    retries integer DEFAULT 0 NOT NULL,
    deferrals integer DEFAULT 0 NOT NULL,
    lapses integer DEFAULT 0 NOT NULL,
    on_uncertain text DEFAULT 'hold'::text NOT NULL,
    possible_duplicate boolean DEFAULT false NOT NULL,
    warmup_day date,
    provider_config_id uuid,
    provider_message_id text,
    bounce_kind text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    claimed_at timestamp with time zone,
    called_at timestamp with time zone,
    sent_at timestamp with time zone,
    finished_at timestamp with time zone,
    delivered_at timestamp with time zone,
    bounced_at timestamp with time zone,
    complained_at timestamp with time zone,
    unsubscribed_at timestamp with time zone,
    opened_at timestamp with time zone,
    clicked_at timestamp with time zone,
    failed_at timestamp with time zone,
    bounce_counted_at timestamp with time zone,
    is_copied boolean DEFAULT false NOT NULL,
    CONSTRAINT messages_bounce_kind_check CHECK ((bounce_kind = ANY (ARRAY['hard'::text, 'soft'::text]))),
    CONSTRAINT messages_channel_check CHECK ((channel = ANY (ARRAY['email'::text, 'sms'::text, 'push'::text]))),
    CONSTRAINT messages_check CHECK (((state = ANY (ARRAY['sent'::text, 'skipped'::text, 'failed'::text])) <= (finished_at IS NOT NULL))),
    CONSTRAINT messages_check1 CHECK (((state = ANY (ARRAY['sent'::text, 'skipped'::text, 'failed'::text, 'uncertain'::text])) OR (finished_at IS NULL))),
    CONSTRAINT messages_check2 CHECK (((state <> ALL (ARRAY['claimed'::text, 'sending'::text])) OR (lease_until IS NOT NULL))),
    CONSTRAINT messages_check3 CHECK (((state <> 'queued'::text) OR (queued_until IS NOT NULL))),
    CONSTRAINT messages_check4 CHECK (((state <> 'deferred'::text) OR (not_before IS NOT NULL))),
    CONSTRAINT messages_class_check CHECK ((class = ANY (ARRAY['marketing'::text, 'transactional'::text]))),
    CONSTRAINT messages_idempotency_key_check CHECK ((length(idempotency_key) <= 255)),
    CONSTRAINT messages_on_uncertain_check CHECK ((on_uncertain = ANY (ARRAY['hold'::text, 'retry'::text]))),
    CONSTRAINT messages_state_check CHECK ((state = ANY (ARRAY['pending'::text, 'queued'::text, 'deferred'::text, 'claimed'::text, 'sending'::text, 'sent'::text, 'skipped'::text, 'failed'::text, 'held'::text, 'uncertain'::text])))
)
WITH (fillfactor='80', autovacuum_vacuum_scale_factor='0.02');

COMMENT ON TABLE delivery.messages IS 'The message ledger: a row for each message to one address or device. docs/deliveries.md explains the states.';

COMMENT ON COLUMN delivery.messages.idempotency_key IS 'Unique in its organization: a second insert changes nothing.';

COMMENT ON COLUMN delivery.messages.content IS 'Overrides the template: subject, html, text, title, body, data, from, reply_to.';

COMMENT ON COLUMN delivery.messages.address IS 'Where the message goes, normalized by the claim. Emptied 90 days after the end.';

COMMENT ON COLUMN delivery.messages.parent_id IS 'A push message to a further device: the row of the first device.';

COMMENT ON COLUMN delivery.messages.not_before IS 'Of a deferred message: when to try again. Infinity: when the reason ends. Of an uncertain one: the next look-up.';

COMMENT ON COLUMN delivery.messages.token IS 'Increases with every claim: only the newest claim may call.';

COMMENT ON COLUMN delivery.messages.attempts IS 'Calls that were begun.';

COMMENT ON COLUMN delivery.messages.retries IS 'Verdicts retry since the message was held or inserted.';

COMMENT ON COLUMN delivery.messages.deferrals IS 'Verdicts defer.';

COMMENT ON COLUMN delivery.messages.lapses IS 'Claims whose lease expired without a call.';

COMMENT ON COLUMN delivery.messages.on_uncertain IS 'What follows an unknown call: hold, or retry once.';

COMMENT ON COLUMN delivery.messages.possible_duplicate IS 'A call followed an unknown one, or may follow it: only the config of the unknown call is used.';

COMMENT ON COLUMN delivery.messages.warmup_day IS 'The day (UTC) of which the message has a place of the warm-up.';

COMMENT ON COLUMN delivery.messages.called_at IS 'Start of the newest call.';

COMMENT ON COLUMN delivery.messages.failed_at IS 'When the provider, which had accepted the message, gave up without a bounce.';

COMMENT ON COLUMN delivery.messages.bounce_counted_at IS 'When this soft bounce counted towards a suppression of its address.';

COMMENT ON COLUMN delivery.messages.is_copied IS 'The address is that of the contact at the newest claim: the next claim reads it again.';

CREATE VIEW delivery.message_status AS
 SELECT id,
    organization_id,
    idempotency_key,
    channel,
    class,
    contact_id,
    job_id,
    campaign_id,
    journey_id,
    journey_execution_id,
    step_id,
    state,
    reason,
    (finished_at IS NOT NULL) AS is_final,
    possible_duplicate,
    not_before,
    expires_at,
    created_at,
    called_at,
    sent_at,
    finished_at,
    delivered_at,
    bounced_at,
    bounce_kind,
    complained_at,
    unsubscribed_at,
    opened_at,
    clicked_at,
    failed_at,
        CASE
            WHEN (complained_at IS NOT NULL) THEN 'complained'::text
            WHEN (bounced_at IS NOT NULL) THEN 'bounced'::text
            WHEN ((failed_at IS NOT NULL) AND (delivered_at IS NULL)) THEN 'failed'::text
            WHEN (delivered_at IS NOT NULL) THEN 'delivered'::text
            ELSE state
        END AS outcome
   FROM delivery.messages;

COMMENT ON VIEW delivery.message_status IS 'What became of a message, without its address and content.';

CREATE TABLE delivery.organization_settings (
    organization_id uuid NOT NULL,
    time_zone text DEFAULT 'UTC'::text NOT NULL,
    quiet_from time without time zone,
    quiet_until time without time zone,
    caps jsonb DEFAULT '[]'::jsonb NOT NULL,
    from_address text,
    postal_address text,
    require_opt_in boolean DEFAULT false NOT NULL,
    weight integer DEFAULT 1 NOT NULL,
    marketing_paused_at timestamp with time zone,
    marketing_paused_reason text,
    marketing_resumed_at timestamp with time zone,
    CONSTRAINT organization_settings_caps_check CHECK ((jsonb_typeof(caps) = 'array'::text)),
    CONSTRAINT organization_settings_check CHECK (((quiet_from IS NULL) = (quiet_until IS NULL))),
    CONSTRAINT organization_settings_weight_check CHECK (((weight >= 1) AND (weight <= 100)))
);

COMMENT ON COLUMN delivery.organization_settings.caps IS 'At most so many marketing messages to a contact: a list of {channel, most, days}.';

COMMENT ON COLUMN delivery.organization_settings.weight IS 'The share of the queue in comparison with other organizations.';

COMMENT ON COLUMN delivery.organization_settings.marketing_resumed_at IS 'When an operator ended the newest pause: earlier complaints and bounces no longer count.';

CREATE TABLE delivery.platform_outbox (
    id bigint NOT NULL,
    event_id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid NOT NULL,
    message_id uuid,
    contact_id uuid,
    kind text NOT NULL,
    occurred_at timestamp with time zone NOT NULL,
    details jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT platform_outbox_kind_check CHECK ((kind = ANY (ARRAY['sent'::text, 'failed'::text, 'delivered'::text, 'opened'::text, 'clicked'::text, 'bounced'::text, 'complained'::text, 'unsubscribed'::text])))
);

COMMENT ON TABLE delivery.platform_outbox IS 'What the platform learns about messages, written with the change and removed once it is published.';

COMMENT ON COLUMN delivery.platform_outbox.details IS 'url, bounceKind, machine, reason.';

ALTER TABLE delivery.platform_outbox ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME delivery.platform_outbox_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE delivery.progress (
    name text NOT NULL,
    at timestamp with time zone NOT NULL
);

COMMENT ON TABLE delivery.progress IS 'How far a repeated work has come. campaign_counts: events recorded until then are counted.';

CREATE TABLE delivery.provider_configs (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid NOT NULL,
    channel text NOT NULL,
    provider_type text NOT NULL,
    config jsonb NOT NULL,
    is_active boolean DEFAULT true NOT NULL,
    priority integer DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    per_second numeric,
    tokens numeric DEFAULT 0 NOT NULL,
    refilled_at timestamp with time zone,
    failures integer DEFAULT 0 NOT NULL,
    paused_until timestamp with time zone,
    paused_reason text,
    CONSTRAINT provider_configs_channel_check CHECK ((channel = ANY (ARRAY['email'::text, 'sms'::text, 'push'::text]))),
    CONSTRAINT provider_configs_per_second_check CHECK ((per_second > (0)::numeric))
);

COMMENT ON COLUMN delivery.provider_configs.config IS 'Text: base64(iv):base64(ciphertext), AES-256-GCM with PROVIDER_KEY.';

COMMENT ON COLUMN delivery.provider_configs.per_second IS 'How many messages a second the provider takes; null is no limit.';

COMMENT ON COLUMN delivery.provider_configs.failures IS 'Calls in a row that ended in retry or unknown: from five on the config pauses.';

COMMENT ON COLUMN delivery.provider_configs.paused_until IS 'Infinity: until an operator resumes it.';

CREATE TABLE delivery.recipients (
    organization_id uuid NOT NULL,
    contact_id uuid NOT NULL
)
WITH (fillfactor='70');

COMMENT ON TABLE delivery.recipients IS 'One row for each contact with messages: a claim locks it, so that caps are exact.';

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

CREATE TABLE delivery.unmatched_events (
    provider_config_id uuid,
    event_id text NOT NULL,
    body jsonb NOT NULL,
    received_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE journey.entrants (
    journey_id uuid NOT NULL,
    contact_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    entries integer DEFAULT 0 NOT NULL,
    first_entered_at timestamp with time zone,
    last_entered_at timestamp with time zone,
    last_left_at timestamp with time zone,
    active_execution_id uuid
);

COMMENT ON TABLE journey.entrants IS 'One row for each contact of a journey: entering locks it.';

CREATE TABLE journey.execution_logs (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    execution_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    level text NOT NULL,
    message text NOT NULL,
    metadata jsonb,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    code text,
    CONSTRAINT execution_logs_level_check CHECK ((level = ANY (ARRAY['info'::text, 'warn'::text, 'error'::text])))
);

CREATE TABLE journey.journey_executions (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    journey_id uuid NOT NULL,
    journey_version_id uuid,
    organization_id uuid NOT NULL,
    contact_id uuid NOT NULL,
    status text DEFAULT 'active'::text NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    completed_at timestamp with time zone,
    current_step_id uuid,
    trigger_id uuid,
    occasion text,
    entry_no integer,
    seq integer DEFAULT 0 NOT NULL,
    wake_at timestamp with time zone,
    wake_queued_until timestamp with time zone,
    last_progress_at timestamp with time zone DEFAULT now() NOT NULL,
    exit_reason text,
    CONSTRAINT journey_executions_status_check CHECK ((status = ANY (ARRAY['active'::text, 'completed'::text, 'failed'::text, 'canceled'::text])))
);

COMMENT ON COLUMN journey.journey_executions.entry_no IS 'The how many-th entry of the contact. Null: from before these columns.';

COMMENT ON COLUMN journey.journey_executions.seq IS 'Visits so far. The visit with this number may still wait.';

COMMENT ON COLUMN journey.journey_executions.wake_at IS 'When the execution goes on. Null: it waits for an event without a deadline, or is not active.';

COMMENT ON COLUMN journey.journey_executions.wake_queued_until IS 'A queue message was sent: until then no other is.';

CREATE TABLE journey.waits (
    execution_id uuid NOT NULL,
    seq integer NOT NULL,
    organization_id uuid NOT NULL,
    contact_id uuid NOT NULL,
    event_type text NOT NULL,
    scope text NOT NULL,
    since timestamp with time zone NOT NULL,
    until timestamp with time zone,
    CONSTRAINT waits_scope_check CHECK ((scope = ANY (ARRAY['execution'::text, 'contact'::text])))
);

COMMENT ON TABLE journey.waits IS 'Executions that wait in a gate for an event of their contact.';

COMMENT ON COLUMN journey.waits.since IS 'Events from then on count: the visit, or the start of the execution.';

CREATE VIEW journey.execution_state AS
 SELECT execution.id,
    execution.organization_id,
    execution.journey_id,
    execution.journey_version_id,
    execution.contact_id,
    execution.status,
    execution.exit_reason,
    execution.started_at,
    execution.completed_at,
    execution.last_progress_at,
    execution.entry_no,
    execution.seq,
    execution.current_step_id,
    step.type AS current_step_type,
    execution.wake_at,
    waiting.event_type AS waits_for,
    waiting.until AS waits_until
   FROM ((journey.journey_executions execution
     LEFT JOIN journey.journey_steps step ON ((step.id = execution.current_step_id)))
     LEFT JOIN journey.waits waiting ON (((waiting.execution_id = execution.id) AND (waiting.seq = execution.seq))));

COMMENT ON VIEW journey.execution_state IS 'Where each contact of a journey stands.';

CREATE TABLE journey.journey_triggers (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    journey_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    type text NOT NULL,
    config jsonb DEFAULT '{}'::jsonb NOT NULL,
    enabled boolean DEFAULT true NOT NULL,
    problem text
);

COMMENT ON COLUMN journey.journey_triggers.problem IS 'Why the trigger enrolls no contact. Set when the trigger is written.';

CREATE TABLE journey.journey_versions (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    journey_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    version_number integer NOT NULL,
    definition jsonb,
    published_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    entry_step_id uuid
);

COMMENT ON TABLE journey.journey_versions IS 'A version does not change once it is published. An execution stays on its version.';

COMMENT ON COLUMN journey.journey_versions.entry_step_id IS 'The step with which executions begin. Set by publishing.';

CREATE TABLE journey.journeys (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    organization_id uuid NOT NULL,
    name character varying(255) NOT NULL,
    description text,
    status text DEFAULT 'draft'::text NOT NULL,
    created_by uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    settings jsonb DEFAULT '{}'::jsonb NOT NULL,
    active_version_id uuid,
    status_changed_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT journeys_status_check CHECK ((status = ANY (ARRAY['draft'::text, 'active'::text, 'paused'::text, 'archived'::text])))
);

COMMENT ON COLUMN journey.journeys.settings IS 'reEntry {type: once, always or cooldown, cooldownDays}, frequencyCap {maxCount, windowDays}, goal.';

COMMENT ON COLUMN journey.journeys.active_version_id IS 'The version that was published last: contacts enter it. Set by publishing.';

CREATE TABLE journey.outbox (
    id bigint NOT NULL,
    event_id uuid DEFAULT gen_random_uuid() NOT NULL,
    type text NOT NULL,
    organization_id uuid NOT NULL,
    contact_id uuid NOT NULL,
    body jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON TABLE journey.outbox IS 'Events for the platform: recorded with what they report, and published after its commit.';

ALTER TABLE journey.outbox ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME journey.outbox_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE journey.pending_events (
    activity_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    contact_id uuid NOT NULL,
    event_type text NOT NULL,
    seen_at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON TABLE journey.pending_events IS 'Events that a trigger or a gate names, until journey.wake-due has applied them.';

CREATE TABLE journey.step_executions (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    execution_id uuid NOT NULL,
    step_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL,
    started_at timestamp with time zone,
    completed_at timestamp with time zone,
    result jsonb,
    error text,
    seq integer,
    CONSTRAINT step_executions_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'running'::text, 'completed'::text, 'failed'::text, 'skipped'::text])))
);

COMMENT ON TABLE journey.step_executions IS 'One row for each visit of a step. It is running while the execution waits in the step.';

CREATE TABLE journey.trigger_entries (
    journey_id uuid NOT NULL,
    contact_id uuid NOT NULL,
    occasion text NOT NULL,
    organization_id uuid NOT NULL,
    trigger_id uuid,
    outcome text NOT NULL,
    reason text,
    retry_at timestamp with time zone,
    execution_id uuid,
    at timestamp with time zone NOT NULL,
    CONSTRAINT trigger_entries_check CHECK (((outcome = 'entered'::text) = (execution_id IS NOT NULL))),
    CONSTRAINT trigger_entries_check1 CHECK (((outcome = 'blocked'::text) = (retry_at IS NOT NULL))),
    CONSTRAINT trigger_entries_outcome_check CHECK ((outcome = ANY (ARRAY['entered'::text, 'refused'::text, 'blocked'::text])))
);

COMMENT ON TABLE journey.trigger_entries IS 'Each occasion of a contact is used once, whatever came of it.';

COMMENT ON COLUMN journey.trigger_entries.occasion IS 'segment:{segment}:{entered_no}, event:{activity}, score:{event} or request:{request}.';

CREATE TABLE journey.trigger_progress (
    trigger_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    segment_id uuid NOT NULL,
    changes_until bigint NOT NULL,
    full_pass_at timestamp with time zone,
    pass_after uuid,
    due_at timestamp with time zone
);

COMMENT ON TABLE journey.trigger_progress IS 'How far the trigger of a segment has come with its members and changes.';

COMMENT ON COLUMN journey.trigger_progress.changes_until IS 'The number of the last change of the segment that was processed.';

COMMENT ON COLUMN journey.trigger_progress.full_pass_at IS 'When the last pass over all members ended. Null: the first has not.';

COMMENT ON COLUMN journey.trigger_progress.pass_after IS 'The last member of the pass in progress.';

COMMENT ON COLUMN journey.trigger_progress.due_at IS 'When the trigger was asked to run. Null: it has nothing to do.';

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

ALTER TABLE ONLY campaign.campaigns
    ADD CONSTRAINT campaigns_pkey PRIMARY KEY (id);

ALTER TABLE ONLY content.templates
    ADD CONSTRAINT templates_pkey PRIMARY KEY (id);

ALTER TABLE ONLY crm.companies
    ADD CONSTRAINT companies_pkey PRIMARY KEY (id);

ALTER TABLE ONLY crm.contact_changes
    ADD CONSTRAINT contact_changes_pkey PRIMARY KEY (id);

ALTER TABLE ONLY crm.contact_companies
    ADD CONSTRAINT contact_companies_pkey PRIMARY KEY (contact_id, company_id);

ALTER TABLE ONLY crm.contact_tags
    ADD CONSTRAINT contact_tags_pkey PRIMARY KEY (contact_id, tag_id);

ALTER TABLE ONLY crm.contacts
    ADD CONSTRAINT contacts_pkey PRIMARY KEY (id);

ALTER TABLE ONLY crm.expanded_changes
    ADD CONSTRAINT expanded_changes_pkey PRIMARY KEY (change_id);

ALTER TABLE ONLY crm.fields
    ADD CONSTRAINT fields_organization_id_entity_type_name_key UNIQUE (organization_id, entity_type, name);

ALTER TABLE ONLY crm.fields
    ADD CONSTRAINT fields_pkey PRIMARY KEY (id);

ALTER TABLE ONLY crm.segment_backlog
    ADD CONSTRAINT segment_backlog_pkey PRIMARY KEY (organization_id, contact_id);

ALTER TABLE ONLY crm.segment_changes
    ADD CONSTRAINT segment_changes_pkey PRIMARY KEY (segment_id, change_no);

ALTER TABLE ONLY crm.segment_contacts
    ADD CONSTRAINT segment_contacts_pkey PRIMARY KEY (id);

ALTER TABLE ONLY crm.segment_contacts
    ADD CONSTRAINT segment_contacts_segment_id_contact_id_key UNIQUE (segment_id, contact_id);

ALTER TABLE ONLY crm.segment_dependencies
    ADD CONSTRAINT segment_dependencies_pkey PRIMARY KEY (organization_id, source, name, segment_id);

ALTER TABLE ONLY crm.segment_recheck
    ADD CONSTRAINT segment_recheck_pkey PRIMARY KEY (segment_id, contact_id);

ALTER TABLE ONLY crm.segments
    ADD CONSTRAINT segments_pkey PRIMARY KEY (id);

ALTER TABLE ONLY crm.tags
    ADD CONSTRAINT tags_pkey PRIMARY KEY (id);

ALTER TABLE ONLY delivery.attempts
    ADD CONSTRAINT attempts_pkey PRIMARY KEY (message_id, attempt);

ALTER TABLE ONLY delivery.calls
    ADD CONSTRAINT calls_pkey PRIMARY KEY (id);

ALTER TABLE ONLY delivery.config_alerts
    ADD CONSTRAINT config_alerts_organization_id_channel_config_id_problem_key UNIQUE NULLS NOT DISTINCT (organization_id, channel, config_id, problem);

ALTER TABLE ONLY delivery.deleted_contacts
    ADD CONSTRAINT deleted_contacts_pkey PRIMARY KEY (id);

ALTER TABLE ONLY delivery.delivery_events
    ADD CONSTRAINT delivery_events_organization_id_event_id_key UNIQUE (organization_id, event_id);

ALTER TABLE ONLY delivery.delivery_events
    ADD CONSTRAINT delivery_events_pkey PRIMARY KEY (id);

ALTER TABLE ONLY delivery.delivery_jobs
    ADD CONSTRAINT delivery_jobs_organization_id_idempotency_key_key UNIQUE (organization_id, idempotency_key);

ALTER TABLE ONLY delivery.delivery_jobs
    ADD CONSTRAINT delivery_jobs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY delivery.device_tokens
    ADD CONSTRAINT device_tokens_pkey PRIMARY KEY (id);

ALTER TABLE ONLY delivery.feeders
    ADD CONSTRAINT feeders_pkey PRIMARY KEY (channel);

ALTER TABLE ONLY delivery.messages
    ADD CONSTRAINT messages_organization_id_idempotency_key_key UNIQUE (organization_id, idempotency_key);

ALTER TABLE ONLY delivery.messages
    ADD CONSTRAINT messages_pkey PRIMARY KEY (id);

ALTER TABLE ONLY delivery.organization_settings
    ADD CONSTRAINT organization_settings_pkey PRIMARY KEY (organization_id);

ALTER TABLE ONLY delivery.platform_outbox
    ADD CONSTRAINT platform_outbox_pkey PRIMARY KEY (id);

ALTER TABLE ONLY delivery.progress
    ADD CONSTRAINT progress_pkey PRIMARY KEY (name);

ALTER TABLE ONLY delivery.provider_configs
    ADD CONSTRAINT provider_configs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY delivery.recipients
    ADD CONSTRAINT recipients_pkey PRIMARY KEY (organization_id, contact_id);

ALTER TABLE ONLY delivery.sending_domains
    ADD CONSTRAINT sending_domains_organization_id_domain_key UNIQUE (organization_id, domain);

ALTER TABLE ONLY delivery.sending_domains
    ADD CONSTRAINT sending_domains_pkey PRIMARY KEY (id);

ALTER TABLE ONLY delivery.suppressions
    ADD CONSTRAINT suppressions_organization_id_channel_address_scope_key UNIQUE (organization_id, channel, address, scope);

ALTER TABLE ONLY delivery.suppressions
    ADD CONSTRAINT suppressions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY delivery.unmatched_events
    ADD CONSTRAINT unmatched_events_provider_config_id_event_id_key UNIQUE NULLS NOT DISTINCT (provider_config_id, event_id);

ALTER TABLE ONLY journey.entrants
    ADD CONSTRAINT entrants_pkey PRIMARY KEY (journey_id, contact_id);

ALTER TABLE ONLY journey.execution_logs
    ADD CONSTRAINT execution_logs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY journey.journey_executions
    ADD CONSTRAINT journey_executions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY journey.journey_step_connections
    ADD CONSTRAINT journey_step_connections_pkey PRIMARY KEY (id);

ALTER TABLE ONLY journey.journey_steps
    ADD CONSTRAINT journey_steps_pkey PRIMARY KEY (id);

ALTER TABLE ONLY journey.journey_triggers
    ADD CONSTRAINT journey_triggers_pkey PRIMARY KEY (id);

ALTER TABLE ONLY journey.journey_versions
    ADD CONSTRAINT journey_versions_journey_id_version_number_key UNIQUE (journey_id, version_number);

ALTER TABLE ONLY journey.journey_versions
    ADD CONSTRAINT journey_versions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY journey.journeys
    ADD CONSTRAINT journeys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY journey.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (id);

ALTER TABLE ONLY journey.pending_events
    ADD CONSTRAINT pending_events_pkey PRIMARY KEY (activity_id);

ALTER TABLE ONLY journey.step_executions
    ADD CONSTRAINT step_executions_execution_id_seq_key UNIQUE (execution_id, seq);

ALTER TABLE ONLY journey.step_executions
    ADD CONSTRAINT step_executions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY journey.trigger_entries
    ADD CONSTRAINT trigger_entries_pkey PRIMARY KEY (journey_id, contact_id, occasion);

ALTER TABLE ONLY journey.trigger_progress
    ADD CONSTRAINT trigger_progress_pkey PRIMARY KEY (trigger_id);

ALTER TABLE ONLY journey.waits
    ADD CONSTRAINT waits_pkey PRIMARY KEY (execution_id, seq);

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

CREATE INDEX campaigns_organization ON campaign.campaigns USING btree (organization_id, id);

CREATE INDEX campaigns_problem ON campaign.campaigns USING btree (organization_id) WHERE (problem IS NOT NULL);

CREATE INDEX campaigns_scheduled ON campaign.campaigns USING btree (scheduled_at) WHERE (status = 'scheduled'::text);

CREATE INDEX campaigns_sending ON campaign.campaigns USING btree (id) WHERE (status = 'sending'::text);

CREATE INDEX contact_changes_pending ON crm.contact_changes USING btree (consumer, organization_id, id);

CREATE INDEX contact_changes_whole ON crm.contact_changes USING btree (consumer, id) WHERE (contact_id IS NULL);

CREATE INDEX contact_companies_company ON crm.contact_companies USING btree (company_id, contact_id);

CREATE INDEX contacts_address ON crm.contacts USING btree (organization_id, lower(btrim(email)));

CREATE INDEX contacts_organization ON crm.contacts USING btree (organization_id, id);

CREATE INDEX segment_changes_at ON crm.segment_changes USING btree (at);

CREATE INDEX segment_changes_contact ON crm.segment_changes USING btree (organization_id, contact_id);

CREATE INDEX segment_contacts_contact ON crm.segment_contacts USING btree (contact_id);

CREATE INDEX segment_dependencies_segment ON crm.segment_dependencies USING btree (segment_id);

CREATE INDEX segment_recheck_contact ON crm.segment_recheck USING btree (organization_id, contact_id);

CREATE INDEX segment_recheck_due ON crm.segment_recheck USING btree (recheck_at);

CREATE INDEX segments_building ON crm.segments USING btree (id) WHERE (state = 'building'::text);

CREATE INDEX segments_organization ON crm.segments USING btree (organization_id, id);

CREATE INDEX tags_organization ON crm.tags USING btree (organization_id, id);

CREATE INDEX attempts_age ON delivery.attempts USING btree (started_at);

CREATE INDEX attempts_call ON delivery.attempts USING btree (call_id);

CREATE INDEX calls_age ON delivery.calls USING btree (started_at);

CREATE INDEX calls_open ON delivery.calls USING btree (started_at) WHERE (finished_at IS NULL);

CREATE INDEX calls_request ON delivery.calls USING btree (started_at) WHERE (request IS NOT NULL);

CREATE INDEX config_alerts_age ON delivery.config_alerts USING btree (alerted_at);

CREATE INDEX delivery_events_age ON delivery.delivery_events USING btree (created_at);

CREATE INDEX delivery_events_contact ON delivery.delivery_events USING btree (organization_id, contact_id);

CREATE INDEX delivery_events_delivered ON delivery.delivery_events USING btree (organization_id, created_at) WHERE ((channel = 'email'::text) AND (event_type = 'delivered'::text));

CREATE INDEX delivery_events_message ON delivery.delivery_events USING btree (message_id);

CREATE INDEX delivery_events_trouble ON delivery.delivery_events USING btree (created_at) WHERE ((channel = 'email'::text) AND (event_type = ANY (ARRAY['bounced'::text, 'complained'::text])));

CREATE INDEX delivery_jobs_age ON delivery.delivery_jobs USING btree (created_at);

CREATE INDEX delivery_jobs_campaign ON delivery.delivery_jobs USING btree (campaign_id);

CREATE INDEX delivery_jobs_open ON delivery.delivery_jobs USING btree (campaign_id) WHERE ((completed_at IS NULL) AND (content IS NOT NULL));

CREATE INDEX device_tokens_contact ON delivery.device_tokens USING btree (organization_id, contact_id, id);

CREATE UNIQUE INDEX device_tokens_token ON delivery.device_tokens USING btree (organization_id, kind, md5(token));

CREATE INDEX messages_age ON delivery.messages USING btree (finished_at) WHERE (finished_at IS NOT NULL);

CREATE INDEX messages_contact ON delivery.messages USING btree (organization_id, contact_id, channel, claimed_at);

CREATE INDEX messages_deferred ON delivery.messages USING btree (channel, class, organization_id, not_before) INCLUDE (created_at) WHERE (state = 'deferred'::text);

CREATE INDEX messages_endless ON delivery.messages USING btree (reason, id) WHERE ((state = 'deferred'::text) AND (not_before = 'infinity'::timestamp with time zone));

CREATE INDEX messages_expiry ON delivery.messages USING btree (expires_at) WHERE (state = ANY (ARRAY['pending'::text, 'queued'::text, 'deferred'::text, 'held'::text]));

CREATE INDEX messages_held ON delivery.messages USING btree (channel, created_at) WHERE (state = 'held'::text);

CREATE INDEX messages_job ON delivery.messages USING btree (job_id, state) WHERE (job_id IS NOT NULL);

CREATE UNIQUE INDEX messages_job_address ON delivery.messages USING btree (job_id, address) WHERE ((job_id IS NOT NULL) AND (state <> 'skipped'::text));

CREATE INDEX messages_lease ON delivery.messages USING btree (lease_until) WHERE (state = ANY (ARRAY['claimed'::text, 'sending'::text]));

CREATE INDEX messages_open_campaign ON delivery.messages USING btree (campaign_id) WHERE ((finished_at IS NULL) AND (campaign_id IS NOT NULL));

CREATE INDEX messages_open_execution ON delivery.messages USING btree (journey_execution_id) WHERE ((finished_at IS NULL) AND (journey_execution_id IS NOT NULL));

CREATE INDEX messages_parent ON delivery.messages USING btree (parent_id) WHERE (parent_id IS NOT NULL);

CREATE INDEX messages_pending ON delivery.messages USING btree (channel, class, organization_id, created_at) INCLUDE (id) WHERE (state = 'pending'::text);

CREATE INDEX messages_provider_id ON delivery.messages USING btree (provider_message_id, provider_config_id) WHERE (provider_message_id IS NOT NULL);

CREATE INDEX messages_queued ON delivery.messages USING btree (channel, class, organization_id) WHERE (state = 'queued'::text);

CREATE INDEX messages_soft_bounced ON delivery.messages USING btree (organization_id, address) WHERE ((channel = 'email'::text) AND (bounce_kind = 'soft'::text) AND (bounce_counted_at IS NULL));

CREATE INDEX messages_to_address ON delivery.messages USING btree (organization_id, lower(address)) WHERE ((contact_id IS NULL) AND (address IS NOT NULL));

CREATE INDEX messages_uncertain ON delivery.messages USING btree (called_at) WHERE ((state = 'uncertain'::text) AND (finished_at IS NULL));

CREATE INDEX messages_unconfigured ON delivery.messages USING btree (organization_id, channel, reason) WHERE ((state = 'deferred'::text) AND (reason = ANY (ARRAY['no_provider'::text, 'unverified_sender'::text, 'not_configured'::text])));

CREATE INDEX messages_with_content ON delivery.messages USING btree (finished_at) WHERE ((finished_at IS NOT NULL) AND ((address IS NOT NULL) OR (content IS NOT NULL) OR (variables IS NOT NULL)));

CREATE INDEX platform_outbox_contact ON delivery.platform_outbox USING btree (organization_id, contact_id);

CREATE INDEX provider_configs_channel ON delivery.provider_configs USING btree (organization_id, channel, priority DESC, id) WHERE is_active;

CREATE INDEX suppressions_age ON delivery.suppressions USING btree (created_at);

CREATE INDEX unmatched_events_age ON delivery.unmatched_events USING btree (received_at);

CREATE INDEX entrants_contact ON journey.entrants USING btree (organization_id, contact_id);

CREATE INDEX execution_logs_age ON journey.execution_logs USING btree (created_at);

CREATE INDEX execution_logs_execution ON journey.execution_logs USING btree (execution_id, created_at);

CREATE UNIQUE INDEX journey_executions_active ON journey.journey_executions USING btree (journey_id, contact_id) WHERE (status = 'active'::text);

CREATE INDEX journey_executions_contact ON journey.journey_executions USING btree (contact_id) WHERE (status = 'active'::text);

CREATE UNIQUE INDEX journey_executions_entry ON journey.journey_executions USING btree (journey_id, contact_id, entry_no);

CREATE INDEX journey_executions_of_contact ON journey.journey_executions USING btree (organization_id, contact_id);

CREATE INDEX journey_executions_of_journey ON journey.journey_executions USING btree (journey_id, id) WHERE (status = 'active'::text);

CREATE INDEX journey_executions_progress ON journey.journey_executions USING btree (last_progress_at) WHERE (status = 'active'::text);

CREATE INDEX journey_executions_wake ON journey.journey_executions USING btree (wake_at) WHERE (status = 'active'::text);

CREATE UNIQUE INDEX journey_step_connections_label ON journey.journey_step_connections USING btree (from_step_id, COALESCE(label, ''::character varying));

CREATE INDEX journey_step_connections_target ON journey.journey_step_connections USING btree (to_step_id);

CREATE INDEX journey_steps_version ON journey.journey_steps USING btree (journey_version_id);

CREATE INDEX journey_triggers_event ON journey.journey_triggers USING btree (organization_id, ((config ->> 'eventType'::text))) WHERE ((type = 'event'::text) AND enabled AND (problem IS NULL));

CREATE INDEX journey_triggers_journey ON journey.journey_triggers USING btree (journey_id);

CREATE INDEX journey_triggers_score ON journey.journey_triggers USING btree (organization_id) WHERE ((type = ANY (ARRAY['score'::text, 'score_threshold'::text])) AND enabled AND (problem IS NULL));

CREATE INDEX journey_triggers_segment ON journey.journey_triggers USING btree (organization_id) WHERE ((type = 'segment'::text) AND enabled AND (problem IS NULL));

CREATE INDEX journeys_organization ON journey.journeys USING btree (organization_id, id);

CREATE INDEX outbox_contact ON journey.outbox USING btree (organization_id, contact_id);

CREATE INDEX pending_events_age ON journey.pending_events USING btree (seen_at);

CREATE INDEX pending_events_contact ON journey.pending_events USING btree (organization_id, contact_id);

CREATE INDEX step_executions_age ON journey.step_executions USING btree (completed_at);

CREATE INDEX trigger_entries_contact ON journey.trigger_entries USING btree (organization_id, contact_id);

CREATE INDEX trigger_entries_retry ON journey.trigger_entries USING btree (retry_at) WHERE (outcome = 'blocked'::text);

CREATE INDEX trigger_progress_due ON journey.trigger_progress USING btree (due_at) WHERE (due_at IS NOT NULL);

CREATE INDEX waits_event ON journey.waits USING btree (organization_id, contact_id, event_type);

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

CREATE TRIGGER journey_insert AFTER INSERT ON analytics.contact_activity REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION journey.activity_added();

CREATE TRIGGER scoring_delete AFTER DELETE ON analytics.contact_activity REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION scoring.activity_changed();

CREATE TRIGGER scoring_insert AFTER INSERT ON analytics.contact_activity REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION scoring.activity_changed();

CREATE TRIGGER scoring_update AFTER UPDATE ON analytics.contact_activity REFERENCING OLD TABLE AS was NEW TABLE AS became FOR EACH STATEMENT EXECUTE FUNCTION scoring.activity_updated();

CREATE TRIGGER segments_delete AFTER DELETE ON analytics.contact_activity REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm.note_events();

CREATE TRIGGER segments_insert AFTER INSERT ON analytics.contact_activity REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm.note_events();

CREATE TRIGGER segments_update AFTER UPDATE ON analytics.contact_activity REFERENCING OLD TABLE AS was NEW TABLE AS became FOR EACH STATEMENT EXECUTE FUNCTION crm.note_events_updated();

CREATE TRIGGER note_cancel BEFORE UPDATE OF status ON campaign.campaigns FOR EACH ROW WHEN (((new.status = 'canceled'::text) AND (old.status <> 'canceled'::text))) EXECUTE FUNCTION campaign.note_cancel();

CREATE TRIGGER check_time_zone_insert BEFORE INSERT ON crm.contacts FOR EACH ROW WHEN ((new.time_zone IS NOT NULL)) EXECUTE FUNCTION crm.check_time_zone();

CREATE TRIGGER check_time_zone_update BEFORE UPDATE OF time_zone ON crm.contacts FOR EACH ROW WHEN ((new.time_zone IS DISTINCT FROM old.time_zone)) EXECUTE FUNCTION crm.check_time_zone();

CREATE TRIGGER complete BEFORE INSERT ON crm.segment_contacts FOR EACH ROW WHEN ((new.organization_id IS NULL)) EXECUTE FUNCTION crm.complete_membership();

CREATE TRIGGER end_memberships AFTER DELETE ON crm.contacts REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION crm.end_memberships();

CREATE TRIGGER forget AFTER DELETE ON crm.segments REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION crm.forget_segments();

CREATE TRIGGER journey_delete AFTER DELETE ON crm.contacts REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION journey.contacts_removed();

CREATE TRIGGER note_delete AFTER DELETE ON crm.segment_contacts REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm.note_members();

CREATE TRIGGER note_deleted_contacts AFTER DELETE ON crm.contacts REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION delivery.note_deleted_contacts();

CREATE TRIGGER note_insert AFTER INSERT ON crm.segment_contacts REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm.note_members();

CREATE TRIGGER scoring_delete AFTER DELETE ON crm.contacts REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION scoring.contacts_changed();

CREATE TRIGGER scoring_insert AFTER INSERT ON crm.contacts REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION scoring.contacts_changed();

CREATE TRIGGER scoring_update AFTER UPDATE ON crm.contacts REFERENCING OLD TABLE AS was NEW TABLE AS became FOR EACH STATEMENT EXECUTE FUNCTION scoring.contacts_updated();

CREATE TRIGGER segments_delete AFTER DELETE ON crm.companies REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm.note_companies();

CREATE TRIGGER segments_delete AFTER DELETE ON crm.contact_companies REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm.note_companies_of_contacts();

CREATE TRIGGER segments_delete AFTER DELETE ON crm.contact_tags REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm.note_tags();

CREATE TRIGGER segments_delete AFTER DELETE ON crm.fields REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm.note_fields();

CREATE TRIGGER segments_insert AFTER INSERT ON crm.contact_companies REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm.note_companies_of_contacts();

CREATE TRIGGER segments_insert AFTER INSERT ON crm.contact_tags REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm.note_tags();

CREATE TRIGGER segments_insert AFTER INSERT ON crm.contacts REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm.note_contacts_added();

CREATE TRIGGER segments_insert AFTER INSERT ON crm.fields REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm.note_fields();

CREATE TRIGGER segments_update AFTER UPDATE ON crm.companies REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm.note_companies();

CREATE TRIGGER segments_update AFTER UPDATE ON crm.contacts REFERENCING OLD TABLE AS was NEW TABLE AS became FOR EACH STATEMENT EXECUTE FUNCTION crm.note_contacts_updated();

CREATE TRIGGER segments_update_from AFTER UPDATE ON crm.contact_companies REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm.note_companies_of_contacts();

CREATE TRIGGER segments_update_from AFTER UPDATE ON crm.contact_tags REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm.note_tags();

CREATE TRIGGER segments_update_from AFTER UPDATE ON crm.fields REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm.note_fields();

CREATE TRIGGER segments_update_to AFTER UPDATE ON crm.contact_companies REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm.note_companies_of_contacts();

CREATE TRIGGER segments_update_to AFTER UPDATE ON crm.contact_tags REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm.note_tags();

CREATE TRIGGER segments_update_to AFTER UPDATE ON crm.fields REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm.note_fields();

CREATE TRIGGER version_insert BEFORE INSERT ON crm.segments FOR EACH ROW EXECUTE FUNCTION crm.version_segment();

CREATE TRIGGER version_update BEFORE UPDATE OF type, filter_criteria ON crm.segments FOR EACH ROW WHEN (((new.type IS DISTINCT FROM old.type) OR (new.filter_criteria IS DISTINCT FROM old.filter_criteria))) EXECUTE FUNCTION crm.version_segment();

CREATE TRIGGER announce_events AFTER INSERT ON delivery.delivery_events REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION delivery.announce_events();

CREATE TRIGGER check_time_zone_insert BEFORE INSERT ON delivery.organization_settings FOR EACH ROW WHEN ((new.time_zone <> 'UTC'::text)) EXECUTE FUNCTION crm.check_time_zone();

CREATE TRIGGER check_time_zone_update BEFORE UPDATE OF time_zone ON delivery.organization_settings FOR EACH ROW WHEN ((new.time_zone IS DISTINCT FROM old.time_zone)) EXECUTE FUNCTION crm.check_time_zone();

CREATE TRIGGER complete BEFORE INSERT OR UPDATE ON delivery.suppressions FOR EACH ROW EXECUTE FUNCTION delivery.complete_suppression();

CREATE TRIGGER segments_zone AFTER INSERT OR DELETE OR UPDATE ON delivery.organization_settings FOR EACH ROW EXECUTE FUNCTION crm.note_time_zone();

CREATE TRIGGER check_settings_insert BEFORE INSERT ON journey.journeys FOR EACH ROW WHEN ((new.settings <> '{}'::jsonb)) EXECUTE FUNCTION journey.check_settings();

CREATE TRIGGER check_settings_update BEFORE UPDATE OF settings ON journey.journeys FOR EACH ROW WHEN ((new.settings IS DISTINCT FROM old.settings)) EXECUTE FUNCTION journey.check_settings();

CREATE TRIGGER executions_ended AFTER UPDATE ON journey.journey_executions REFERENCING NEW TABLE AS became FOR EACH STATEMENT EXECUTE FUNCTION journey.executions_ended();

CREATE TRIGGER guard_connections BEFORE INSERT OR DELETE OR UPDATE ON journey.journey_step_connections FOR EACH ROW EXECUTE FUNCTION journey.guard_connections();

CREATE TRIGGER guard_published BEFORE DELETE ON journey.journey_versions FOR EACH ROW WHEN ((old.published_at IS NOT NULL)) EXECUTE FUNCTION journey.guard_published();

CREATE TRIGGER guard_steps BEFORE INSERT OR DELETE OR UPDATE ON journey.journey_steps FOR EACH ROW EXECUTE FUNCTION journey.guard_steps();

CREATE TRIGGER guard_version BEFORE INSERT OR UPDATE ON journey.journey_versions FOR EACH ROW EXECUTE FUNCTION journey.guard_version();

CREATE TRIGGER note_problem BEFORE INSERT OR UPDATE OF type, config, problem ON journey.journey_triggers FOR EACH ROW EXECUTE FUNCTION journey.note_problem();

CREATE TRIGGER note_status BEFORE UPDATE OF status ON journey.journeys FOR EACH ROW WHEN ((new.status IS DISTINCT FROM old.status)) EXECUTE FUNCTION journey.note_status();

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

CREATE TRIGGER segments_delete AFTER DELETE ON scoring.lead_scores REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm.note_scores();

CREATE TRIGGER segments_insert AFTER INSERT ON scoring.lead_scores REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm.note_scores();

CREATE TRIGGER segments_update AFTER UPDATE ON scoring.lead_scores REFERENCING OLD TABLE AS was NEW TABLE AS became FOR EACH STATEMENT EXECUTE FUNCTION crm.note_scores_updated();

ALTER TABLE ONLY ops.dead_letters
    ADD CONSTRAINT dead_letters_redriven_from_fkey FOREIGN KEY (redriven_from) REFERENCES ops.dead_letters(id) ON DELETE SET NULL;

ALTER TABLE ONLY scoring.factors
    ADD CONSTRAINT factors_category_part_of_fkey FOREIGN KEY (category, part_of) REFERENCES scoring.factors(category, factor);

ALTER TABLE ONLY scoring.scoring_configs
    ADD CONSTRAINT scoring_configs_category_factor_fkey FOREIGN KEY (category, factor) REFERENCES scoring.factors(category, factor);
