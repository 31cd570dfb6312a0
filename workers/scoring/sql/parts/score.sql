-- The score of each row of `target` at its time t: all formulas, once. workers/scoring/reference/ computes the same in
-- Python; tests compare the two. `target` has number (unique per row: sums are grouped by it, because a small number is
-- cheaper to compare than two keys), organization_id, contact_id, version, t, and the points of a message that replace
-- a category: as_fit, as_engagement, as_intent (null: none). Points are rounded half up with a margin of a billionth,
-- so that the order of adding up cannot change a half.

-- The organization whose settings apply: its own, or the nil UUID, which all organizations without settings share.
-- Settings stored under the nil UUID apply to no organization.
tenant as materialized (
    select organization_id,
        case when exists (
            select from scoring.scoring_configs as config where config.organization_id = organization.organization_id
        ) or exists (
            select from scoring.signal_configs as config where config.organization_id = organization.organization_id
        ) then organization_id else '00000000-0000-0000-0000-000000000000' end as settings_of
    from (select distinct organization_id from target where contact_id is not null) as organization
),

subject as materialized (
    select target.number, target.organization_id, target.contact_id, target.version, target.as_fit, target.as_engagement,
        target.as_intent, tenant.settings_of,
        greatest(target.t, known.scored_at) as t, -- a score is never set back to an earlier time
        known.total_score as known_total, known.fit_score as known_fit,
        known.engagement_score as known_engagement, known.intent_score as known_intent,
        known.components as known_components, known.recheck_at as known_recheck_at, known.xmin as known_xmin
    from target
    join tenant using (organization_id)
    left join scoring.lead_scores as known using (organization_id, contact_id)
    where target.contact_id is not null
),

-- The points of a factor for an organization: its own points for the factor, or for the factor of which it is a level,
-- else the default; 0 if either is disabled.
worth as materialized (
    select settings.settings_of, factor.category, factor.factor,
        coalesce(own.enabled, true) and coalesce(whole.enabled, true) as enabled,
        case when coalesce(own.enabled, true) and coalesce(whole.enabled, true)
            then coalesce(own.weight, whole.weight, factor.points) else 0 end as points
    from (select distinct settings_of from tenant) as settings
    cross join scoring.factors as factor
    left join scoring.scoring_configs as own
        on own.organization_id = settings.settings_of and own.organization_id <> '00000000-0000-0000-0000-000000000000'
        and own.category = factor.category and own.factor = factor.factor
    left join scoring.scoring_configs as whole
        on whole.organization_id = settings.settings_of and whole.organization_id <> '00000000-0000-0000-0000-000000000000'
        and whole.category = factor.category and whole.factor = factor.part_of
),

points_of as materialized (
    select settings_of,
        max(points) filter (where factor = 'has_email') as has_email,
        max(points) filter (where factor = 'has_phone') as has_phone,
        max(points) filter (where factor = 'has_direct_phone') as has_direct_phone,
        max(points) filter (where factor = 'company_size_smb') as smb,
        max(points) filter (where factor = 'company_size_mid') as mid,
        max(points) filter (where factor = 'company_size_enterprise') as enterprise,
        max(points) filter (where factor = 'seniority_c_level') as c_level,
        max(points) filter (where factor = 'seniority_vp') as vp,
        max(points) filter (where factor = 'seniority_director') as director,
        max(points) filter (where factor = 'seniority_manager') as manager,
        max(points) filter (where factor = 'recent_activity_high') as activity_high,
        max(points) filter (where factor = 'recent_activity_some') as activity_some,
        max(points) filter (where factor = 'content_download') as content_download
    from worth
    where category <> 'intent'
    group by settings_of
),

-- The settings of a type of signal for an organization.
kind as materialized (
    select coalesce(usual.settings_of, config.organization_id) as settings_of,
        coalesce(usual.factor, config.signal_type) as signal_type,
        coalesce(config.weight, usual.points)::double precision as weight,
        config.decay_hours,
        coalesce(config.enabled, true) and coalesce(usual.enabled, true) as enabled
    from (select * from worth where category = 'intent') as usual
    full join (
        select * from scoring.signal_configs
        where organization_id in (select settings_of from tenant)
            and organization_id <> '00000000-0000-0000-0000-000000000000'
    ) as config
        on config.organization_id = usual.settings_of and config.signal_type = usual.factor
),

-- Each signal with its age, and the time until it expires, in hours.
aged as (
    select subject.number, signal.signal_type, signal.decay_model, signal.detected_at,
        case when kind.enabled is false then 0
            else coalesce(signal.weight::double precision, kind.weight, 0) end as weight,
        coalesce(signal.decay_hours, kind.decay_hours, 168)::double precision as hours,
        date_part('epoch', subject.t - signal.detected_at) / 3600 as age,
        case
            when isfinite(signal.expires_at) then date_part('epoch', signal.expires_at - subject.t) / 3600
            when signal.expires_at < subject.t then -1 -- Postgres subtracts infinity only since 17
        end as expiry
    from subject
    cross join lateral (
        select * from scoring.intent_signals as signal
        where signal.organization_id = subject.organization_id and signal.contact_id = subject.contact_id
        offset 0 -- by index, contact by contact: this excludes plans that read all contacts
    ) as signal
    left join kind on kind.settings_of = subject.settings_of and kind.signal_type = signal.signal_type
    offset 0 -- computed once, not at each use below
),

-- Decay: a function of age alone. A signal with a future time does not count yet.
decayed as (
    select *,
        case
            when age < 0 or age >= hours or expiry <= 0 then 0
            when decay_model = 'linear' then 1 - age / hours
            when decay_model = 'exponential' then exp(-3 * age / hours)
            when age < 0.5 * hours then 1
            when age < 0.75 * hours then 0.5
            else 0.25
        end as decay
    from aged
    offset 0
),

-- `slope` is the maximum of points per hour that a signal loses from now on, `jump` the hours until its next sudden
-- loss.
by_type as (
    select number, signal_type, sum(weight * decay) as points,
        min(detected_at) filter (where age < 0) as begins_at,
        sum(slope) filter (where slope > 0) as falling,
        sum(-slope) filter (where slope < 0) as rising,
        min(jump) filter (where decay > 0) as jump
    from (
        select *,
            case
                when decay = 0 or decay_model = 'step' then 0
                when decay_model = 'linear' then weight / hours
                else 3 * weight * decay / hours
            end as slope,
            least(expiry, case
                when decay_model <> 'step' then hours
                when age < 0.5 * hours then 0.5 * hours
                when age < 0.75 * hours then 0.75 * hours
                else hours
            end - age) as jump
        from decayed
    ) as moving
    group by number, signal_type
),

interest as (
    select number, sum(points) as points, min(begins_at) as begins_at,
        sum(falling) as falling, sum(rising) as rising, min(jump) as jump,
        sum(points) + 0.5 + 1e-9 - floor(sum(points) + 0.5 + 1e-9) as above_step,
        jsonb_object_agg(
            case when signal_type in (
                'fit', 'has_email', 'has_phone', 'has_direct_phone', 'company_size', 'seniority',
                'engagement', 'recent_activity', 'content_download'
            ) then 'intent:' || signal_type else signal_type end, -- a type with the name of a factor
            floor(points * 100 + 0.5 + 1e-6) / 100
        ) filter (where points <> 0) as by_type
    from by_type
    group by number
),

-- The contact's activity in the 30 days before t, and the time at which the first event dated t or later begins to
-- count.
activity as (
    select subject.number,
        count(*) filter (where event.occurred_at < subject.t and event.event_type <> 'content_download') as visits,
        count(*) filter (where event.occurred_at < subject.t and event.event_type = 'content_download') as downloads,
        min(event.occurred_at) filter (where event.occurred_at < subject.t) as oldest_at,
        min(event.occurred_at) filter (where event.occurred_at >= subject.t) as begins_at
    from subject
    join analytics.contact_activity as event using (organization_id, contact_id)
    where event.occurred_at >= subject.t - interval '720 hours'
        and event.event_type in (
-- include: engagement_types
        )
    group by subject.number
),

-- The points of every factor. Of a tenant's custom_fields only text counts.
factors as (
    select subject.*, contact.id is not null as exists,
        case when btrim(contact.email) <> '' then worth.has_email else 0 end as has_email,
        case when btrim(contact.phone) <> '' then worth.has_phone else 0 end as has_phone,
        case when jsonb_typeof(contact.custom_fields -> 'direct_phone') = 'string'
            and btrim(contact.custom_fields ->> 'direct_phone') <> '' then worth.has_direct_phone else 0 end
            as has_direct_phone,
        case contact.custom_fields ->> 'company_size'
            when 'smb' then worth.smb when 'mid' then worth.mid when 'enterprise' then worth.enterprise else 0
        end as company_size,
        case contact.custom_fields ->> 'seniority'
            when 'c_level' then worth.c_level when 'vp' then worth.vp when 'director' then worth.director
            when 'manager' then worth.manager else 0
        end as seniority,
        case when activity.visits >= 10 then worth.activity_high
            when activity.visits >= 3 then worth.activity_some else 0 end as recent_activity,
        case when activity.downloads > 0 then worth.content_download else 0 end as content_download,
        least(1000000, greatest(-1000000, floor(coalesce(interest.points, 0) + 0.5 + 1e-9)))::integer as intent,
        coalesce(interest.by_type, '{}') as by_type,
        least(activity.begins_at, interest.begins_at) as begins_at,
        activity.oldest_at + interval '720 hours' as engagement_until,
        -- The sum of all signals cannot reach the next half before this time.
        case when interest.jump is not null then subject.t + make_interval(secs => 3600 * least(
            interest.jump, above_step / nullif(falling, 0), (1 - above_step) / nullif(rising, 0), 100000
        ) - 2) end as intent_until
    from subject
    join points_of as worth using (settings_of)
    left join lateral (
        select * from crm.contacts as contact
        where contact.organization_id = subject.organization_id and contact.id = subject.contact_id
        offset 0
    ) as contact on true
    left join activity using (number)
    left join interest using (number)
    offset 0
),

-- The three categories, or the message's values: these apply to this calculation, so the contact's own values are due
-- again.
categories as (
    select number, organization_id, contact_id, version, t, exists, known_total, known_fit, known_engagement,
        known_intent, known_components, known_recheck_at, known_xmin,
        as_fit is not null or as_engagement is not null or as_intent is not null as replaced,
        least(engagement_until, intent_until, begins_at, 'infinity') as recheck_at,
        coalesce(as_fit, has_email + has_phone + has_direct_phone + company_size + seniority) as fit,
        coalesce(as_engagement, recent_activity + content_download) as engagement,
        coalesce(as_intent, intent) as intent,
        case when as_intent is null then by_type else jsonb_build_object('intent', as_intent) end as signals,
        case when as_fit is null and as_engagement is null
            then jsonb_build_object(
                'has_email', has_email, 'has_phone', has_phone, 'has_direct_phone', has_direct_phone,
                'company_size', company_size, 'seniority', seniority,
                'recent_activity', recent_activity, 'content_download', content_download
            )
            else case when as_fit is null
                then jsonb_build_object(
                    'has_email', has_email, 'has_phone', has_phone, 'has_direct_phone', has_direct_phone,
                    'company_size', company_size, 'seniority', seniority
                )
                else jsonb_build_object('fit', as_fit) end
            || case when as_engagement is null
                then jsonb_build_object('recent_activity', recent_activity, 'content_download', content_download)
                else jsonb_build_object('engagement', as_engagement) end
        end as facts
    from factors
    offset 0
),

-- `moved`: the stored row differs, or would be recomputed too late. `restated`: the same points come from other
-- components.
scored as materialized (
    select number, organization_id, contact_id, version, t, exists, replaced, known_total, fit, engagement, intent,
        greatest(0, least(100, fit + engagement + intent)) as total, signals || facts as components, recheck_at,
        known_recheck_at, known_xmin,
        known_total is null
        or (known_total, known_fit, known_engagement, known_intent)
        is distinct from (greatest(0, least(100, fit + engagement + intent)), fit, engagement, intent)
        or not known_components @> facts
        or recheck_at < known_recheck_at - interval '1 second' as moved,
        known_components is distinct from signals || facts
        or recheck_at is distinct from known_recheck_at as restated
    from categories
)
