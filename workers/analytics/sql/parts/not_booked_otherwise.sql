    -- A fresh cell that is not among the examined ones to book.
    (work.organization_id, work.event_type) not in (
        select organization_id, event_type from analytics.hourly_work
        where kind = 'book' and hour = :start and booked_in = :start
    )
