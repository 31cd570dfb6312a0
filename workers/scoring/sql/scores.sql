-- name: scoring_time
-- The time for which a window's run scores: its window's end, or that of a later window whose run has begun. A late run
-- must not set scores back to its own time.
select greatest(cast(:t as timestamptz), max(window_end)) as t
from ops.job_runs
where job_type in ('scoring.BatchRecompute', 'scoring.SignalDecay')
    and shard = '' and status in ('running', 'sharded', 'succeeded')
    and window_end > cast(:t as timestamptz)

-- name: recompute_backlog
-- Score the contacts of a part of the backlog, at most :rows of them. The series gives the planner their number: the
-- statistics of a table that fills and empties every hour are useless, and a plan for one row takes hours for many.
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
    ) as entry using (number)
),

-- include: score
,

-- include: claim_entry
,

-- include: write
,

-- include: clear_entries

select (select count(*) from claimed) as rows_read, (select count(*) from changed) as rows_written

-- name: recompute_due
-- Score :rows contacts of a part that are due for SignalDecay. If time has changed nothing, only the time of the next
-- recompute is set. A row that another transaction has locked or changed stays due and is left to the next run, so this
-- waits for nothing.
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

claimed as materialized (
    select scored.*, moved as to_write
    from scored
    cross join lateral (
        select from scoring.lead_scores as known
        where known.organization_id = scored.organization_id and known.contact_id = scored.contact_id
            and known.xmin = scored.known_xmin -- still the row that was read
        for update skip locked
    ) as held
    where moved or not scored.exists or scored.recheck_at > scored.known_recheck_at
),

postponed as (
    update scoring.lead_scores as known set recheck_at = claimed.recheck_at
    from claimed
    where not claimed.moved and claimed.exists
        and known.organization_id = claimed.organization_id and known.contact_id = claimed.contact_id
),

-- include: write

select (select count(*) from claimed) as rows_read, (select count(*) from changed) as rows_written

-- name: request_contacts
-- Enter these contacts into the backlog, if they exist, and lock their entries. Returns the positions in the list of
-- those that exist, and positions and versions of those that are locked. A few values are read faster than a hundred
-- rows. :patience is set before the first contact is read.
with asked as materialized (
    select place, contact.organization_id, contact.id as contact_id
    from unnest(cast(:organization_ids as uuid[]), cast(:contact_ids as uuid[]))
        with ordinality as asked (organization_id, contact_id, place)
    join crm.contacts as contact on contact.id = asked.contact_id and contact.organization_id = asked.organization_id
    where (select set_config('lock_timeout', :patience, true)) is not null
),

subject as materialized (
    select organization_id, contact_id, 'message' as reason, now() as at from asked
),

-- include: enter_backlog
,

entry as (
    select place, version
    from asked
    join (select * from renewed union all select * from added) as entry using (organization_id, contact_id)
)

select (select jsonb_agg(place) from asked) as known,
    (select jsonb_agg(place order by place) from entry) as places,
    (select jsonb_agg(version order by place) from entry) as versions

-- name: score_contacts
-- Score these contacts, whose entries are locked at these versions. Returns the positions in the list of those whose
-- scores another transaction has locked.
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

-- include: claim_entry
,

-- include: write
,

-- include: clear_entries

select (select count(*) from claimed) as rows_read, (select count(*) from changed) as rows_written,
    (
        select jsonb_agg(number)
        from (select number from target except select number from claimed) as busy
    ) as busy

-- name: backlog_rows
-- The number of entries in a part of the backlog.
select count(*) as count
from scoring.recompute_backlog
where
-- include: within_part

-- name: due_rows
-- The number of contacts of a part that are due for SignalDecay.
select count(*) as count
from scoring.lead_scores
where
-- include: is_due
    and
-- include: within_part

-- name: count_backlog
-- The number of entries of each organization.
select organization_id, count(*) as count
from scoring.recompute_backlog
group by organization_id
order by organization_id

-- name: count_due
-- The number of contacts of each organization that are due for SignalDecay.
select organization_id, count(*) as count
from scoring.lead_scores
where
-- include: is_due
group by organization_id
order by organization_id

-- name: cut_backlog
-- The split points of one organization's entries, with :rows_max per part: the first contact of each part.
select contact_id
from (
    select contact_id, row_number() over (order by contact_id) as place
    from scoring.recompute_backlog
    where organization_id = :organization_id
) as entry
where place % :rows_max = 1
order by contact_id

-- name: cut_due
-- The same for the contacts that are due for SignalDecay.
select contact_id
from (
    select contact_id, row_number() over (order by contact_id) as place
    from scoring.lead_scores
    where organization_id = :organization_id and
-- include: is_due
) as entry
where place % :rows_max = 1
order by contact_id
