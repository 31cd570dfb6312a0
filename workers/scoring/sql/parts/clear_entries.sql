-- The entries are found where they were locked. An entry stays, with a new version, if a message replaced a category:
-- the contact's own points are due again.
cleared as (
    delete from scoring.recompute_backlog
    where ctid = any(array(select entry from claimed where not (replaced and claimed.exists)))
),

kept as (
    update scoring.recompute_backlog set version = nextval('scoring.backlog_version'), reason = 'message'
    where ctid = any(array(select entry from claimed where replaced and claimed.exists))
)
