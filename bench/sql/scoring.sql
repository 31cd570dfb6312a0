-- name: scores_copy
-- The references write here.
create table bench.lead_scores (like scoring.lead_scores including all)

-- name: nobody_scored
-- The state before the first run: all contacts are in the backlog, and the ledger has no later hour.
truncate scoring.lead_scores, scoring.score_history, scoring.threshold_outbox, scoring.recompute_backlog, ops.job_runs;
insert into scoring.recompute_backlog (organization_id, contact_id, reason)
select organization_id, id, 'contact' from crm.contacts order by organization_id, id;
analyze scoring.recompute_backlog

-- name: scores_that_differ
-- The contacts for which job and reference differ.
select count(*)
from scoring.lead_scores as ours
full join bench.lead_scores as plain using (organization_id, contact_id)
where (ours.total_score, ours.fit_score, ours.engagement_score, ours.intent_score, ours.grade, ours.components,
    ours.top_contributors)
    is distinct from
    (plain.total_score, plain.fit_score, plain.engagement_score, plain.intent_score, plain.grade, plain.components,
    plain.top_contributors)

-- name: keep_due
-- The rows that a decay at :t may change, to be restored after each round.
create table bench.due as
select * from scoring.lead_scores where recheck_at <= :t and recheck_at < 'infinity'

-- name: keep_due_history
create table bench.due_history as
select history.* from scoring.score_history as history join bench.due using (organization_id, contact_id)

-- name: put_back
delete from scoring.lead_scores as known using bench.due as due
where known.organization_id = due.organization_id and known.contact_id = due.contact_id;
insert into scoring.lead_scores select * from bench.due;
delete from scoring.score_history as known using bench.due as due
where known.organization_id = due.organization_id and known.contact_id = due.contact_id;
insert into scoring.score_history select * from bench.due_history;
truncate scoring.threshold_outbox;
delete from bench.lead_scores as known using bench.due as due
where known.organization_id = due.organization_id and known.contact_id = due.contact_id;
insert into bench.lead_scores select * from bench.due

-- name: vacuum_scores
vacuum (analyze) scoring.lead_scores

-- name: some_contacts
-- :count contacts, others in each round.
select organization_id, id as contact_id, email, phone, custom_fields
from crm.contacts
order by id
offset :skip
limit :count

-- name: store_one
insert into bench.lead_scores as known (
    organization_id, contact_id, total_score, grade, engagement_score, fit_score, intent_score, components,
    top_contributors, scored_at
)
values (
    :organization_id, :contact_id, :total, :grade, :engagement, :fit, :intent, cast(:components as jsonb),
    cast(:contributors as jsonb), :t
)
on conflict (organization_id, contact_id) do update set
    total_score = excluded.total_score, grade = excluded.grade, engagement_score = excluded.engagement_score,
    fit_score = excluded.fit_score, intent_score = excluded.intent_score, components = excluded.components,
    top_contributors = excluded.top_contributors, scored_at = excluded.scored_at

-- name: keep_open
-- The alerts that are due at :t, to be opened again after each round.
create table bench.due_alerts as
select id from scoring.signal_alerts where status = 'open' and deadline <= :t

-- name: open_again
update scoring.signal_alerts as alert set status = 'open', expired_at = null
from bench.due_alerts as due
where alert.id = due.id and alert.status = 'expired'

-- name: plain_expiry
update scoring.signal_alerts set status = 'expired', expired_at = deadline
where status = 'open' and deadline <= :t
