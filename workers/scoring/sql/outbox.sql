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
