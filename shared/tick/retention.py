"""The retention periods of the tables: one list, which ticks apply and operators can read.

The first tick of a worker in each hour deletes the oldest rows of each table, in bounded portions,
and skips rows that another transaction has locked. So it waits for no transaction, and a backlog
disappears over many hours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.errors import DatabaseError, DatabaseUnreachable, error_class
from shared.jobs import RUNS_KEPT, Job, WindowJob
from shared.ports import Ports
from shared.settings import Settings
from shared.sql.statements import SQL
from shared.telemetry.redaction import describe_error

PREFIX = "RETENTION_DAYS_"
# Per table and statement: half a second of work.
ROWS_MAX = 50_000
# Per table and tick: at most twelve million rows a day.
PORTIONS_MAX = 10


@dataclass(frozen=True)
class RetentionPeriod:
    """A table whose rows are deleted at an age, the oldest first.

    The age is that of the first column of `at` that is not null; operators read `since`. With
    `is_day` the columns are dates. `only` is an additional condition for deletion. With `is_feed`
    rows are ordered by `id`, and a portion reads only the first of them; any other table needs an
    index on `at`. `turns` is the table with the row that a run locks to write an organization's
    day: the rows of that day are deleted together with it, or not at all.
    """

    table: str
    days: int
    at: tuple[str, ...]
    since: str
    days_min: int = 1
    is_day: bool = False
    only: str = ""
    is_feed: bool = False
    turns: str = ""

    @property
    def name(self) -> str:
        """The table's name without its schema."""
        return self.table.partition(".")[2]

    @property
    def setting(self) -> str:
        """The variable that replaces the default, such as `RETENTION_DAYS_DEAD_LETTERS`."""
        return PREFIX + self.name.upper()

    def period(self, settings: Settings) -> timedelta | None:
        """Return the age at which a row is deleted; None if the setting is `never`. Raise
        ValueError for anything else.
        """
        text = (settings.get(self.setting) or str(self.days)).strip().lower()
        if text == "never":
            return None
        if not (text.isascii() and text.isdigit() and self.days_min <= int(text) <= 36_500):
            raise ValueError(
                f"{self.setting} must be a number of days from {self.days_min} up, or never"
            )
        return timedelta(days=int(text))


# `make catalogue` generates the statements that delete and report, and the table of the runbook.
RETENTION_PERIODS = (
    # A dead letter without an error takes it from the recorded failures, for up to the fourteen
    # days that its queue keeps it; one day is added for the delay.
    RetentionPeriod("ops.message_failures", 15, ("failed_at",), "when it failed", days_min=15),
    RetentionPeriod(
        "ops.dead_letters",
        180,
        ("changed_at", "dead_at"),
        "the operator's decision, else its death",
    ),
    # A tick looks 14 days back, a month's run 35. A job may keep its runs for a shorter period
    # (`keep_runs`).
    RetentionPeriod(
        "ops.job_runs",
        400,
        ("finished_at", "lease_until", "scheduled_for"),
        "when the run ended",
        days_min=40,
    ),
    # A late event of an older day has its type counted for that whole day, like one without cells.
    # Parts of current work are enqueued again every quarter of an hour.
    RetentionPeriod("ops.parts", 90, ("queued_until",), "when it was last enqueued", days_min=15),
    RetentionPeriod(
        "analytics.hourly_cells",
        100,
        ("date",),
        "the day; a day that was written within two days stays",
        days_min=40,
        is_day=True,
        turns="analytics.booking_turns",
    ),
    RetentionPeriod("analytics.locked_days", 400, ("date",), "the day", days_min=40, is_day=True),
    RetentionPeriod(
        "analytics.partial_counts", 40, ("counted_at",), "when it was counted", days_min=15
    ),
    RetentionPeriod("scoring.score_history", 730, ("date",), "the day", days_min=2, is_day=True),
    RetentionPeriod(
        "scoring.signal_alerts",
        365,
        ("expired_at", "acknowledged_at"),
        "when it was closed; an open one stays",
        only="status <> 'open'",
    ),
    RetentionPeriod(
        "scoring.alert_requests", 90, ("opened_at",), "when it was asked for", days_min=15
    ),
    RetentionPeriod(
        "scoring.threshold_outbox",
        90,
        ("scored_at",),
        "the time of the score",
        days_min=15,
        is_feed=True,
    ),
    # A message's own period; its attempts, calls and events are of no use after it.
    RetentionPeriod(
        "delivery.messages", 396, ("finished_at",), "its end; an open one stays", days_min=91
    ),
    RetentionPeriod("delivery.attempts", 396, ("started_at",), "its call", days_min=91),
    RetentionPeriod("delivery.calls", 396, ("started_at",), "its start", days_min=91),
    RetentionPeriod(
        "delivery.delivery_events", 396, ("created_at",), "when it was recorded", days_min=91
    ),
    RetentionPeriod("delivery.config_alerts", 7, ("alerted_at",), "the alert", days_min=2),
    RetentionPeriod(
        "delivery.platform_outbox", 90, ("occurred_at",), "the event", days_min=15, is_feed=True
    ),
    RetentionPeriod(
        "journey.step_executions",
        396,
        ("completed_at",),
        "the end of the visit; one that waits stays",
        days_min=91,
    ),
    RetentionPeriod(
        "journey.execution_logs", 396, ("created_at",), "when it was written", days_min=91
    ),
    RetentionPeriod("journey.pending_events", 90, ("seen_at",), "when it was seen", days_min=15),
    RetentionPeriod("journey.outbox", 90, ("created_at",), "the event", days_min=15, is_feed=True),
    # A trigger that has not looked at the changes for longer reads all members again.
    RetentionPeriod("crm.segment_changes", 35, ("at",), "the change", days_min=7),
    RetentionPeriod("crm.contact_changes", 90, ("at",), "the change", days_min=15, is_feed=True),
    RetentionPeriod(
        "analytics.changed_hours", 90, ("changed_at",), "the change", days_min=15, is_feed=True
    ),
)
# The reasons why the other tables have no period.
NOT_BY_AGE = {
    "analytics.booking_turns": "deleted with the cells of its day",
    "analytics.campaign_daily_stats": "the platform's figures",
    "analytics.contact_activity": "the platform's events: it calls ops.purged_before",
    "analytics.event_aggregates": "the platform's figures",
    "analytics.hourly_work": "empty outside of a run's transaction",
    "campaign.campaigns": "the platform's",
    "content.templates": "the platform's",
    "crm.companies": "the platform's",
    "crm.contact_companies": "the platform's",
    "crm.contact_tags": "the platform's",
    "crm.contacts": "the platform's",
    "crm.expanded_changes": "deleted with its change",
    "crm.fields": "the platform's",
    "crm.segment_backlog": "deleted when the contact is evaluated",
    "crm.segment_dependencies": "deleted with its segment",
    "crm.segment_recheck": "deleted when time has no more effect",
    "crm.tags": "the platform's",
    "crm.segment_contacts": "deleted with its contact",
    "crm.segments": "the platform's",
    "delivery.deleted_contacts": "deleted by the next sweep",
    "delivery.delivery_jobs": "the platform's figures",
    "delivery.device_tokens": "deleted with its contact",
    "delivery.feeders": "one row for each channel",
    "delivery.organization_settings": "the platform's settings",
    "delivery.progress": "one row for each repeated work",
    "delivery.provider_configs": "the platform's settings",
    "delivery.recipients": "deleted with its contact",
    "delivery.sending_domains": "the platform's",
    "delivery.unmatched_events": "the sweep deletes what found no message in seven days",
    "delivery.suppressions": "a promise to the person, which only a person ends",
    "journey.entrants": "a contact that may enter once never enters again",
    "journey.journey_executions": "the platform's",
    "journey.journey_step_connections": "the platform's",
    "journey.journey_steps": "the platform's",
    "journey.journey_triggers": "the platform's",
    "journey.journey_versions": "the platform's",
    "journey.journeys": "the platform's",
    "journey.trigger_entries": "an occasion is used once, however late it is repeated",
    "journey.trigger_progress": "one row for each trigger",
    "journey.waits": "deleted when the execution leaves the step",
    "ops.retention": "one row for each organization at most",
    "ops.schedules": "one row for each schedule",
    "ops.turns": "one row for each queue, and for each organization with an import",
    "scoring.factors": "a fixed list",
    "scoring.intent_signals": "the platform's",
    "scoring.lead_scores": "deleted with its contact",
    "scoring.recompute_backlog": "deleted when the contact is scored",
    "scoring.scoring_configs": "the platform's settings",
    "scoring.signal_configs": "the platform's settings",
}


def prune(jobs: Iterable[Job], now: datetime, ports: Ports) -> None:
    """Delete rows after their period, the same for all workers, and runs of `jobs` after their
    job's own period. If it fails, the first tick of a later hour repeats it.
    """
    brief = [job for job in jobs if isinstance(job, WindowJob) and job.keep_runs < RUNS_KEPT]
    parameters = {
        **_bounds(ports, now),
        "brief_jobs": [job.type for job in brief],
        "brief_before": [now - job.keep_runs for job in brief],
        "now": now,
        "most": ROWS_MAX,
    }
    try:
        for _ in range(PORTIONS_MAX):
            [done] = ports.db.rows(SQL["delete_by_age"], **parameters)
            for column, count in done.items():
                if count:
                    schema, table, *_ = column.split("__")
                    ports.log("retention.deleted", table=f"{schema}.{table}", count=count)
            if max(done.values()) < ROWS_MAX:
                break
    except (DatabaseError, DatabaseUnreachable) as error:
        ports.log(
            "retention.failed",
            level="warning",
            error_class=error_class(error),
            error=describe_error(error),
        )


def bounds(settings: Settings, now: datetime) -> dict[str, datetime | str]:
    """Return for each table the time before which rows are deleted. Raise ValueError for an invalid
    setting.
    """
    return {parameter(kept): _bound(kept.period(settings), now) for kept in RETENTION_PERIODS}


def parameter(kept: RetentionPeriod) -> str:
    """Return the name of a table's bound in the statement."""
    return f"{kept.name}_before"


def _bounds(ports: Ports, now: datetime) -> dict[str, datetime | str]:
    """Keep all rows of a table with an invalid setting, and log it."""
    found: dict[str, datetime | str] = {}
    for kept in RETENTION_PERIODS:
        try:
            period = kept.period(ports.settings)
        except ValueError as error:
            ports.log("retention.wrong_setting", level="error", error=str(error))
            period = None
        found[parameter(kept)] = _bound(period, now)
    return found


def _bound(period: timedelta | None, now: datetime) -> datetime | str:
    return "-infinity" if period is None else now - period
