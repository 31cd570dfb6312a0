-- name: has_crossings
-- Whether there are events to publish. Runs after each batch, outside a transaction.
select exists (select from scoring.threshold_outbox) as found

-- name: take_crossings
-- Take the oldest crossings that no other transaction is publishing. They are deleted by the commit, and kept by a
-- rollback.
with taken as (
    delete from scoring.threshold_outbox
    where id in (
        select id from scoring.threshold_outbox order by id limit :rows_max for update skip locked
    )
    returning id, event_id, organization_id, contact_id, score, previous_score, scored_at
)
select * from taken order by id

-- name: count_crossings
-- Take and count the oldest crossings if no queue is bound: the number of scores per organization that reached or fell
-- below a threshold.
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
