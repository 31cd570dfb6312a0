-- name: claim_alerts
-- Problems of configurations that are due for an alert: of a paused config, of an organization without a usable
-- provider or verified sender, of a setting of the worker. Each at most once an hour, and once a day while no message
-- waits for it; the longest lists of waiting messages first, at most :most. The row that is written here is what
-- prevents the next alert: a second sweep at the same time finds it and reports nothing.
with deferred as (
    select
        case when reason <> 'not_configured' then organization_id end as organization_id, channel,
        cast(null as uuid) as config_id, reason as problem, cast(null as text) as provider, cast(null as text) as reason,
        count(*) as waiting
    from delivery.messages
    where state = 'deferred' and reason in ('no_provider', 'unverified_sender', 'not_configured')
    group by case when reason <> 'not_configured' then organization_id end, channel, reason
),
paused as (
    select
        config.organization_id, config.channel, config.id as config_id, 'paused' as problem,
        config.provider_type as provider, config.paused_reason as reason, counted.waiting
    from delivery.provider_configs as config
    cross join lateral (
        select count(*) as waiting
        from delivery.messages as message
        where message.organization_id = config.organization_id and message.channel = config.channel
            and message.class = any(array['marketing', 'transactional'])
            and (
                message.state in ('pending', 'queued')
                or (message.state = 'deferred' and message.reason = 'no_provider')
            )
    ) as counted
    where config.is_active and config.paused_until > :now
),
due as (
    select found.*
    from (select * from deferred union all select * from paused) as found
    left join delivery.config_alerts as known
        on known.organization_id is not distinct from found.organization_id and known.channel = found.channel
        and known.config_id is not distinct from found.config_id and known.problem = found.problem
    where known.alerted_at is null
        or known.alerted_at <= cast(:now as timestamptz)
        - case when found.waiting > 0 then interval '1 hour' else interval '1 day' end
    order by found.waiting desc, found.organization_id, found.channel
    limit :most
),
claimed as (
    insert into delivery.config_alerts as known (organization_id, channel, config_id, problem, alerted_at)
    select organization_id, channel, config_id, problem, :now from due
    order by organization_id, channel, config_id, problem
    on conflict (organization_id, channel, config_id, problem) do update set alerted_at = excluded.alerted_at
    where known.alerted_at <= cast(:now as timestamptz) - interval '1 hour'
    returning organization_id, channel, config_id, problem
)
select due.*
from due
join claimed
    on claimed.organization_id is not distinct from due.organization_id and claimed.channel = due.channel
    and claimed.config_id is not distinct from due.config_id and claimed.problem = due.problem
order by due.waiting desc, due.organization_id, due.channel, due.problem
