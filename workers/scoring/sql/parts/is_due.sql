recheck_at <= :t and recheck_at < 'infinity'
