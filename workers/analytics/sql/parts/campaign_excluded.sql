    -- Made by `make catalogue` from workers/analytics/domain/campaign_figures.py.
    excluded.sent,
    excluded.delivered,
    excluded.opened,
    excluded.unique_opened,
    excluded.clicked,
    excluded.unique_clicked,
    excluded.bounced,
    excluded.complained,
    excluded.unsubscribed
