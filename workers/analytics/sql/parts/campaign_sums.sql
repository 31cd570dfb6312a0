    -- Made by `make catalogue` from workers/analytics/domain/campaign_figures.py.
    sum(figures[1]) as sent,
    sum(figures[2]) as delivered,
    sum(figures[3]) as opened,
    sum(figures[4]) as unique_opened,
    sum(figures[5]) as clicked,
    sum(figures[6]) as unique_clicked,
    sum(figures[7]) as bounced,
    sum(figures[8]) as complained,
    sum(figures[9]) as unsubscribed,
    sum(figures[10]) as total
