-- name: open_messages
-- Open messages by organization, channel and state.
select organization_id, channel, state, count(*) as messages, min(created_at) as oldest,
    min(not_before) filter (where not_before <> 'infinity') as next_at,
    mode() within group (order by reason) as reason
from delivery.messages
where state in ('pending', 'queued', 'deferred', 'claimed', 'sending', 'held', 'uncertain') and finished_at is null
    and (cast(:organization_id as uuid) is null or organization_id = :organization_id)
group by organization_id, channel, state
order by organization_id, channel, state

-- name: provider_states
select config.id, config.organization_id, config.channel, config.provider_type as provider, config.priority,
    config.is_active, config.per_second, config.failures,
    case when config.paused_until > :now then config.paused_until end as paused_until,
    case when config.paused_until > :now then config.paused_reason end as paused_reason
from delivery.provider_configs as config
where cast(:organization_id as uuid) is null or config.organization_id = :organization_id
order by config.organization_id, config.channel, config.priority desc, config.id

-- name: paused_organizations
select organization_id, marketing_paused_at, marketing_paused_reason from delivery.organization_settings
where marketing_paused_at is not null
    and (cast(:organization_id as uuid) is null or organization_id = :organization_id)
order by organization_id

-- name: resume_config
update delivery.provider_configs set paused_until = null, paused_reason = null, failures = 0
where id = :id and paused_until is not null
returning organization_id, channel, provider_type

-- name: config_exists
select organization_id, channel, provider_type from delivery.provider_configs where id = :id

-- name: resume_organization
update delivery.organization_settings set
    marketing_paused_at = null, marketing_paused_reason = null, marketing_resumed_at = now()
where organization_id = :organization_id and marketing_paused_at is not null
returning organization_id

-- name: suppressions
select address, channel, scope, reason, source, created_at, expires_at from delivery.suppressions
where organization_id = :organization_id
    and (cast(:channel as text) is null or channel = :channel)
    and (cast(:reason as text) is null or reason = :reason)
order by created_at desc, address
limit :limit

-- name: suppress
select delivery.suppress(:organization_id, :address, :channel, :reason, :scope, :source) as id

-- name: unsuppress
select delivery.unsuppress(:organization_id, :address, :channel, :note, :scope) as removed

-- name: active_configs
-- The configurations that a claim may choose, as they are stored: encrypted text.
select id, organization_id, channel, provider_type, config #>> '{}' as config
from delivery.provider_configs
where is_active
order by organization_id, channel, priority desc, id

-- name: compare_sent
-- What another sender's log has against the messages here: for each key or address, how often it was sent there and
-- captured or sent here. A skipped message has its reason; a message that still waits has its state.
with logged as (
    select delivery.suppressed_address(case when :by_key then 'push' else :channel end, value) as name, count(*) as there,
        min(line) as line
    from unnest(cast(:values as text[])) with ordinality as given (value, line)
    where value <> ''
    group by 1
),
own as (
    select
        case
            when :by_key then message.idempotency_key
            else delivery.suppressed_address(
                message.channel,
                coalesce(message.address, case message.channel when 'email' then contact.email else contact.phone end)
            )
        end as name,
        count(*) filter (where message.reason = 'captured' or message.state = 'sent') as here,
        min(coalesce(message.reason, message.state)) filter (
            where message.reason is distinct from 'captured' and message.state <> 'sent'
        ) as reason,
        min(cast(message.id as text)) as message_id
    from delivery.messages as message
    left join crm.contacts as contact
        on contact.id = message.contact_id and contact.organization_id = message.organization_id
    where message.organization_id = :organization_id and message.channel = :channel
        and message.created_at >= :since and message.created_at < :until
    group by 1
),
compared as (
    select
        case
            when own.name is null then 'only there'
            when logged.name is null and own.here > 0 then 'only here'
            when logged.name is null then 'in neither'
            when own.here = logged.there then 'the same'
            when own.here = 0 then 'not sent here'
            else 'another number'
        end as result,
        case when own.here = 0 then own.reason end as reason,
        logged.line, own.message_id
    from logged
    full join own using (name)
)
select result, reason, count(*) as count, min(line) as first_line, min(message_id) as message_id
from compared
where result <> 'in neither'
group by result, reason
order by result, count desc, reason
