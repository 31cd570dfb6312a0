-- name: prepare
-- The tables of the generator. Every value is a hash of its number and a salt with the seed, so the same seed gives the
-- same events with any plan, order and number of writers.
create schema bench;

create function bench.draw(number bigint, salt bigint) returns double precision
language sql immutable parallel safe
return (hashint8extended(number, salt) & 9007199254740991) / double precision '9007199254740992';

create function bench.identity(number bigint, salt bigint) returns uuid
language sql immutable parallel safe
return encode(int8send(hashint8extended(number, salt)) || int8send(hashint8extended(number, salt + 1)), 'hex')::uuid;

-- Ten thousand slots, assigned to the organizations by Zipf's law: the largest has a sixth.
create unlogged table bench.slots (slot integer, organization integer, organization_id uuid, contacts integer);

-- The events of a session: each step applies to the sessions whose random number is in its range, so a session with a
-- click has an open, and a session with a bounce has no delivery.
create unlogged table bench.steps (
    step integer, event_type text, from_luck double precision, until_luck double precision,
    delay_s double precision, spread_s double precision
);

-- A hundred slots, assigned to the hours of the day: few at night, most before noon.
create unlogged table bench.hours (slot integer, hour integer);

-- name: fill_slots
insert into bench.slots (slot, organization, organization_id, contacts)
with shares as (
    select number, 1.0 / number as weight from generate_series(1, cast(:organizations as integer)) as number
),
spans as (
    select number, weight / sum(weight) over () as share, sum(weight) over (order by number) / sum(weight) over () as until
    from shares
)
select slot, number, bench.identity(number, :salt), greatest(20, round(share * :contacts))
from generate_series(0, 9999) as slot
cross join lateral (
    select number, share from spans where until > (slot + 0.5) / 10000 order by until limit 1
) as organization

-- name: enlarge
-- The first organization has this share of all sessions and contacts.
update bench.slots set organization = first.organization, organization_id = first.organization_id,
    contacts = round(:share * :contacts)
from (select organization, organization_id from bench.slots where slot = 0) as first
where slot < :share * 10000

-- name: fill_steps
insert into bench.steps values
(0, 'email_sent', 0, 1, 0, 0),
(1, 'email_delivered', 0, 0.98, 1, 20),
(2, 'email_opened', 0, 0.40, 30, 5400),
(3, 'email_clicked', 0, 0.08, 60, 5400),
(4, 'page_visited', 0, 0.07, 70, 5400),
(5, 'page_visited', 0, 0.03, 90, 5400),
(6, 'email_bounced', 0.98, 1, 1, 60),
(7, 'email_unsubscribed', 0.395, 0.40, 60, 5400)

-- name: fill_hours
insert into bench.hours (slot, hour)
select row_number() over () - 1, hour
from unnest(array[1, 1, 1, 1, 1, 2, 3, 5, 7, 8, 8, 7, 6, 6, 6, 6, 6, 5, 5, 4, 4, 3, 2, 2])
    with ordinality as load (slots, ordinal)
cross join lateral (select (ordinal - 1)::integer as hour from generate_series(1, slots)) as filled

-- name: add_events
-- The first :count events of the sessions [:first, :until), within [:start, :start + :span_s). An event after the span
-- starts again at its beginning. Days have their curve, an hour is even.
insert into analytics.contact_activity (
    id, organization_id, contact_id, event_type, event_source, occurred_at, created_at
)
select bench.identity(number * 8 + step.step, :salt),
    session.organization_id, session.contact_id, step.event_type,
    case when step.event_type = 'page_visited' then 'website' else session.campaign_id::text end,
    moment.occurred_at,
    moment.occurred_at + bench.draw(number * 8 + step.step, :salt + 1) * interval '0.9 second'
from (
    select number, slot.organization_id, begun_s,
        bench.identity(
            slot.organization * bigint '10000000' + floor(bench.draw(number, :salt + 2) * slot.contacts)::bigint,
            :world
        ) as contact_id,
        bench.identity(
            slot.organization * bigint '10000' + floor(begun_s / 86400)::bigint * 2
                + floor(bench.draw(number, :salt + 3) * 2)::bigint,
            :world + 1
        ) as campaign_id,
        bench.draw(number, :salt + 4) as luck
    from generate_series(cast(:first as bigint), cast(:until as bigint) - 1) as number
    join bench.slots as slot on slot.slot = floor(bench.draw(number, :salt + 5) * 10000)::integer
    join bench.hours as hours on hours.slot = floor(bench.draw(number, :salt + 6) * 100)::integer
    cross join lateral (
        select case when :span_s < 86400 then bench.draw(number, :salt + 7) * :span_s
            else floor(bench.draw(number, :salt + 7) * :span_s / 86400) * 86400
                + (hours.hour + bench.draw(number, :salt + 8)) * 3600 end as begun_s
    ) as clock
) as session
join bench.steps as step on luck >= step.from_luck and luck < step.until_luck
cross join lateral (
    select begun_s + step.delay_s
        + step.spread_s * power(bench.draw(number * 8 + step.step, :salt + 9), 3) as answered_s
) as answer
cross join lateral (
    select cast(:start as timestamptz)
        + (answered_s - floor(answered_s / :span_s) * :span_s) * interval '1 second' as occurred_at
) as moment
order by moment.occurred_at -- in the order of their arrival
limit :count

-- name: note_hour
-- The ledger row of a finished hour.
insert into ops.job_runs (job_type, window_start, window_end, status, trigger, scheduled_for)
values (:job_type, :start, :end, 'succeeded', 'cron', :end)
on conflict (job_type, window_start, window_end, shard) do nothing
