-- name: insert_messages
-- Messages that the platform sends in whole. A key that is there already changes nothing.
insert into delivery.messages (
    id, organization_id, idempotency_key, channel, class, contact_id, campaign_id, journey_id, journey_execution_id,
    step_id, template_id, content, variables, address, device_id, state, reason, not_before, expires_at, finished_at,
    on_uncertain, created_at
)
select
    new.id, new.organization_id, new.idempotency_key, new.channel, new.class, new.contact_id, new.campaign_id,
    execution.journey_id, new.journey_execution_id, new.step_id, new.template_id, new.content, new.variables,
    new.address, new.device_id,
    case when is_unknown then 'skipped' when is_later then 'deferred' else 'pending' end,
    case when is_unknown then 'unknown_contact' when is_later then 'not_before' end,
    case when is_later and not is_unknown then new.not_before end,
    coalesce(new.expires_at, delivery.default_expiry(new.class, greatest(:now, new.not_before))),
    case when is_unknown then cast(:now as timestamptz) end,
    case
        when new.class = 'marketing' and new.channel <> 'push' then 'hold'
        else coalesce(new.on_uncertain, delivery.default_on_uncertain(new.channel, new.class))
    end,
    :now
from jsonb_to_recordset(cast(:messages as jsonb)) as new (
    id uuid, organization_id uuid, idempotency_key text, channel text, class text, contact_id uuid, campaign_id uuid,
    journey_execution_id uuid, step_id uuid, template_id uuid, content jsonb, variables jsonb, address text,
    device_id uuid, not_before timestamptz, expires_at timestamptz, on_uncertain text
)
left join journey.journey_executions as execution
    on execution.id = new.journey_execution_id and execution.organization_id = new.organization_id
left join crm.contacts as contact on contact.id = new.contact_id and contact.organization_id = new.organization_id
cross join lateral (
    select
        new.contact_id is not null and contact.id is null as is_unknown,
        coalesce(new.not_before > :now, false) as is_later
) as found
order by new.organization_id, new.idempotency_key
on conflict (organization_id, idempotency_key) do nothing
returning id
