    -- Made by `make catalogue` from workers/analytics/domain/campaign_figures.py.
    'email_opened',
    'email_clicked'
