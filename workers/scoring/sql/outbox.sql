-- name: has_crossings
-- Is anything left to publish? Asked after each batch, outside a transaction.
select exists (select from scoring.threshold_outbox) as found

-- name: take_crossings
-- Take the oldest crossings that nobody else is publishing. They are gone once we commit, and there
-- again if we do not.
with taken as (
    delete from scoring.threshold_outbox
    where id in (
        select id from scoring.threshold_outbox order by id limit :rows_max for update skip locked
    )
    returning id, event_id, organization_id, contact_id, score, previous_score, scored_at
)
select * from taken order by id

-- name: count_crossings
-- Take the oldest crossings, where nobody wants to hear of each: how many scores of an organization
-- came to or fell below a threshold.
with taken as (
    delete from scoring.threshold_outbox
    where id in (
        select id from scoring.threshold_outbox order by id limit :rows_max for update skip locked
    )
    returning organization_id, score, previous_score
),
counted as (
    select organization_id, threshold, case when score > previous_score then 'up' else 'down' end as direction,
        count(*) as count
    from taken
    join unnest(cast(:thresholds as integer[])) as threshold
        on threshold > least(score, previous_score) and threshold <= greatest(score, previous_score)
    group by 1, 2, 3
)
select (select count(*) from taken) as taken,
    coalesce(jsonb_agg(to_jsonb(counted) order by organization_id, threshold, direction), '[]') as crossings
from counted
