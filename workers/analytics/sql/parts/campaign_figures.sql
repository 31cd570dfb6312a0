    -- Made by `make catalogue` from workers/analytics/domain/campaign_figures.py.
    coalesce(sum(count) filter (where event_type = 'email_sent'), 0) as sent,
    coalesce(sum(count) filter (where event_type = 'email_delivered'), 0) as delivered,
    coalesce(sum(count) filter (where event_type = 'email_opened'), 0) as opened,
    count(contact_id) filter (where event_type = 'email_opened') as unique_opened,
    coalesce(sum(count) filter (where event_type = 'email_clicked'), 0) as clicked,
    count(contact_id) filter (where event_type = 'email_clicked') as unique_clicked,
    coalesce(sum(count) filter (where event_type = 'email_bounced'), 0) as bounced,
    coalesce(sum(count) filter (where event_type = 'email_complained'), 0) as complained,
    coalesce(sum(count) filter (where event_type = 'email_unsubscribed'), 0) as unsubscribed
