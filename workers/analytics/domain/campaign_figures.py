"""The figures of a campaign's day, each with the event type that it counts.

`make catalogue` generates the lists in the SQL of generate-daily-reports from this declaration. A
new figure needs one entry at the end, and a migration that adds its column (`not null default 0`)
to `analytics.campaign_daily_stats`. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A column of `analytics.campaign_daily_stats`. With `unique` it counts contacts instead of
    events.
    """

    column: str
    event_type: str
    unique: bool = False


FIGURES = (
    Figure("sent", "email_sent"),
    Figure("delivered", "email_delivered"),
    Figure("opened", "email_opened"),
    Figure("unique_opened", "email_opened", unique=True),
    Figure("clicked", "email_clicked"),
    Figure("unique_clicked", "email_clicked", unique=True),
    Figure("bounced", "email_bounced"),
    Figure("complained", "email_complained"),
    Figure("unsubscribed", "email_unsubscribed"),
)
