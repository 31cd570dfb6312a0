-- The rollups of the days in [:start, :end) that differ from their source, counted again from every event. A rollup of
-- 0 equals a missing one.
counted as (
    select organization_id, (occurred_at at time zone 'UTC')::date as date, event_type,
        count(*) as count, count(distinct contact_id) as unique_count
    from analytics.contact_activity
    where occurred_at >= :start and occurred_at < :end and event_type not like 'monthly:%'
    group by 1, 2, 3
),
booked as (
    select organization_id, date, event_type, count, unique_count
    from analytics.event_aggregates
    where date >= (cast(:start as timestamptz) at time zone 'UTC')::date
        and date < (cast(:end as timestamptz) at time zone 'UTC')::date
        and event_type not like 'monthly:%' and count > 0
),
differing as (
    select organization_id, date, event_type, booked.count as booked, counted.count as counted,
        booked.unique_count as booked_unique, counted.unique_count as counted_unique
    from counted
    full join booked using (organization_id, date, event_type)
    where (counted.count, counted.unique_count) is distinct from (booked.count, booked.unique_count)
)
