-- name: scoring_time
-- The time that a window's run scores at: its window's end, or that of a later window whose run
-- has begun. A window that is run late must not take scores back to its own time.
select greatest(cast(:t as timestamptz), max(window_end)) as t
from ops.job_runs
where job_type in ('scoring.BatchRecompute', 'scoring.SignalDecay')
    and shard = '' and status in ('running', 'sharded', 'succeeded')
    and window_end > cast(:t as timestamptz)

-- name: recompute_backlog
-- Score the contacts of a part of the backlog, at most :rows of them. `reason` restricts it to
-- entries of that reason. The series tells the planner how many there are: of a table that fills
-- and empties every hour its statistics know nothing, and a plan for one row takes hours for many.
with target as materialized (
    select number, entry.organization_id, entry.contact_id, entry.version, cast(:t as timestamptz) as t,
        null::integer as as_fit, null::integer as as_engagement, null::integer as as_intent
    from generate_series(1, cast(:rows as integer)) as place (number)
    left join (
        select organization_id, contact_id, version,
            row_number() over (order by organization_id, contact_id) as number
        from scoring.recompute_backlog
        where
-- include: within_part
            and (cast(:reason as text) is null or reason = :reason)
    ) as entry using (number)
),

-- include: score
,

-- include: write

-- name: have_patience
-- How long to wait for a lock, until the end of the transaction.
select set_config('lock_timeout', :patience, true)

-- name: request_due
-- Of the :rows contacts of a part whom SignalDecay has to look at, ask for those whose score has
-- changed by t through the passing of time alone. The others get a new moment at which to look again,
-- except where somebody else writes their score, or has written it since: that sets the moment too.
with target as materialized (
    select number, known.organization_id, known.contact_id, 0 as version, cast(:t as timestamptz) as t,
        null::integer as as_fit, null::integer as as_engagement, null::integer as as_intent
    from generate_series(1, cast(:rows as integer)) as place (number)
    left join (
        select organization_id, contact_id, row_number() over (order by organization_id, contact_id) as number
        from scoring.lead_scores
        where
-- include: is_due
            and
-- include: within_part
    ) as known using (number)
),

-- include: score
,

postponed as (
    update scoring.lead_scores as known set recheck_at = unmoved.recheck_at
    from (
        select scored.organization_id, scored.contact_id, scored.recheck_at
        from scored
        cross join lateral (
            select from scoring.lead_scores as known
            where known.organization_id = scored.organization_id and known.contact_id = scored.contact_id
                and known.xmin = scored.known_xmin -- still the row that was read
            for update skip locked
        ) as held
        where not moved and scored.recheck_at > scored.known_recheck_at
    ) as unmoved
    where known.organization_id = unmoved.organization_id and known.contact_id = unmoved.contact_id
)

insert into scoring.recompute_backlog (organization_id, contact_id, reason)
select organization_id, contact_id, 'decay'
from scored
where moved
order by organization_id, contact_id
on conflict (organization_id, contact_id) do update set version = excluded.version, reason = excluded.reason

-- name: request_contacts
-- Ask for these contacts, as far as there are such, and hold their entries: each one's place in the list,
-- and its version. Two values are read faster than a hundred rows, and put in one order they need no
-- join. :patience is set before the first contact is looked for.
with asked as (
    select place, contact.organization_id, contact.id as contact_id
    from unnest(cast(:organization_ids as uuid[]), cast(:contact_ids as uuid[]))
        with ordinality as asked (organization_id, contact_id, place)
    join crm.contacts as contact on contact.id = asked.contact_id and contact.organization_id = asked.organization_id
    where (select set_config('lock_timeout', :patience, true)) is not null
),
held as (
    insert into scoring.recompute_backlog as entry (organization_id, contact_id, reason)
    select organization_id, contact_id, 'message'
    from asked
    order by organization_id, contact_id
    on conflict (organization_id, contact_id) do update set version = excluded.version
    returning organization_id, contact_id, version
)
select (select jsonb_agg(place order by organization_id, contact_id) from asked) as places,
    (select jsonb_agg(version order by organization_id, contact_id) from held) as versions

-- name: score_contacts
-- Score these contacts, whose entries are held at these versions.
with target as materialized (
    select number, organization_id, contact_id, version, cast(:t as timestamptz) as t, as_fit, as_engagement,
        as_intent
    from unnest(
        cast(:organization_ids as uuid[]), cast(:contact_ids as uuid[]), cast(:versions as bigint[]),
        cast(:as_fit as integer[]), cast(:as_engagement as integer[]), cast(:as_intent as integer[])
    ) with ordinality as asked (organization_id, contact_id, version, as_fit, as_engagement, as_intent, number)
),

-- include: score
,

-- include: write

-- name: backlog_rows
-- How many entries a part of the backlog has.
select count(*) as count
from scoring.recompute_backlog
where
-- include: within_part

-- name: due_rows
-- How many contacts of a part SignalDecay has to look at.
select count(*) as count
from scoring.lead_scores
where
-- include: is_due
    and
-- include: within_part

-- name: count_backlog
-- How many entries each organisation has.
select organization_id, count(*) as count
from scoring.recompute_backlog
group by organization_id
order by organization_id

-- name: count_due
-- How many contacts of each organisation SignalDecay has to look at.
select organization_id, count(*) as count
from scoring.lead_scores
where
-- include: is_due
group by organization_id
order by organization_id

-- name: cut_backlog
-- Where to cut one organisation's entries into parts of :rows_max: the first contact of each part.
select contact_id
from (
    select contact_id, row_number() over (order by contact_id) as place
    from scoring.recompute_backlog
    where organization_id = :organization_id
) as entry
where place % :rows_max = 1
order by contact_id

-- name: cut_due
-- The same for the contacts that SignalDecay has to look at.
select contact_id
from (
    select contact_id, row_number() over (order by contact_id) as place
    from scoring.lead_scores
    where organization_id = :organization_id and
-- include: is_due
) as entry
where place % :rows_max = 1
order by contact_id
