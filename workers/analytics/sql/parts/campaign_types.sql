    -- Made by `make catalogue` from workers/analytics/domain/campaign_figures.py.
    'email_sent',
    'email_delivered',
    'email_opened',
    'email_clicked',
    'email_bounced',
    'email_complained',
    'email_unsubscribed'
