-- name: plain_scores
-- The scores of all contacts in one statement that does nothing else: no backlog, history, events, recheck time or
-- concurrent writers.
insert into bench.lead_scores as known (
    organization_id, contact_id, total_score, grade, engagement_score, fit_score, intent_score, components,
    top_contributors, scored_at
)

-- include: plain

select organization_id, contact_id, total,
    case when total >= 80 then 'A' when total >= 60 then 'B' when total >= 40 then 'C' when total >= 20 then 'D'
        else 'F' end,
    engagement, fit, intent, components, coalesce(top.contributors, '[]'), :t
from scores
cross join lateral (
    select jsonb_agg(jsonb_build_object('factor', key, 'points', value) order by value desc, key) as contributors
    from (
        select key, value from jsonb_each(components) where value > '0' order by value desc, key collate "C" limit 5
    ) as largest
) as top
on conflict (organization_id, contact_id) do update set
    total_score = excluded.total_score, grade = excluded.grade, engagement_score = excluded.engagement_score,
    fit_score = excluded.fit_score, intent_score = excluded.intent_score, components = excluded.components,
    top_contributors = excluded.top_contributors, scored_at = excluded.scored_at, updated_at = now()

-- name: plain_decay
-- The scores of all contacts at a later time; the rows that differ are written.
update bench.lead_scores as known set
    total_score = fresh.total, grade = fresh.grade, engagement_score = fresh.engagement, fit_score = fresh.fit,
    intent_score = fresh.intent, components = fresh.components, top_contributors = fresh.contributors,
    scored_at = :t, updated_at = now()
from (
-- include: plain

    select scores.*, coalesce(top.contributors, '[]') as contributors,
        case when total >= 80 then 'A' when total >= 60 then 'B' when total >= 40 then 'C' when total >= 20 then 'D'
            else 'F' end as grade
    from scores
    join bench.lead_scores as was using (organization_id, contact_id)
    cross join lateral (
        select jsonb_agg(jsonb_build_object('factor', key, 'points', value) order by value desc, key) as contributors
        from (
            select key, value from jsonb_each(scores.components) where value > '0'
            order by value desc, key collate "C" limit 5
        ) as largest
    ) as top
    where (was.total_score, was.fit_score, was.engagement_score, was.intent_score)
        is distinct from (scores.total, scores.fit, scores.engagement, scores.intent)
) as fresh
where known.organization_id = fresh.organization_id and known.contact_id = fresh.contact_id
