-- name: find_contacts
-- Contacts by id or by e-mail address: several organizations may have the same address.
select organization_id, id as contact_id, email, phone, custom_fields
from crm.contacts
where id::text = lower(:contact) or email = :contact
order by organization_id, id
limit 10

-- name: engagement_events
-- A contact's activity in the period of engagement.
select event_type, occurred_at
from analytics.contact_activity
where organization_id = :organization_id and contact_id = :contact_id
    and occurred_at >= :start and occurred_at < :t
    and event_type = any(cast(:event_types as text[]))

-- name: contact_signals
-- The signals up to a time, each with whether it has expired by then: Postgres knows infinity and years that Python
-- does not. Signals older than Python's first year have decayed long ago.
select signal_type, greatest(detected_at, '0001-01-01T00:00Z') as detected_at, weight, decay_model, decay_hours,
    coalesce(expires_at <= :t, false) as expired
from scoring.intent_signals
where organization_id = :organization_id and contact_id = :contact_id and detected_at <= :t
order by detected_at desc

-- name: factor_configs
select category, factor, weight, enabled
from scoring.scoring_configs
where organization_id = :organization_id

-- name: signal_configs
select signal_type, weight, decay_hours, enabled
from scoring.signal_configs
where organization_id = :organization_id

-- name: stored_score
-- The stored score, and whether a change waits to be folded or computed.
select total_score, grade, fit_score, engagement_score, intent_score, scored_at,
    exists (
        select 1 from scoring.recompute_backlog as entry
        where entry.organization_id = known.organization_id and entry.contact_id = known.contact_id
    )
    or exists (
        select 1 from crm.contact_changes as change
        where change.consumer = 'scoring' and change.organization_id = known.organization_id
            and coalesce(change.contact_id, known.contact_id) = known.contact_id
    ) as outdated
from scoring.lead_scores as known
where organization_id = :organization_id and contact_id = :contact_id

-- name: score_on
-- The score at the end of a day: that of the last day, up to it, with a score.
select date as since, total_score, fit_score, engagement_score, intent_score
from scoring.score_history
where organization_id = :organization_id and contact_id = :contact_id and date <= :date
order by date desc
limit 1

-- name: count_contacts
-- The number of contacts that the next statement requests.
select count(*) as count
from crm.contacts
where (cast(:organization_id as uuid) is null or organization_id = :organization_id)
    and (cast(:contact_id as uuid) is null or id = :contact_id)

-- name: request_contact
-- Request the score of one contact: a row of the change feed.
insert into crm.contact_changes (consumer, organization_id, contact_id, source, name)
select 'scoring', organization_id, id, 'contact', 'operator' from crm.contacts where id = :contact_id

-- name: request_organizations
-- Request the scores of an organization, or (null) of all: one row of the change feed per organization, which the fold
-- expands.
with recursive organization (id) as ( -- one step through the index per organization
    (select organization_id from crm.contacts order by organization_id limit 1)
    union all
    select (
        select organization_id from crm.contacts where organization_id > organization.id
        order by organization_id limit 1
    )
    from organization
    where organization.id is not null
)
insert into crm.contact_changes (consumer, organization_id, source)
select 'scoring', id, 'config'
from organization
where id is not null and (cast(:organization_id as uuid) is null or id = :organization_id)

-- name: scoring_work
-- The pending work of each scoring job at :now, and the time of the oldest.
select 'changes to be folded' as waiting, count(*) as count, min(at) as oldest_at,
    'scoring.fold-changes' as done_by
from crm.contact_changes
where consumer = 'scoring'
union all
select 'changed contacts' as waiting, count(*) as count, min(requested_at) as oldest_at,
    'scoring.BatchRecompute' as done_by
from scoring.recompute_backlog
union all
select 'scores that time may change', count(*), min(recheck_at), 'scoring.SignalDecay'
from scoring.lead_scores
where recheck_at <= :now and recheck_at < 'infinity'
union all
select 'alerts past their deadline', count(*), min(deadline), 'scoring.AlertExpiry'
from scoring.signal_alerts
where status = 'open' and deadline <= :now
union all
select 'crossings to be published', count(*), min(scored_at), 'any scoring message'
from scoring.threshold_outbox

-- name: scoring_backlog
-- The organizations with the most contacts in the backlog.
select organization_id, count(*) as contacts, min(requested_at) as oldest_at,
    string_agg(distinct reason, ', ' order by reason) as reasons
from scoring.recompute_backlog
group by organization_id
order by contacts desc, organization_id
limit :limit

-- name: map_customers
-- The shop's data as custom fields that scores read: a year's spending as the size of a company, the channels as
-- seniority, and a direct number for each customer who is not new.
update crm.contacts as contact set
    custom_fields = contact.custom_fields || mapped.fields
from (
    select id,
        jsonb_build_object(
            'company_size', case
                when left(custom_fields ->> 'history_segment', 1) in ('1', '2') then 'smb'
                when left(custom_fields ->> 'history_segment', 1) in ('3', '4') then 'mid'
                else 'enterprise'
            end,
            'seniority', case custom_fields ->> 'channel'
                when 'Multichannel' then 'c_level' when 'Web' then 'director' else 'manager' end
        )
        || case when custom_fields ->> 'is_new' = 'false' then '{"direct_phone": "on file"}' else '{}' end::jsonb as fields
    from crm.contacts
    where organization_id = :organization_id
) as mapped
where contact.id = mapped.id and contact.custom_fields is distinct from contact.custom_fields || mapped.fields

-- name: map_signals
-- A visit is a visit; a purchase has the weight of a demo request. Ids derive from the events.
insert into scoring.intent_signals (id, organization_id, contact_id, signal_type, source, detected_at, decay_model)
select md5('signal/' || id::text)::uuid, organization_id, contact_id,
    case event_type when :visit_type then 'WEBSITE_VISIT' else 'DEMO_REQUEST' end,
    'hillstrom', occurred_at,
    case event_type when :visit_type then 'linear' else 'exponential' end
from analytics.contact_activity
where organization_id = :organization_id and event_type in (:visit_type, :purchase_type)
on conflict (id) do nothing

-- name: scores
-- Every score of an organization.
select contact_id, total_score as score, grade
from scoring.lead_scores
where organization_id = :organization_id

-- name: best_scores
select contact_id, total_score as score, grade, top_contributors
from scoring.lead_scores
where organization_id = :organization_id
order by total_score desc, intent_score desc, contact_id
limit :limit
