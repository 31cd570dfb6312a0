-- name: contact_of_id
select organization_id, email from crm.contacts
where id = :contact_id

-- name: count_of_contact
-- The number of rows per table that an erasure removes or empties, by the same conditions as ops.erase_contact. All
-- tables except the first three belong to this project.
with mentioned as (select ops.mentions(:words) as words)
select 'crm.contacts' as "table", count(*) as count from crm.contacts
where organization_id = :organization_id and id = :contact_id
union all
select 'analytics.contact_activity', count(*) from analytics.contact_activity
where organization_id = :organization_id and contact_id = :contact_id
union all
select 'crm.segment_contacts', count(*) from crm.segment_contacts
where organization_id = :organization_id and contact_id = :contact_id
union all
select 'scoring.lead_scores', count(*) from scoring.lead_scores
where organization_id = :organization_id and contact_id = :contact_id
union all
select 'scoring.score_history', count(*) from scoring.score_history
where organization_id = :organization_id and contact_id = :contact_id
union all
select 'scoring.intent_signals', count(*) from scoring.intent_signals
where organization_id = :organization_id and contact_id = :contact_id
union all
select 'scoring.signal_alerts', count(*) from scoring.signal_alerts
where organization_id = :organization_id and contact_id = :contact_id
union all
select 'scoring.alert_requests', count(*) from scoring.alert_requests
where organization_id = :organization_id and contact_id = :contact_id
union all
select 'scoring.threshold_outbox', count(*) from scoring.threshold_outbox
where organization_id = :organization_id and contact_id = :contact_id
union all
select 'scoring.recompute_backlog', count(*) from scoring.recompute_backlog
where organization_id = :organization_id and contact_id = :contact_id
union all
select 'crm.contact_changes', count(*) from crm.contact_changes
where consumer in ('scoring', 'segments', 'events')
    and organization_id = :organization_id and contact_id = :contact_id
union all
select 'journey.journey_executions', count(*) from journey.journey_executions
where organization_id = :organization_id and contact_id = :contact_id
union all
select 'crm.segment_changes', count(*) from crm.segment_changes
where organization_id = :organization_id and contact_id = :contact_id
union all
select 'crm.segment_recheck', count(*) from crm.segment_recheck
where organization_id = :organization_id and contact_id = :contact_id
union all
select 'crm.segment_backlog', count(*) from crm.segment_backlog
where organization_id = :organization_id and contact_id = :contact_id
union all
select 'journey.waits', count(*) from journey.waits
where organization_id = :organization_id and contact_id = :contact_id
union all
select 'journey.pending_events', count(*) from journey.pending_events
where organization_id = :organization_id and contact_id = :contact_id
union all
select 'journey.trigger_entries', count(*) from journey.trigger_entries
where organization_id = :organization_id and contact_id = :contact_id
union all
select 'journey.entrants', count(*) from journey.entrants
where organization_id = :organization_id and contact_id = :contact_id
union all
select 'journey.outbox', count(*) from journey.outbox
where organization_id = :organization_id and contact_id = :contact_id
union all
select 'crm.contact_tags', count(*) from crm.contact_tags
where contact_id = :contact_id and not exists (
    select from crm.contacts where id = :contact_id and organization_id <> :organization_id
)
union all
select 'crm.contact_companies', count(*) from crm.contact_companies
where contact_id = :contact_id and not exists (
    select from crm.contacts where id = :contact_id and organization_id <> :organization_id
)
union all
select 'journey.step_executions', count(*) from journey.step_executions as own
join journey.journey_executions as execution on execution.id = own.execution_id
where execution.organization_id = :organization_id and execution.contact_id = :contact_id
union all
select 'journey.execution_logs', count(*) from journey.execution_logs as own
join journey.journey_executions as execution on execution.id = own.execution_id
where execution.organization_id = :organization_id and execution.contact_id = :contact_id
union all
select 'delivery.messages', count(*) from delivery.messages, mentioned
where organization_id = :organization_id
    and (contact_id = :contact_id or contact_id is null and lower(address) = any(mentioned.words))
union all
select 'delivery.calls', count(*) from delivery.calls as call
where call.request is not null and call.organization_id = :organization_id
    and exists (
        select from delivery.attempts as attempt
        join delivery.messages as message on message.id = attempt.message_id
        cross join mentioned
        where attempt.call_id = call.id
            and (message.contact_id = :contact_id or lower(message.address) = any(mentioned.words))
    )
union all
select 'delivery.delivery_events', count(*) from delivery.delivery_events
where organization_id = :organization_id and contact_id = :contact_id
union all
select 'delivery.device_tokens', count(*) from delivery.device_tokens
where organization_id = :organization_id and contact_id = :contact_id
union all
select 'delivery.recipients', count(*) from delivery.recipients
where organization_id = :organization_id and contact_id = :contact_id
union all
select 'delivery.deleted_contacts', count(*) from delivery.deleted_contacts
where organization_id = :organization_id and contact_id = :contact_id
union all
select 'delivery.platform_outbox', count(*) from delivery.platform_outbox
where organization_id = :organization_id and contact_id = :contact_id
union all
select 'delivery.unmatched_events', count(*) from delivery.unmatched_events, mentioned
where ops.mentions(body::text) && mentioned.words
union all
select 'ops.message_failures', count(*) from ops.message_failures, mentioned
where ops.mentions(error_text) && mentioned.words
union all
select 'ops.job_runs', count(*) from ops.job_runs, mentioned
where error_text is not null and ops.mentions(error_text) && mentioned.words
union all
select 'ops.dead_letters', count(*) from ops.dead_letters, mentioned
where ops.mentions(body::text || ' ' || coalesce(error, '')) && mentioned.words

-- name: delete_events_of_contact
delete from analytics.contact_activity where organization_id = :organization_id and contact_id = :contact_id

-- name: delete_contact
delete from crm.contacts where organization_id = :organization_id and id = :contact_id

-- name: erase_contact
select ops.erase_contact(:organization_id, :contact_id, :email) as touched

-- name: audit_erasure
-- The operator has emptied the dead letters of this transaction; the function has recorded the database role.
update ops.dead_letters set changed_by = :by
where changed_at = now() and body is null and note = 'erased with a contact'
