-- name: matching_events
-- The waiting events of a period whose message is known by now.
select waiting.provider_config_id, waiting.event_id, waiting.body
from delivery.unmatched_events as waiting
cross join lateral jsonb_to_record(waiting.body) as given (
    organization_id uuid, config_id uuid, message_id uuid, provider_message_id text
)
left join delivery.messages as own
    on own.id = given.message_id and own.attempts > 0
        and (given.organization_id is null or own.organization_id = given.organization_id)
-- include: by_provider_id
where waiting.received_at > :since and waiting.received_at <= :until and coalesce(own.id, named.id) is not null
order by waiting.received_at
limit :rows_max

-- name: forget_unmatched
delete from delivery.unmatched_events as gone
using unnest(cast(:config_ids as uuid[]), cast(:event_ids as text[])) as asked (config_id, event_id)
where gone.provider_config_id is not distinct from asked.config_id and gone.event_id = asked.event_id

-- name: expire_unmatched
-- What no message was found for in seven days.
delete from delivery.unmatched_events as gone
where gone.ctid = any(array(
    select ctid from delivery.unmatched_events
    where received_at <= :before
    order by received_at
    limit :rows_max
    for update skip locked
))
