-- name: spent_counters
-- The counters to delete: those without a domain, and those of verified domains that belong to one of the domain's
-- first days.
select counter.key
from unnest(
    cast(:keys as text[]), cast(:organizations as uuid[]), cast(:domains as text[]), cast(:days as date[])
) as counter (key, organization_id, domain, day)
left join delivery.sending_domains as known
    on known.organization_id = counter.organization_id and known.domain = lower(counter.domain)
where known.id is null
    or (known.status = 'verified'
        and counter.day < (known.created_at at time zone 'UTC')::date + cast(:warmup_days as integer))
