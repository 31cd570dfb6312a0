-- name: suppress_soft_bounced
-- Addresses with three messages that bounced softly within thirty days, and no delivery after the first of these: they
-- receive nothing for thirty days. A bounce counts towards one suppression. The addresses with a recent bounce are asked.
with asked as (
    select distinct message.organization_id, message.address
    from delivery.delivery_events as event
    join delivery.messages as message on message.id = event.message_id
    where event.channel = 'email' and event.event_type in ('bounced', 'complained')
        and event.event_type = 'bounced' and event.created_at > :since
        and message.bounce_kind = 'soft' and message.bounce_counted_at is null and message.address is not null
),
bounced as materialized (
    select message.id, message.organization_id, message.address, message.bounced_at
    from asked
    join delivery.messages as message using (organization_id, address)
    where message.channel = 'email' and message.bounce_kind = 'soft' and message.bounce_counted_at is null
        and message.bounced_at > cast(:now as timestamptz) - interval '30 days'
        and message.bounced_at > greatest(
            (
                select max(other.delivered_at)
                from delivery.messages as other
                where other.organization_id = message.organization_id and other.contact_id = message.contact_id
                    and other.channel = 'email' and other.address = message.address
            ),
            (
                select max(other.delivered_at)
                from delivery.messages as other
                where other.organization_id = message.organization_id and other.contact_id is null
                    and lower(other.address) = lower(message.address) and other.channel = 'email'
            ),
            cast('-infinity' as timestamptz)
        )
),
stopped as materialized (
    select organization_id, address, max(bounced_at) + interval '30 days' as expires_at,
        (array_agg(id order by bounced_at desc, id))[1] as message_id
    from bounced
    group by organization_id, address
    having count(*) >= 3
    order by organization_id, address
    limit :rows_max
),
counted as (
    update delivery.messages as message set bounce_counted_at = :now
    from bounced
    join stopped using (organization_id, address)
    where message.id = bounced.id
),
suppressed as materialized (
    select
        delivery.suppress(
            organization_id => organization_id, address => address, channel => 'email', reason => 'bounce',
            source => 'soft bounces', expires_at => expires_at, message_id => message_id
        ) as id
    from stopped
)
select count(id) as suppressed from suppressed

-- name: pause_marketing
-- Organizations whose e-mails of the last day have too many complaints or hard bounces: a person resumes their
-- marketing, and what was before that does not count again. Deliveries are counted as far as they matter.
with trouble as (
    select
        event.organization_id, settings.resumed_at,
        count(distinct event.message_id) filter (where event.event_type = 'complained') as complaints,
        count(distinct event.message_id) filter (
            where event.event_type = 'bounced' and event.metadata ->> 'bounceKind' = 'hard'
        ) as bounces
    from delivery.delivery_events as event
    left join delivery.organization_settings as known on known.organization_id = event.organization_id
    cross join lateral (
        select
            greatest(known.marketing_resumed_at, cast(:now as timestamptz) - interval '1 day') as resumed_at
    ) as settings
    where event.channel = 'email' and event.event_type in ('bounced', 'complained')
        and event.created_at > cast(:now as timestamptz) - interval '1 day'
        and event.created_at > settings.resumed_at
        and known.marketing_paused_at is null
    group by event.organization_id, settings.resumed_at
),
rated as (
    select trouble.*, counted.delivered
    from trouble
    cross join lateral (
        select count(*) as delivered
        from (
            select from delivery.delivery_events as event
            where event.organization_id = trouble.organization_id and event.channel = 'email'
                and event.event_type = 'delivered' and event.created_at > trouble.resumed_at
            limit greatest(
                cast(:delivered_min as bigint), ceil(trouble.complaints / cast(:complaint_rate as numeric)),
                cast(:outcomes_min as bigint), ceil(trouble.bounces / cast(:bounce_rate as numeric))
            ) + 1
        ) as listed
    ) as counted
),
excessive as (
    select
        organization_id,
        case when is_complained then 'complaint_rate' else 'bounce_rate' end as reason,
        case when is_complained then complaints else bounces end as count
    from rated
    cross join lateral (
        select
            delivered >= cast(:delivered_min as bigint)
            and complaints > cast(:complaint_rate as numeric) * delivered as is_complained,
            delivered + bounces >= cast(:outcomes_min as bigint)
            and bounces > cast(:bounce_rate as numeric) * (delivered + bounces) as is_bounced
    ) as judged
    where is_complained or is_bounced
),
paused as (
    insert into delivery.organization_settings as known (
        organization_id, marketing_paused_at, marketing_paused_reason
    )
    select organization_id, cast(:now as timestamptz), reason from excessive
    on conflict (organization_id) do update
    set marketing_paused_at = excluded.marketing_paused_at, marketing_paused_reason = excluded.marketing_paused_reason
    where known.marketing_paused_at is null
    returning organization_id
)
select organization_id, reason, count from excessive
join paused using (organization_id)
order by organization_id
