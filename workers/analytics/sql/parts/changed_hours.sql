-- The hours, up to that of the run, in which updates have changed events: at most :most_changed rows of each
-- organization. Rows that another run has locked are left to it.
changed_hours as (
    delete from analytics.changed_hours
    where ctid = any(array(
            select change.place
            from (
                with recursive known (id) as ( -- one step through the index per organization
                    (select organization_id from analytics.changed_hours order by organization_id limit 1)
                    union all
                    select (
                        select organization_id from analytics.changed_hours
                        where organization_id > known.id
                        order by organization_id
                        limit 1
                    )
                    from known
                    where known.id is not null
                )
                select id from known where id is not null
            ) as organization
            cross join lateral (
                select ctid as place
                from analytics.changed_hours
                where organization_id = organization.id and hour < :until and
-- include: cell_within_days
                    and
-- include: within_shard
                order by changed_hours.id
                limit cast(:most_changed as bigint)
                for update skip locked
            ) as change
        ))
    returning organization_id, event_type, hour
)
