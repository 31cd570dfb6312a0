    -- A fresh cell that is not among those that a look has found.
    (work.organization_id, work.event_type) not in (
        select organization_id, event_type from analytics.hourly_work
        where kind = 'book' and hour = :start and booked_in = :start
    )
