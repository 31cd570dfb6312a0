-- name: expire_alerts
-- Expire the open alerts that are due, the earliest deadlines first, at most :alerts_max at a time.
update scoring.signal_alerts as alert set status = 'expired', expired_at = alert.deadline
from (
    select id
    from scoring.signal_alerts
    where status = 'open' and deadline <= :t
    order by deadline
    limit :alerts_max
    for update skip locked
) as due
where alert.id = due.id
