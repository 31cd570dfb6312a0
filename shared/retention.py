"""How long our tables keep their rows: one list, which ticks carry out and an operator can read.

A tick deletes a bounded portion of each table, the oldest rows first, and passes over rows that
another transaction holds. So it waits for nobody, and a backlog goes in the course of many ticks.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.discreet import told
from shared.errors import DatabaseError, DatabaseUnreachable, error_class
from shared.ports import Ports
from shared.settings import Settings
from shared.statements import SQL

PREFIX = "RETENTION_DAYS_"
# A table's, in one tick: half a second of work. A day of ticks deletes millions.
ROWS_MAX = 50_000


@dataclass(frozen=True)
class Kept:
    """A table whose rows are deleted at an age. `since` says where the age counts from."""

    table: str
    days: int
    since: str
    days_min: int = 1

    @property
    def setting(self) -> str:
        """The variable that replaces the default, such as `RETENTION_DAYS_DEAD_LETTERS`."""
        return PREFIX + self.table.partition(".")[2].upper()

    def period(self, settings: Settings) -> timedelta | None:
        """How long a row stays; None where the setting is `never`. ValueError for anything else."""
        text = (settings.get(self.setting) or str(self.days)).strip().lower()
        if text == "never":
            return None
        if not (text.isascii() and text.isdigit() and self.days_min <= int(text) <= 36_500):
            raise ValueError(
                f"{self.setting} must be a number of days from {self.days_min} up, or never"
            )
        return timedelta(days=int(text))


KEPT = (
    # A dead letter that comes without its error looks for it among the failures, for up to the
    # fourteen days that its queue keeps it; one day more is for the way.
    Kept("ops.message_failures", 15, "failed_at", days_min=15),
    Kept("ops.dead_letters", 180, "the operator's decision, else its death"),
    # A tick looks 14 days back, a month's run 35. A job may keep its runs for less (`keep_runs`).
    Kept("ops.job_runs", 400, "when the run ended", days_min=40),
    Kept("analytics.booking_turns", 40, "when a run took it"),
    Kept("analytics.locked_days", 400, "the day", days_min=40),
    Kept("analytics.partial_counts", 40, "when it was counted", days_min=15),
    Kept("scoring.score_history", 730, "the day", days_min=2),
    Kept("scoring.signal_alerts", 365, "when it was closed; an open one stays"),
    Kept("scoring.alert_requests", 90, "when it was asked for", days_min=15),
    Kept("scoring.threshold_outbox", 90, "the time of the score", days_min=15),
    Kept("crm.contact_changes", 90, "the change", days_min=15),
    Kept("analytics.changed_hours", 90, "the change", days_min=15),
)
# Why no row of the other tables is deleted by its age.
NOT_BY_AGE = {
    "analytics.campaign_daily_stats": "the platform's figures",
    "analytics.contact_activity": "the platform's events: it calls ops.purged_before",
    "analytics.event_aggregates": "the platform's figures",
    "analytics.hourly_cells": "the source of the rollups' corrections",
    "analytics.hourly_work": "empty outside of a run's transaction",
    "crm.contacts": "the platform's",
    "crm.expanded_changes": "deleted with its change",
    "delivery.sending_domains": "the platform's",
    "ops.retention": "one row for each organization at most",
    "ops.schedules": "one row for each schedule",
    "ops.turns": "one row for each queue",
    "scoring.factors": "a fixed list",
    "scoring.intent_signals": "the platform's",
    "scoring.lead_scores": "deleted with its contact",
    "scoring.recompute_backlog": "deleted when the contact is scored",
    "scoring.scoring_configs": "the platform's settings",
    "scoring.signal_configs": "the platform's settings",
}


def prune(ports: Ports, now: datetime) -> None:
    """Delete a portion of what is older than its period. If that fails, the next tick does it."""
    before = _bounds(ports, now)
    try:
        [done] = ports.db.rows(SQL["delete_by_age"], **before, most=ROWS_MAX)
    except (DatabaseError, DatabaseUnreachable) as error:
        ports.log(
            "retention.failed",
            level="warning",
            error_class=error_class(error),
            error=told(error),
        )
        return
    for table, count in done.items():
        if count:
            ports.log("retention.deleted", table=table.replace("__", "."), count=count)


def bounds(settings: Settings, now: datetime) -> dict[str, datetime | str]:
    """For each table of the list the time before which its rows go. ValueError: a wrong setting."""
    return {parameter(kept): _bound(kept.period(settings), now) for kept in KEPT}


def parameter(kept: Kept) -> str:
    """The name of a table's bound in the statement."""
    return kept.table.partition(".")[2] + "_before"


def _bounds(ports: Ports, now: datetime) -> dict[str, datetime | str]:
    """A table with a wrong setting keeps all of its rows."""
    found: dict[str, datetime | str] = {}
    for kept in KEPT:
        try:
            period = kept.period(ports.settings)
        except ValueError as error:
            ports.log("retention.wrong_setting", level="error", error=str(error))
            period = None
        found[parameter(kept)] = _bound(period, now)
    return found


def _bound(period: timedelta | None, now: datetime) -> datetime | str:
    return "-infinity" if period is None else now - period
