    -- Made by `make catalogue` from workers/analytics/domain/campaign_figures.py.
    sent,
    delivered,
    opened,
    unique_opened,
    clicked,
    unique_clicked,
    bounced,
    complained,
    unsubscribed
