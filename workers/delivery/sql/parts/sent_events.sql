own_events as (
    insert into delivery.delivery_events (
        job_id, organization_id, contact_id, channel, event_type, message_id, event_id, occurred_at, created_at
    )
    select
        decided.job_id, decided.organization_id, decided.contact_id, decided.channel, 'sent', decided.id,
        'msg:' || decided.id || ':sent', decided.happened_at, :now
    from decided
    where decided.next_state = 'sent'
    on conflict (organization_id, event_id) do nothing
),
activities as (
    insert into analytics.contact_activity (
        organization_id, contact_id, event_type, event_source, event_data, occurred_at, created_at, event_id
    )
    select
        decided.organization_id, decided.contact_id, decided.channel || '_sent',
        coalesce(cast(decided.campaign_id as text), 'journey:' || decided.journey_id),
        jsonb_strip_nulls(
            jsonb_build_object(
                'messageId', decided.id, 'campaignId', decided.campaign_id, 'journeyId', decided.journey_id,
                'journeyExecutionId', decided.journey_execution_id, 'stepId', decided.step_id,
                'segments', decided.segments
            )
        ),
        decided.happened_at, :now, 'msg:' || decided.id || ':sent'
    from decided
    where decided.next_state = 'sent' and decided.contact_id is not null
    on conflict (organization_id, event_id) where event_id is not null do nothing
)
