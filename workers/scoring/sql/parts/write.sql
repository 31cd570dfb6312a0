-- Write the rows of `claimed`: no other transaction can write these scores before the commit.
changed as materialized (
    select claimed.*, top.contributors
    from claimed
    cross join lateral (
        select coalesce(jsonb_path_query_array(
            jsonb_agg(
                jsonb_build_object('factor', key, 'points', value)
                order by value::double precision desc, key collate "C"
            ),
            '$[0 to 4]'
        ), '[]') as contributors
        from jsonb_each(claimed.components)
        where value > '0'
    ) as top
    where claimed.exists and claimed.to_write
),

stored as (
    insert into scoring.lead_scores as known (
        organization_id, contact_id, total_score, grade, engagement_score, fit_score, intent_score,
        components, top_contributors, scored_at, recheck_at
    )
    select organization_id, contact_id, total,
        case when total >= 80 then 'A' when total >= 60 then 'B' when total >= 40 then 'C' when total >= 20 then 'D'
            else 'F' end,
        engagement, fit, intent, components, contributors, t, recheck_at
    from changed
    on conflict (organization_id, contact_id) do update set
        total_score = excluded.total_score,
        grade = excluded.grade,
        engagement_score = excluded.engagement_score,
        fit_score = excluded.fit_score,
        intent_score = excluded.intent_score,
        components = excluded.components,
        top_contributors = excluded.top_contributors,
        scored_at = excluded.scored_at,
        recheck_at = excluded.recheck_at,
        updated_at = now()
),

-- A score at midnight is the last of the day that ends then.
remembered as (
    insert into scoring.score_history as known (
        organization_id, contact_id, date, total_score, engagement_score, fit_score, intent_score
    )
    select organization_id, contact_id, ((t - interval '1 microsecond') at time zone 'UTC')::date, total, engagement,
        fit, intent
    from changed
    on conflict (organization_id, contact_id, date) do update set
        total_score = excluded.total_score,
        engagement_score = excluded.engagement_score,
        fit_score = excluded.fit_score,
        intent_score = excluded.intent_score
    where (known.total_score, known.engagement_score, known.fit_score, known.intent_score)
        is distinct from
        (excluded.total_score, excluded.engagement_score, excluded.fit_score, excluded.intent_score)
),

-- Thresholds are 20, 40, 60 and 80. Before its first score a contact has 0.
crossed as (
    insert into scoring.threshold_outbox (organization_id, contact_id, score, previous_score, scored_at)
    select organization_id, contact_id, total, coalesce(known_total, 0), t
    from changed
    where least(4, total / 20) <> least(4, coalesce(known_total, 0) / 20)
),

-- The score of a deleted contact is deleted too.
gone as (
    delete from scoring.lead_scores as known
    using (select organization_id, contact_id from claimed where not claimed.exists offset 0) as claimed
    where known.organization_id = claimed.organization_id and known.contact_id = claimed.contact_id
),

forgotten as (
    delete from scoring.score_history
    where ctid = any(array(
        select known.ctid
        from claimed
        cross join lateral (
            select ctid from scoring.score_history
            where organization_id = claimed.organization_id and contact_id = claimed.contact_id
            offset 0
        ) as known
        where not claimed.exists
    ))
)
