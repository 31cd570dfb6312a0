    -- Made by `make catalogue` from workers/analytics/domain/campaign_figures.py.
    0 as sent,
    0 as delivered,
    0 as opened,
    0 as unique_opened,
    0 as clicked,
    0 as unique_clicked,
    0 as bounced,
    0 as complained,
    0 as unsubscribed
