"""The settings and bindings of every worker in wrangler.toml: one `[env.…]` table each.

The comment at the top of wrangler.toml gives the reason for each setting.
"""

from __future__ import annotations

import re
from string import Template

from shared.bindings import R2Bucket, Variable, WorkerQueue
from shared.jobs import Worker
from shared.web import WebWorker

CPU_MS_MAX = 60_000
WEB_CPU_MS_MAX = 5_000
DATASET = "mauntic_queue_metrics"
BUCKET = Template("""\
[[env.$env.r2_buckets]]
bucket_name = "$bucket"
binding = "$binding\"""")
VARIABLES = Template("""\
[env.$env.vars]
$lines""")
NO_HYPERDRIVE = "0" * 32  # `make deploy` writes the account's id into its copy

EVERY_WORKER = """\
[env.$env]
name = "$name"
main = "build/$env/entry.py"
build = { command = "python3 tools/bundle.py $env", watch_dir = ["shared", "workers/$env"] }
workers_dev = false
preview_urls = false
limits = { cpu_ms = $cpu_ms }
"""
SETTINGS = Template(
    EVERY_WORKER
    + """\
placement = { mode = "smart" }
observability = { enabled = true, head_sampling_rate = 1 }"""
)

WEB_SETTINGS = Template(
    EVERY_WORKER
    + """
[env.$env.observability]
enabled = true
head_sampling_rate = 1

[env.$env.observability.logs]
enabled = true
invocation_logs = false"""
)

SENDS_TO = Template("""\
[[env.$env.queues.producers]]
queue = "$queue"
binding = "$binding\"""")

BINDINGS = Template("""\
[[env.$env.hyperdrive]]
binding = "DB"
id = "$hyperdrive"

[[env.$env.analytics_engine_datasets]]
binding = "METRICS"
dataset = "$dataset\"""")


def env_block(worker: Worker, queues: str, text: str) -> str:
    """Return the complete block of a worker. `queues` has its crons and queues.

    `text` is the current wrangler.toml, whose Hyperdrive id is kept.
    """
    settings = SETTINGS.substitute(env=worker.env, name=worker.name, cpu_ms=f"{CPU_MS_MAX:_}")
    bindings = BINDINGS.substitute(
        env=worker.env, dataset=DATASET, hyperdrive=hyperdrive_id(worker.env, text)
    )
    return "\n\n".join(
        [settings, *_variables(worker), queues, *_sends_to(worker), bindings, *_buckets(worker)]
    )


def web_block(worker: WebWorker) -> str:
    """Return the complete block of a worker that only answers requests."""
    settings = WEB_SETTINGS.substitute(
        env=worker.env, name=worker.name, cpu_ms=f"{WEB_CPU_MS_MAX:_}"
    )
    return "\n\n".join([settings, *_variables(worker), *_sends_to(worker), *_buckets(worker)])


def _sends_to(worker: Worker | WebWorker) -> list[str]:
    return [
        SENDS_TO.substitute(env=worker.env, queue=own.queue, binding=own.binding)
        for own in worker.all_bindings
        if isinstance(own, WorkerQueue)
    ]


def _variables(worker: Worker | WebWorker) -> list[str]:
    declared = [binding for binding in worker.all_bindings if isinstance(binding, Variable)]
    lines = "\n".join(f'{variable.name} = "{variable.value}"' for variable in declared)
    return [VARIABLES.substitute(env=worker.env, lines=lines)] if declared else []


def _buckets(worker: Worker | WebWorker) -> list[str]:
    buckets = [binding for binding in worker.all_bindings if isinstance(binding, R2Bucket)]
    return [
        BUCKET.substitute(env=worker.env, bucket=bucket.bucket, binding=bucket.binding)
        for bucket in buckets
    ]


def hyperdrive_id(env: str, text: str) -> str:
    """Return the Hyperdrive id of an env in wrangler.toml, or the placeholder."""
    table = re.escape(f"[[env.{env}.hyperdrive]]")
    found = re.search(rf'^{table}\n(?:\w+ = .*\n)*?id = "([0-9a-f]{{32}})"$', text, re.MULTILINE)
    return found[1] if found else NO_HYPERDRIVE
