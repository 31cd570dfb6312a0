-- A row that a tick may send again: its lease or interval has ended, or its message is gone.
(
    run.lease_until <= :now
    and (run.status in ('queued', 'running', 'failed', 'waiting') or (run.status = 'dead' and run.retryable))
    or run.status = 'queued' and run.queued_at <= :settled and run.queued_at < cast(:gone_before as timestamptz)
)
