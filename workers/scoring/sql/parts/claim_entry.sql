-- A run may write a score if it holds the contact's entry at the version that was read, and its score's row is
-- unchanged. Scores that another transaction has locked or changed are left to the next run, so this waits for nothing.
-- `to_write`: a row that would not change is not written, unless its t is older than the ledger.
entered as materialized (
    select scored.*, held.entry
    from scored
    cross join lateral (
        select entry.ctid as entry from scoring.recompute_backlog as entry
        where entry.organization_id = scored.organization_id and entry.contact_id = scored.contact_id
            and entry.version = scored.version
        for update skip locked
    ) as held
),

claimed as materialized (
    select entered.*, moved or restated or t > :settled_until as to_write
    from entered
    where known_total is null
    union all
    select entered.*, moved or restated or t > :settled_until as to_write
    from entered
    cross join lateral (
        select from scoring.lead_scores as known
        where entered.known_total is not null
            and known.organization_id = entered.organization_id and known.contact_id = entered.contact_id
            and known.xmin = entered.known_xmin -- still the row that was read
        for update skip locked
    ) as held
)
