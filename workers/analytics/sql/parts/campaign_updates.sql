    -- Made by `make catalogue` from workers/analytics/domain/campaign_figures.py.
    sent = excluded.sent,
    delivered = excluded.delivered,
    opened = excluded.opened,
    unique_opened = excluded.unique_opened,
    clicked = excluded.clicked,
    unique_clicked = excluded.unique_clicked,
    bounced = excluded.bounced,
    complained = excluded.complained,
    unsubscribed = excluded.unsubscribed
