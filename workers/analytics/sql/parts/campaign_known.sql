    -- Made by `make catalogue` from workers/analytics/domain/campaign_figures.py.
    known.sent,
    known.delivered,
    known.opened,
    known.unique_opened,
    known.clicked,
    known.unique_clicked,
    known.bounced,
    known.complained,
    known.unsubscribed
