-- name: text_in
{x} = any(cast(:value as text[]))

-- name: email_in
{x} = any(array(select lower(own) from unnest(cast(:value as text[])) as own))

-- name: number_in
{x} = any(array(select cast(own as numeric) from unnest(cast(:value as text[])) as own))

-- name: boolean_in
{x} = any(cast(:value as boolean[]))

-- name: time_in
{x} = any(array(
    select crm.moment_of(to_jsonb(own), cast(:zone as text)) from unnest(cast(:value as text[])) as own
))

-- name: texts_in
{x} && cast(:value as text[])

-- name: ids_in
{x} && cast(:value as uuid[])

-- name: text_contains
position(lower((select (cast(:value as text[]))[1])) in lower({x})) > 0

-- name: text_starts_with
starts_with(lower({x}), lower((select (cast(:value as text[]))[1])))

-- name: text_ends_with
right(lower({x}), length(lower((select (cast(:value as text[]))[1])))) = lower((select (cast(:value as text[]))[1]))

-- name: number_gt
{x} > (select cast((cast(:value as text[]))[1] as numeric))

-- name: number_gte
{x} >= (select cast((cast(:value as text[]))[1] as numeric))

-- name: number_lt
{x} < (select cast((cast(:value as text[]))[1] as numeric))

-- name: number_lte
{x} <= (select cast((cast(:value as text[]))[1] as numeric))

-- name: time_gt
{x} > (select crm.moment_of(to_jsonb((cast(:value as text[]))[1]), cast(:zone as text)))

-- name: time_gte
{x} >= (select crm.moment_of(to_jsonb((cast(:value as text[]))[1]), cast(:zone as text)))

-- name: time_lt
{x} < (select crm.moment_of(to_jsonb((cast(:value as text[]))[1]), cast(:zone as text)))

-- name: time_lte
{x} <= (select crm.moment_of(to_jsonb((cast(:value as text[]))[1]), cast(:zone as text)))

-- name: time_older_than
{x} <= cast(:t as timestamptz) - make_interval(secs => :span_s)

-- name: time_within_last
{x} > cast(:t as timestamptz) - make_interval(secs => :span_s) and {x} <= cast(:t as timestamptz)

-- name: time_within_next
{x} > cast(:t as timestamptz) and {x} <= cast(:t as timestamptz) + make_interval(secs => :span_s)

-- name: time_anniversary
crm.anniversary_in(
    cast({x} at time zone cast(:zone as text) as date),
    cast(extract(year from cast(:t as timestamptz) at time zone cast(:zone as text)) as integer)
) = cast(cast(:t as timestamptz) at time zone cast(:zone as text) as date)

-- name: is_set
{x} is not null

-- name: list_is_set
{x} <> '{}'

-- name: events_least
(
    select count(*)
    from (
        select event.id from analytics.contact_activity as event
        where event.organization_id = contact.organization_id and event.contact_id = contact.id
            and event.event_type = cast(:key as text)
            and (cast(:source as text) is null or event.event_source = cast(:source as text))
            and event.occurred_at <= cast(:t as timestamptz)
            and (
                cast(:span_s as double precision) = 0
                or event.occurred_at > cast(:t as timestamptz) - make_interval(secs => :span_s)
            )
        limit cast(:least as bigint)
    ) as found
) >= cast(:least as bigint)

-- name: events_in
cast({x} as numeric) = any(array(select cast(own as numeric) from unnest(cast(:value as text[])) as own))
