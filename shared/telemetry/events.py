"""Every event that the workers log, with its remedy. docs/events.md is generated from this file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """`remedy` is empty if no action is needed."""

    name: str
    meaning: str
    remedy: str = ""


EVENTS: tuple[Event, ...] = (
    Event(
        "warmup.unrecognized_keys",
        "The bucket of warm-up counters contains unknown keys: the reset does not delete them.",
        "Find out which program writes them.",
    ),
    Event(
        "segment.invalid",
        "A segment became invalid: it keeps its members, enrolls no contact, and campaigns to it"
        " are refused.",
        "`mauntic segments show SEGMENT` has the problem. Correct its criteria, or run `mauntic"
        " segments rebuild SEGMENT` after correcting what they read.",
    ),
    Event(
        "segment.failed",
        "The evaluation of a segment failed; the next hour repeats it, the third failure in a row"
        " makes it invalid.",
        "Act on `error`: a timeout calls for simpler criteria or a faster database.",
    ),
    Event(
        "campaign.invalid_source",
        "`count` events of an organization have a source that is no campaign's UUID:"
        " reports ignore them.",
        "If they belong to a campaign, map its id: docs/platform.md, Map a provider's campaign.",
    ),
    Event(
        "usage.differs",
        "A month's usage was summed from daily rollups that differ from the events, by `count`.",
        "`mauntic check --deep` over the month names the days and the commands that correct them.",
    ),
    Event(
        "warmup.unavailable",
        "The counters of the warm-up did not answer: `count` messages wait a minute.",
        "If it repeats, check the R2 bucket of the counters.",
    ),
    Event(
        "delivery.called", "A provider was called for `count` messages; `status` is the verdict."
    ),
    Event(
        "delivery.waiting",
        "`count` messages of an organization wait: no provider is usable, or the sender's domain is"
        " not verified (`reason`).",
        "Correct the provider configuration, or verify the domain.",
    ),
    Event(
        "delivery.config_problem",
        "`count` messages wait for a person: `status` is paused (the config `config_id`, for"
        " `reason`), no_provider, unverified_sender or not_configured. An alert, once an hour for"
        " each config and problem, and once a day while nothing waits.",
        "Correct the configuration, then run `mauntic delivery resume CONFIG` if it is paused.",
    ),
    Event(
        "delivery.not_configured",
        "`count` messages wait for the setting that `reason` names.",
        "Set the variable or the secret of the worker mauntic-delivery-queue.",
    ),
    Event(
        "delivery.not_sent",
        "A request could not be made, and nothing was sent. The messages are tried again.",
        "Correct the code and deploy it; after three retries the messages are held.",
    ),
    Event(
        "delivery.unsettled",
        "The verdicts of `count` messages could not be written: they become uncertain.",
        "Check Postgres; the sweep continues.",
    ),
    Event(
        "delivery.not_queued",
        "The queue refused references of `count` messages.",
        "None: the sweep sends them again.",
    ),
    Event(
        "delivery.unannounced",
        "`count` events of a type were not sent to the platform: no queue is bound.",
    ),
    Event(
        "delivery.key_reused",
        "`count` messages had a key that exists: they changed nothing.",
    ),
    Event(
        "delivery.reconciled",
        "A provider (`type`) was asked about a call with an unknown outcome: `count` messages are"
        " settled.",
    ),
    Event(
        "delivery.lookup_failed",
        "A provider (`type`) could not be asked about a message with an unknown outcome.",
        "If it repeats, check the provider's configuration; the message stays uncertain.",
    ),
    Event(
        "feedback.unmatched",
        "`count` events of a provider name no message: the sweep tries them for seven days.",
        "If most events do, another system sends through the same account.",
    ),
    Event("feedback.matched", "The sweep found the messages of `count` events."),
    Event(
        "feedback.expired",
        "For `count` events no message was found in seven days: they were deleted.",
        "If most events do, another system sends through the same account.",
    ),
    Event(
        "delivery.marketing_paused",
        "An organization has too many complaints or hard bounces in a day (`reason`, `count`): its"
        " marketing waits.",
        "Find the campaign and the list; then `mauntic delivery resume --organization ID`.",
    ),
    Event(
        "feedback.body_gone",
        "The object with a webhook's body is not there: an earlier delivery has applied and deleted"
        " it, or its 30 days are over.",
    ),
    Event(
        "feedback.not_deleted",
        "The bodies of `count` webhooks are applied but could not be deleted: the bucket's"
        " lifecycle rule does.",
    ),
    Event("campaign.started", "A run of the campaign `campaign_id` was started, in `count` parts."),
    Event(
        "campaign.refused",
        "The campaign `campaign_id` cannot start; `reason` is the problem. It is reported once.",
        "`mauntic campaigns show` has the remedy. A scheduled campaign then starts by itself.",
    ),
    Event(
        "campaign.postponed",
        "The segment of the campaign `campaign_id` is being built: the sweep tries again.",
    ),
    Event("campaign.part_inserted", "A part of a run was done: `count` messages wait to be sent."),
    Event(
        "campaign.warmup_short",
        "`count` recipients of the campaign `campaign_id` are more than the warm-up of its domain"
        " permits before their messages expire.",
        "Raise `expires_after_hours` for the next run, or send to smaller segments.",
    ),
    Event("campaign.finished", "A run has ended; `status` is sent, partial or failed."),
    Event("delivery.open", "`count` messages of a channel (`type`) are in the state `status`."),
    Event(
        "queue.metric",
        "A message was settled: status is ack, retry (in `delay_s` seconds) or dead.",
    ),
    Event(
        "batch.after_hook_failed",
        "A worker's work after a batch failed; the messages of the batch are not affected.",
        "None, unless it repeats: the next batch does the remaining work.",
    ),
    Event(
        "journey.not_queued",
        "The queue did not accept the messages of `count` executions.",
        "None if it is rare: journey.wake-due sends them again within 20 minutes.",
    ),
    Event(
        "journey.stale_canceled",
        "`count` executions of an organization were canceled: nothing had moved them for 7 days.",
        "`mauntic executions list --stale` lists them; the log of each has the conditions.",
    ),
    Event(
        "journey.many_stale",
        "More than 1% of an organization's executions were canceled as stale in one night, which"
        " points to a fault of this system. An alert.",
        "Look for dead letters of journey.advance and for runs of journey.wake-due that failed.",
    ),
    Event(
        "journey.event_untold",
        "`count` events of an organization were recorded and not sent: no queue is bound as"
        " PLATFORM_EVENTS.",
    ),
    Event(
        "score.threshold_crossed",
        "`count` scores of an organization crossed `threshold`; logged if no queue is bound.",
    ),
    Event(
        "score.postponed",
        "Another transaction locks `count` contacts that messages requested: a message with a"
        " context is sent again in `delay_s` seconds, BatchRecompute scores the others.",
        "If it repeats for long: end the transaction that locks them (`pg_stat_activity`).",
    ),
    Event(
        "feed.waiting",
        "The change feed has `count` rows after a fold; the oldest is `age_s` seconds old.",
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
        "Restore Postgres; the next tick that reaches it enqueues the other windows.",
    ),
    Event(
        "dispatch.failed",
        "A tick ended with an error. The first tick of an hour posts it.",
        "Read the error. If the queue was unavailable, the next tick enqueues the windows.",
    ),
    Event(
        "dispatch.skipped",
        "Windows beyond the limits of catching up were recorded as skipped.",
        "Run `mauntic backfill` over their range, if their rows matter.",
    ),
    Event(
        "job.overdue",
        "`count` windows have not succeeded within their grace; `window` is the oldest. A tick"
        " posts one alert per job; each window is in one alert.",
        "`mauntic runs list`, then `mauntic runs show` of the window.",
    ),
    Event(
        "job.recovered",
        "An overdue schedule runs again; `count` windows were late or skipped in the meantime.",
    ),
    Event(
        "run.held",
        "A message of a paused schedule was acknowledged without a run; its window stays due.",
    ),
    Event(
        "run.waiting",
        "A run waits for other work: later ticks send it again until it succeeds.",
    ),
    Event(
        "heartbeat.unsent",
        "The address in HEARTBEAT_URL did not accept the heartbeat of a tick.",
        "Check HEARTBEAT_URL and the service at its address.",
    ),
    Event(
        "job.crashed",
        "A handler raised an error that retries cannot fix.",
        "`mauntic dlq show` prints its text. Correct the code, then run `mauntic redrive`.",
    ),
    Event(
        "dead_letter.archived",
        "Messages died: `count` of a batch, by reason and job; the first is `dead_letter_id`.",
        "Run `mauntic dlq list`, fix the cause, then run `mauntic dlq redrive`.",
    ),
    Event(
        "dead_letter.archive_failed",
        "Dead letters could not be read or written to Postgres: they wait in their queue. An alert"
        " is sent when a dead letter fails for the first time.",
        "Restore Postgres; the dead letters are then archived without help.",
    ),
    Event(
        "dead_letter.unread",
        "A dead letter was archived as text, because reading it failed or ended the worker.",
        "`mauntic dlq list --reason exhausted`; report its body as a defect.",
    ),
    Event(
        "dead_letter.on_dead_failed",
        "`on_dead` of a job raised an error that is not retried: the dead letter was archived"
        " without it.",
        "Read the traceback, correct the job, and do the work of `on_dead` by hand.",
    ),
    Event(
        "dead_letter.send_failed",
        "The dead-letter queue did not accept a message: the message is retried instead.",
        "Check the platform's status page.",
    ),
    Event(
        "attempt.record_failed",
        "The error of a failed attempt could not be recorded; the message is not affected.",
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
        "Analytics Engine did not accept a metric point; work and log lines are not affected.",
    ),
    Event(
        "request.failed",
        "A `fetch` handler raised an error: the caller received status 500 without a text.",
        "Read `traceback`, correct the code and deploy it.",
    ),
    Event(
        "hooks.not_configured",
        "The worker for requests lacks the secret `reason`: callers get 503 and try again.",
        "`mauntic provision --apply`, or set the secret of mauntic-delivery-hooks.",
    ),
    Event(
        "hooks.not_queued",
        "A webhook or an unsubscription was not kept: the caller got 503 and tries again.",
        "If it repeats, check the vendor's status page, the queue mauntic-delivery-feedback and the"
        " bucket mauntic-delivery-inbox.",
    ),
    Event(
        "hooks.limited",
        "More requests than an isolate accepts came to a provider config, or to the link of a"
        " message (`reason`): they got 429. Logged once a minute.",
        "If the provider sends that many, none: it tries again. Otherwise change HOOK_KEYS:"
        " docs/operations.md, A flood of webhooks.",
    ),
    Event(
        "notify.delivery_failed",
        "The alert webhook did not accept an alert.",
        "Check ALERT_WEBHOOK_URL.",
    ),
    Event(
        "event.refused",
        "An organization sends event types with a reserved prefix: daily rows ignore them.",
        "Inform the organization.",
    ),
    Event(
        "event.before_retention",
        "`count` events of an organization are older than its retained period and not counted.",
        "None: these days keep their rows. To recompute one, use `mauntic backfill` with"
        " --before-retention, after its dry run.",
    ),
)
