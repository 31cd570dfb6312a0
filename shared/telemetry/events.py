"""Every event that the workers log, and what to do about it. docs/events.md is made of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """`remedy` is empty where nobody need act."""

    name: str
    meaning: str
    remedy: str = ""


EVENTS: tuple[Event, ...] = (
    Event(
        "warmup.unrecognized_keys",
        "The bucket of warm-up counters holds keys of another form: the reset left them alone.",
        "Find out who writes them.",
    ),
    Event(
        "campaign.invalid_source",
        "`count` events of an organization have a source that is no campaign's UUID:"
        " no report has them.",
        "If they belong to a campaign, map its id: docs/platform.md, Map a provider's campaign.",
    ),
    Event(
        "usage.differs",
        "A month's usage was summed from daily rollups that differ from the events, by `count`.",
        "`mauntic check --deep` over the month names the days and the commands that correct them.",
    ),
    Event(
        "queue.metric",
        "A message was settled: status is ack, retry (in `delay_s` seconds) or dead.",
    ),
    Event(
        "batch.after_hook_failed",
        "What a worker does after a batch failed; its messages are settled all the same.",
        "None, unless it repeats: the next batch does what was left.",
    ),
    Event(
        "score.threshold_crossed",
        "`count` scores of an organisation crossed `threshold`; logged where no queue is bound.",
    ),
    Event(
        "score.postponed",
        "`count` contacts for which a message asked are held by another transaction: a message with"
        " a context is sent again in `delay_s` seconds, any other leaves them to BatchRecompute.",
        "If it repeats for long: end the transaction that holds them (`pg_stat_activity`).",
    ),
    Event(
        "feed.waiting",
        "The change feed holds `count` rows after a fold, the oldest for `age_s` seconds.",
        "None, unless `age_s` grows for hours: see `mauntic scores status`.",
    ),
    Event("dispatch.sent", "A tick enqueued `count` windows."),
    Event("dispatch.held", "The gate is `false`: the tick enqueued nothing."),
    Event(
        "dispatch.invalid_gate",
        "The gate is neither true nor false: the tick enqueued nothing.",
        "Set the secret.",
    ),
    Event(
        "dispatch.ledger_unavailable",
        "Postgres did not answer at a tick: only the tick's own windows were enqueued. The first"
        " tick of an hour posts it.",
        "Look after Postgres; the next tick that reaches it makes the rest good.",
    ),
    Event(
        "dispatch.failed",
        "A tick ended with an error. The first tick of an hour posts it.",
        "Read the error. Where the queue takes nothing, the next tick makes it good.",
    ),
    Event(
        "dispatch.skipped",
        "Windows too many or too old to be caught up were recorded as skipped.",
        "`mauntic backfill` their range, if it matters.",
    ),
    Event(
        "job.overdue",
        "`count` windows have not succeeded within their grace; `window` is the oldest. A tick"
        " posts one alert a job; each window is in one of them.",
        "`mauntic runs list`, then `mauntic runs show` of the window.",
    ),
    Event(
        "job.recovered",
        "A schedule that was overdue runs again; `count` windows were late or skipped meanwhile.",
    ),
    Event(
        "run.held",
        "A message of a paused schedule was acknowledged without a run; its window stays due.",
    ),
    Event(
        "run.waiting",
        "A run waits for other work: a later tick sends it again, for as long as it takes.",
    ),
    Event(
        "heartbeat.unsent",
        "The address of HEARTBEAT_URL did not take the sign of life of a tick.",
        "Look at HEARTBEAT_URL, and at the service behind it.",
    ),
    Event(
        "job.crashed",
        "A handler raised an error that no retry can mend.",
        "`mauntic dlq show` has what it said; mend the code, then `mauntic redrive`.",
    ),
    Event(
        "dead_letter.archived",
        "Messages died: `count` of a batch, by reason and job; the first is `dead_letter_id`.",
        "`mauntic dlq list`, fix the cause, `mauntic dlq redrive`.",
    ),
    Event(
        "dead_letter.archive_failed",
        "Dead letters could not be read or written to Postgres: they wait in their queue. An alert"
        " is sent when a letter fails for the first time.",
        "Look after Postgres; they arrive by themselves.",
    ),
    Event(
        "dead_letter.unread",
        "A dead letter was archived as text, because reading it failed or ended the worker.",
        "`mauntic dlq list --reason exhausted`; report its body as a defect.",
    ),
    Event(
        "dead_letter.on_dead_failed",
        "`on_dead` of a job raised an error that is not worth a retry: the dead letter was archived"
        " without it.",
        "Read the traceback and correct the job; what `on_dead` was to do is left to do by hand.",
    ),
    Event(
        "dead_letter.send_failed",
        "The dead-letter queue did not take a message: it is retried instead.",
        "Look at the platform's status.",
    ),
    Event(
        "attempt.record_failed",
        "Why an attempt failed could not be written down; the message is not affected.",
    ),
    Event(
        "retention.deleted",
        "A tick deleted `count` rows of `table` that were older than their period.",
    ),
    Event(
        "retention.failed",
        "A tick could not delete old rows; its windows are not affected.",
        "None, unless it repeats: then run `mauntic db grants --apply`, and read `error`.",
    ),
    Event(
        "retention.wrong_setting",
        "A `RETENTION_DAYS_…` variable is no period: its table keeps all rows.",
        "Correct the variable that `error` names: docs/operations.md, Retention.",
    ),
    Event(
        "metric.write_failed",
        "The Analytics Engine did not take a point of this index; the log line and the work stand.",
    ),
    Event(
        "request.failed",
        "A `fetch` handler raised an error: the caller received the status 500 without a text.",
        "Read `traceback`, correct the code and deploy it.",
    ),
    Event(
        "notify.delivery_failed",
        "The alert webhook did not take an alert.",
        "Look at ALERT_WEBHOOK_URL.",
    ),
    Event(
        "event.refused",
        "An organisation sends event types in a form that is ours: they are not in its daily rows.",
        "Tell the organisation.",
    ),
    Event(
        "event.before_retention",
        "`count` events of an organization lie before its retained period: they are not counted.",
        "None: these days keep their rows. To write one all the same: `mauntic backfill` with"
        " --before-retention, after its dry run.",
    ),
)
