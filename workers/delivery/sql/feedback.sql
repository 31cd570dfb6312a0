-- name: configs_of_hooks
-- The configurations that webhooks name, also those that are no longer active: they were sent through.
select id, organization_id, channel, provider_type, config #>> '{}' as config
from delivery.provider_configs
where id = any(cast(:ids as uuid[]))

-- name: record_events
-- Find the message of each event, hold it, and record the event. An event is recorded once, so its effects follow
-- once. What has no message waits in unmatched_events. Ours for a message that is deleted names its contact.
with given as materialized (
-- include: given_events
),
matched as materialized (
    select given.*, coalesce(own.id, named.id) as found_id
    from given
    left join delivery.messages as own
        on own.id = given.message_id and own.attempts > 0
            and (given.organization_id is null or own.organization_id = given.organization_id)
-- include: by_provider_id
),
held as materialized (
    select message.*
    from (select distinct found_id from matched where found_id is not null) as asked
    join delivery.messages as message on message.id = asked.found_id
    order by message.id
    for update of message
),
bound as materialized (
    select
        matched.n, matched.body, matched.event_id, matched.kind, matched.provider_message_id, matched.metadata,
        coalesce(held.organization_id, matched.organization_id) as organization_id,
        coalesce(held.channel, matched.channel) as channel,
        held.id as message_id, held.job_id, held.state,
        case when held.id is null then contact.id else held.contact_id end as contact_id,
        least(matched.occurred_at, matched.received_at) as occurred_at
    from matched
    left join held on held.id = matched.found_id
    left join crm.contacts as contact
        on held.id is null and contact.id = matched.contact_id
            and contact.organization_id = matched.organization_id
    where held.id is not null
        or (
            matched.organization_id is not null
            and (matched.address is not null or matched.contact_id is not null)
        )
),
recorded as (
    insert into delivery.delivery_events (
        job_id, organization_id, contact_id, channel, event_type, provider_message_id, metadata, created_at,
        message_id, event_id, occurred_at
    )
    select
        job_id, organization_id, contact_id, channel, kind, provider_message_id, metadata, cast(:now as timestamptz), message_id,
        event_id, occurred_at
    from bound
    order by organization_id, event_id
    on conflict (organization_id, event_id) do nothing
    returning organization_id, event_id
),
repeated as (
    -- Who follows the link of an e-mail again, later than it was recorded, unsubscribes again: an operator may have
    -- lifted the suppression in between. A second delivery of the same request is older.
    update delivery.delivery_events as known set created_at = cast(:now as timestamptz)
    from (
        select organization_id, event_id, max(occurred_at) as occurred_at
        from bound
        where event_id like 'msg:%:unsubscribed'
        group by organization_id, event_id
    ) as again
    where known.organization_id = again.organization_id and known.event_id = again.event_id
        and known.created_at < again.occurred_at
    returning known.organization_id, known.event_id
),
unmatched as (
    insert into delivery.unmatched_events (provider_config_id, event_id, body, received_at)
    select config_id, event_id, body, received_at
    from matched
    where n not in (select bound.n from bound)
    order by config_id, event_id
    on conflict (provider_config_id, event_id) do nothing
),
new as materialized (
    -- Of an event that is given twice, the first.
    select distinct on (organization_id, event_id) bound.*
    from bound
    join (
        select organization_id, event_id from recorded
        union all
        select organization_id, event_id from repeated
    ) as counted using (organization_id, event_id)
    order by organization_id, event_id, n
)
select
    array(select n from new order by n) as new,
    (select count(*) from matched) - (select count(*) from bound) as unmatched,
    array(select organization_id from new where state <> 'sent' order by n) as proved_organizations,
    array(select message_id from new where state <> 'sent' order by n) as proved,
    cast(
        (
            select jsonb_agg(
                new.body || jsonb_build_object(
                    'organization_id', new.organization_id, 'message_id', new.message_id,
                    'contact_id', new.contact_id, 'channel', new.channel
                )
            )
            from new
        ) as text
    ) as events

-- name: record_evidence
-- An event of the provider proves that it has the message: sent, whatever the state is.
with asked as (
    select *
    from unnest(cast(:organization_ids as uuid[]), cast(:ids as uuid[])) as asked (organization_id, id)
),
decided as materialized (
    select
        message.*, 'sent' as next_state, coalesce(message.called_at, cast(:now as timestamptz)) as happened_at,
        cast(null as integer) as segments
    from asked
    join delivery.messages as message using (organization_id, id)
    where message.state <> 'sent' and message.attempts > 0
    order by message.id
    for update of message
),
changed as (
    update delivery.messages as message set
        state = 'sent', reason = null, sent_at = decided.happened_at, finished_at = cast(:now as timestamptz),
        lease_until = null, queued_until = null, not_before = null
    from decided
    where message.id = decided.id
),
-- include: sent_events
select decided.id from decided

-- name: apply_events
-- What new events change: columns of messages, activities, suppressions, devices, and the status of contacts. Every
-- value is the earliest or the gravest of all events so far, so their order does not matter.
with given as materialized (
-- include: given_events
),
timed as materialized (
    select
        given.*, message.address as sent_to, message.device_id,
        message.id is not null as has_message,
        greatest(least(given.occurred_at, given.received_at), coalesce(message.sent_at, message.called_at)) as at
    from given
    left join delivery.messages as message on message.id = given.message_id
),
earliest as materialized (
    select
        message_id,
        min(at) filter (where kind = 'delivered') as delivered_at,
        min(at) filter (where kind in ('bounced', 'gone')) as bounced_at,
        min(at) filter (where kind = 'complained') as complained_at,
        min(at) filter (where kind = 'unsubscribed') as unsubscribed_at,
        min(at) filter (where kind = 'opened') as opened_at,
        min(at) filter (where kind = 'clicked') as clicked_at,
        min(at) filter (where kind = 'failed') as failed_at,
        bool_or(kind = 'gone' or (kind = 'bounced' and is_hard)) as is_hard
    from timed
    where has_message and kind <> 'accepted'
    group by message_id
),
changed as (
    update delivery.messages as message set
        delivered_at = least(message.delivered_at, earliest.delivered_at),
        bounced_at = least(message.bounced_at, earliest.bounced_at),
        bounce_kind = case
            when message.bounce_kind = 'hard' or earliest.is_hard then 'hard'
            when earliest.bounced_at is not null then 'soft'
            else message.bounce_kind
        end,
        complained_at = least(message.complained_at, earliest.complained_at),
        unsubscribed_at = least(message.unsubscribed_at, earliest.unsubscribed_at),
        opened_at = least(message.opened_at, earliest.opened_at),
        clicked_at = least(message.clicked_at, earliest.clicked_at),
        failed_at = least(message.failed_at, earliest.failed_at)
    from earliest
    where message.id = earliest.message_id
    returning message.*
),
once as (
    -- Activities that a message has once, with the time of its column.
    select changed.id as message_id, reported.kind, reported.at,
        case reported.kind when 'bounced' then changed.bounce_kind end as bounce_kind,
        'msg:' || changed.id || ':' || reported.kind as event_id
    from changed
    join earliest on earliest.message_id = changed.id
    cross join lateral (
        values
        ('delivered', changed.delivered_at, earliest.delivered_at), ('bounced', changed.bounced_at, earliest.bounced_at),
        ('complained', changed.complained_at, earliest.complained_at),
        ('unsubscribed', changed.unsubscribed_at, earliest.unsubscribed_at)
    ) as reported (kind, at, new_at)
    where reported.new_at is not null
),
listed as (
    select message_id, kind, at, bounce_kind, event_id, null as url, null as machine from once
    union all
    select message_id, kind, at, null, event_id, url, case when is_machine then true end
    from timed
    where has_message and kind in ('opened', 'clicked')
),
activities as (
    insert into analytics.contact_activity as known (
        organization_id, contact_id, event_type, event_source, event_data, occurred_at, created_at, event_id
    )
    select
        changed.organization_id, changed.contact_id, changed.channel || '_' || listed.kind,
        coalesce(cast(changed.campaign_id as text), 'journey:' || changed.journey_id),
        jsonb_strip_nulls(
            jsonb_build_object(
                'messageId', changed.id, 'campaignId', changed.campaign_id, 'journeyId', changed.journey_id,
                'journeyExecutionId', changed.journey_execution_id, 'stepId', changed.step_id, 'url', listed.url,
                'bounceKind', listed.bounce_kind, 'machine', listed.machine
            )
        ),
        listed.at, cast(:now as timestamptz), listed.event_id
    from listed
    join changed on changed.id = listed.message_id
    where changed.contact_id is not null
    union all
    select
        organization_id, contact_id, channel || '_unsubscribed', null,
        jsonb_build_object('messageId', message_id), at, cast(:now as timestamptz), event_id
    from timed
    where not has_message and contact_id is not null
    order by 1, 8
    on conflict (organization_id, event_id) where event_id is not null do update
    set occurred_at = least(known.occurred_at, excluded.occurred_at), event_data = excluded.event_data
    where (known.occurred_at, known.event_data) is distinct from (excluded.occurred_at, excluded.event_data)
        and known.event_id like 'msg:%'
),
of_contact as materialized (
    select timed.*, contact.status, contact.email,
        -- An emptied address is the contact's current one, unless the address itself is what is wrong.
        coalesce(
            timed.address, timed.sent_to,
            case
                when timed.suppression not in ('complaint', 'unsubscribe') then null
                when timed.channel = 'email' then contact.email
                when timed.channel = 'sms' then contact.phone
            end
        ) as stopped_address
    from timed
    left join crm.contacts as contact
        on contact.id = timed.contact_id and contact.organization_id = timed.organization_id
),
stopped as materialized (
    select distinct on (organization_id, channel, address, scope) *
    from (
        select
            organization_id, channel, delivery.suppressed_address(channel, stopped_address) as address, suppression,
            case
                when channel = 'sms' or suppression <> 'unsubscribe' then 'all' else 'marketing'
            end as scope,
            case when has_message then message_id end as message_id,
            case when kind = 'unsubscribed' and event_id like 'msg:%' then 'recipient' else 'provider' end as source
        from of_contact
        where suppression is not null and stopped_address is not null
    ) as wanted
    order by organization_id, channel, address, scope, delivery.gravity(suppression) desc, message_id
),
suppressed as materialized (
    select
        delivery.suppress(
            organization_id => organization_id, address => address, channel => channel, reason => suppression,
            scope => scope, source => source, message_id => message_id
        ) as id
    from stopped
),
gone as (
    update delivery.device_tokens as token set status = 'gone', gone_at = cast(:now as timestamptz)
    from timed
    where timed.kind = 'gone' and token.organization_id = timed.organization_id and token.id = timed.device_id
        and token.status = 'active'
),
ended as materialized (
    select
        contact_id,
        case
            when bool_or(
                kind = 'bounced' and is_hard
                and delivery.suppressed_address('email', email) = delivery.suppressed_address('email', sent_to)
            ) then 'bounced'
            when bool_or(kind = 'unsubscribed') then 'unsubscribed'
        end as status
    from of_contact
    where channel = 'email' and status = 'active' and kind in ('bounced', 'unsubscribed')
    group by contact_id
),
locked as materialized (
    select contact.id, ended.status
    from ended
    join crm.contacts as contact on contact.id = ended.contact_id
    where ended.status is not null
    order by contact.id
    for no key update of contact
),
of_contacts as (
    update crm.contacts as contact set status = locked.status
    from locked
    where contact.id = locked.id and contact.status = 'active'
)
select count(id) as suppressed from suppressed
