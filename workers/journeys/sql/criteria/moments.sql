-- name: older_than
case when {x} + make_interval(secs => :span_s) > cast(:t as timestamptz) then {x} + make_interval(secs => :span_s) end

-- name: within_last
case
    when {x} > cast(:t as timestamptz) then {x}
    when {x} + make_interval(secs => :span_s) > cast(:t as timestamptz) then {x} + make_interval(secs => :span_s)
end

-- name: within_next
case
    when {x} - make_interval(secs => :span_s) > cast(:t as timestamptz) then {x} - make_interval(secs => :span_s)
    when {x} > cast(:t as timestamptz) then {x}
end

-- name: anniversary
crm.day_start(
    crm.next_anniversary(
        cast({x} at time zone cast(:zone as text) as date),
        cast(cast(:t as timestamptz) at time zone cast(:zone as text) as date)
    ),
    cast(:zone as text)
)

-- name: next_activity
(
    select min(event.occurred_at) from analytics.contact_activity as event
    where event.organization_id = contact.organization_id and event.contact_id = contact.id
        and event.occurred_at > cast(:t as timestamptz) and crm.is_own_event(event.event_type)
)

-- name: next_event
(
    select min(event.occurred_at) from analytics.contact_activity as event
    where event.organization_id = contact.organization_id and event.contact_id = contact.id
        and event.event_type = cast(:key as text)
        and (cast(:source as text) is null or event.event_source = cast(:source as text))
        and event.occurred_at > cast(:t as timestamptz)
)

-- name: oldest_event_leaves
(
    select min(event.occurred_at) + make_interval(secs => :span_s) from analytics.contact_activity as event
    where event.organization_id = contact.organization_id and event.contact_id = contact.id
        and event.event_type = cast(:key as text)
        and (cast(:source as text) is null or event.event_source = cast(:source as text))
        and event.occurred_at <= cast(:t as timestamptz)
        and event.occurred_at > cast(:t as timestamptz) - make_interval(secs => :span_s)
)

-- name: deciding_event_leaves
-- With the newest events that are needed for the count, it stays; the oldest of these decides.
(
    select event.occurred_at + make_interval(secs => :span_s) from analytics.contact_activity as event
    where event.organization_id = contact.organization_id and event.contact_id = contact.id
        and event.event_type = cast(:key as text)
        and (cast(:source as text) is null or event.event_source = cast(:source as text))
        and event.occurred_at <= cast(:t as timestamptz)
        and event.occurred_at > cast(:t as timestamptz) - make_interval(secs => :span_s)
    order by event.occurred_at desc
    offset cast(:least as bigint) - 1
    limit 1
)
