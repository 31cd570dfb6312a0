-- The events and the distinct contacts of each organization and type in [:start, :end).
contacts as materialized (
    select organization_id, event_type, cast(sum(count) as bigint) as count, count(*) as unique_count
    from (
        select organization_id, event_type, contact_id, count(*) as count
        from analytics.contact_activity
        where occurred_at >= :start and occurred_at < :end and
-- include: within_contacts
        group by organization_id, event_type, contact_id
    ) as contact
    where event_type not like 'monthly:%'
    group by organization_id, event_type
)
