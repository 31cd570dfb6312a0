"""Problems of wrangler.toml that would break a deployment or lose messages."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mauntic.checks import Problem
from mauntic.operations.provisioning import secrets_of
from mauntic.operations.worker_catalog import AnyWorker
from mauntic.project.connections import SETTING, connection_limit, held, shares
from mauntic.project.programs import ROOT
from shared.bindings import PlatformQueue, R2Bucket, Variable, WorkerQueue
from shared.jobs import Worker
from shared.queues import Queue
from shared.web import WebWorker

CONFIG = ROOT / "wrangler.toml"
AREA = "wrangler.toml"

# Python 3.14 and sockets: https://developers.cloudflare.com/workers/configuration/compatibility-dates/
COMPATIBILITY_DATE_MIN = "2026-09-08"
# https://developers.cloudflare.com/queues/platform/limits/
CONSUMER_LIMITS = {
    "max_batch_size": (1, 100),
    "max_batch_timeout": (0, 60),
    "max_retries": (1, 100),
    "max_concurrency": (1, 250),
}
CPU_MS_MAX = 300_000
DATASET = "mauntic_queue_metrics"

Table = Mapping[str, Any]


def problems(workers: Sequence[AnyWorker], path: Path = CONFIG) -> Iterator[Problem]:
    """Yield every problem of the file."""
    try:
        config = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        yield Problem(AREA, path.name, f"cannot be read: {error}")
        return
    envs: Table = config.get("env", {})
    yield from _of_top(config)
    for worker in workers:
        if worker.env not in envs:
            yield Problem(AREA, worker.env, f"there is no [env.{worker.env}] for {worker.name}")
        else:
            yield from _of_worker(worker, {**config, **envs[worker.env]})
    for env in envs.keys() - {worker.env for worker in workers}:
        yield Problem(AREA, env, f"[env.{env}] deploys no worker of workers/")
    yield from _of_queues(envs, platform_bindings(workers))
    yield from _of_connections([worker for worker in workers if isinstance(worker, Worker)])


def _of_top(config: Table) -> Iterator[Problem]:
    if "main" in config:
        yield Problem(AREA, "main", "at top level it would be deployed where an env is forgotten")
    if "triggers" in config:
        yield Problem(AREA, "triggers", "every env would inherit them: write them in each")
    if "python_workers" not in config.get("compatibility_flags", []):
        yield Problem(AREA, "compatibility_flags", "python_workers is missing")
    if str(config.get("compatibility_date", "")) < COMPATIBILITY_DATE_MIN:
        yield Problem(AREA, "compatibility_date", f"must be {COMPATIBILITY_DATE_MIN} or later")


def _of_worker(worker: AnyWorker, env: Table) -> Iterator[Problem]:
    expected = {"name": worker.name, "main": f"build/{worker.env}/entry.py", "workers_dev": False}
    for key, value in expected.items():
        if env.get(key) != value:
            yield Problem(AREA, worker.env, f"{key} must be {value!r}, not {env.get(key)!r}")
    if not str(env.get("build", {}).get("command", "")).endswith(f"tools/bundle.py {worker.env}"):
        yield Problem(AREA, worker.env, "build.command must stage its bundle with tools/bundle.py")
    if not 0 < env.get("limits", {}).get("cpu_ms", 0) <= CPU_MS_MAX:
        yield Problem(AREA, worker.env, f"limits.cpu_ms must be set, up to {CPU_MS_MAX:,}")
    if not env.get("observability", {}).get("enabled"):
        yield Problem(AREA, worker.env, "observability must be enabled: its log lines go nowhere")
    crons = sorted(env.get("triggers", {}).get("crons", []))
    if crons != list(worker.crons):
        yield Problem(AREA, worker.env, f"crons must be {worker.crons}, not {crons}")
    if isinstance(worker, WebWorker):
        yield from _of_web(worker, env)
    else:
        yield from _of_own(worker, env)
        yield from _of_consumers(worker, env)
    yield from _of_producers(worker, env)
    yield from _of_buckets(worker, env)
    yield from _of_variables(worker, env)


def _of_web(worker: WebWorker, env: Table) -> Iterator[Problem]:
    """Check what a worker that is open to the internet must not have."""
    if env.get("hyperdrive"):
        yield Problem(
            AREA, worker.env, "hyperdrive: a worker that answers requests has no database"
        )
    if env.get("queues", {}).get("consumers"):
        yield Problem(AREA, worker.env, "consumers: a worker that answers requests has none")
    if env.get("observability", {}).get("logs", {}).get("invocation_logs") is not False:
        sentence = "observability.logs.invocation_logs must be false: a URL contains its token"
        yield Problem(AREA, worker.env, sentence)


def _of_own(worker: Worker, env: Table) -> Iterator[Problem]:
    """Check the bindings that every worker with queues has."""
    if "DB" not in [table.get("binding") for table in env.get("hyperdrive", [])]:
        yield Problem(AREA, worker.env, "hyperdrive binding DB is missing")
    datasets = {
        d.get("binding"): d.get("dataset") for d in env.get("analytics_engine_datasets", [])
    }
    if datasets.get("METRICS") != DATASET:
        yield Problem(AREA, worker.env, f"analytics engine binding METRICS must write to {DATASET}")


def _of_buckets(worker: AnyWorker, env: Table) -> Iterator[Problem]:
    buckets = {b.get("binding"): b.get("bucket_name") for b in env.get("r2_buckets", [])}
    declared = {b.binding: b.bucket for b in worker.all_bindings if isinstance(b, R2Bucket)}
    for binding, bucket in declared.items():
        if buckets.get(binding) != bucket:
            yield Problem(AREA, worker.env, f"R2 binding {binding} must be of the bucket {bucket}")
    for binding in buckets.keys() - declared.keys():
        sentence = f"R2 binding {binding} is not declared: add R2Bucket to the job that uses it"
        yield Problem(AREA, worker.env, sentence)


def _of_producers(worker: AnyWorker, env: Table) -> Iterator[Problem]:
    producers = {
        p.get("binding"): p.get("queue") for p in env.get("queues", {}).get("producers", [])
    }
    expected = {
        own.binding: own.queue for own in worker.all_bindings if isinstance(own, WorkerQueue)
    }
    for queue in worker.queues:
        names = (queue.name, queue.dead_letter_name)
        expected |= dict(zip(bindings_of(queue), names, strict=True))
    for binding, name in expected.items():
        if producers.get(binding) != name:
            yield Problem(AREA, worker.env, f"producer {binding} must send to {name}")
    for binding in producers.keys() - expected.keys() - platform_bindings([worker]):
        sentence = f"producer {binding} is not declared: add PlatformQueue to the job that uses it"
        yield Problem(AREA, worker.env, sentence)


def bindings_of(queue: Queue) -> tuple[str, str]:
    """Return the producer bindings of a queue and of its dead-letter queue."""
    return queue.binding, queue.dead_letter_binding


def platform_bindings(workers: Sequence[AnyWorker]) -> set[str]:
    """Return the producer bindings that lead to queues of the platform."""
    bindings = (binding for worker in workers for binding in worker.all_bindings)
    return {binding.binding for binding in bindings if isinstance(binding, PlatformQueue)}


def _of_variables(worker: AnyWorker, env: Table) -> Iterator[Problem]:
    for binding in worker.all_bindings:
        if isinstance(binding, Variable) and env.get("vars", {}).get(binding.name) != binding.value:
            sentence = f"the variable {binding.name} must be {binding.value!r}, as declared"
            yield Problem(AREA, worker.env, sentence)
    gates = [worker.gate] if isinstance(worker, Worker) else []
    for name in (*gates, *(secret.name for secret in secrets_of(worker))):
        if name in env.get("vars", {}):
            yield Problem(
                AREA, worker.env, f"{name} is a secret: in [vars] it could not be set as one"
            )


def _of_consumers(worker: Worker, env: Table) -> Iterator[Problem]:
    consumers = {table.get("queue"): table for table in env.get("queues", {}).get("consumers", [])}
    for queue in worker.queues:
        for name in (queue.name, queue.dead_letter_name):
            if name not in consumers:
                sentence = f"{name} has no consumer: its messages would be lost"
                yield Problem(AREA, worker.env, sentence)
        if queue.name in consumers:
            yield from _of_consumer(worker, queue, consumers[queue.name])
    for name, consumer in consumers.items():
        for setting, (least, most) in CONSUMER_LIMITS.items():
            if not least <= consumer.get(setting, -1) <= most:
                sentence = f"{setting} of {name} must be set, from {least} to {most}"
                yield Problem(AREA, worker.env, sentence)


def _of_consumer(worker: Worker, queue: Queue, consumer: Table) -> Iterator[Problem]:
    batch = worker.batch_of(queue)
    declared = {
        "max_retries": queue.max_retries,
        "max_concurrency": queue.max_concurrency,
        "max_batch_size": batch.size,
        "max_batch_timeout": batch.timeout_s,
    }
    for setting, value in declared.items():
        if setting in consumer and consumer[setting] != value:
            sentence = f"{setting} of {queue.name} must be {value}, as declared"
            yield Problem(AREA, worker.env, sentence)
    if consumer.get("dead_letter_queue") != queue.dead_letter_name:
        sentence = f"{queue.name} must have the dead-letter queue {queue.dead_letter_name}"
        yield Problem(AREA, worker.env, sentence)


def _of_connections(workers: Sequence[Worker]) -> Iterator[Problem]:
    """Check that all consumers at work leave Hyperdrive a connection for the ticks."""
    limit, sum_of_all = connection_limit(), held(workers)
    if sum_of_all >= limit:
        largest = max(shares(workers), key=lambda share: share.connections)
        yield Problem(
            AREA,
            "max_concurrency",
            f"all consumers at work hold {sum_of_all} connections, and Hyperdrive opens {limit}:"
            f" {largest.queue} alone holds {largest.connections}. Lower `max_concurrency` or"
            f" `connections` of a queue, or raise `{SETTING}` in pyproject.toml and in Hyperdrive",
        )


def _of_queues(envs: Table, given_to_platform: set[str]) -> Iterator[Problem]:
    """Yield problems between envs: two consumers of a queue, and queues without one."""
    takers: dict[str, list[str]] = {}
    senders: dict[str, str] = {}
    given_away: dict[str, str] = {}
    for env, table in envs.items():
        queues = table.get("queues", {})
        for consumer in queues.get("consumers", []):
            takers.setdefault(consumer["queue"], []).append(env)
            if consumer.get("dead_letter_queue"):
                senders.setdefault(consumer["dead_letter_queue"], env)
        for producer in queues.get("producers", []):
            if producer.get("binding") in given_to_platform:
                given_away[producer["queue"]] = producer["binding"]
            else:
                senders[producer["queue"]] = env
    for queue, owners in takers.items():
        if len(owners) > 1:
            yield Problem(AREA, queue, f"a queue has one consumer, this one {' and '.join(owners)}")
    for queue in sorted(senders.keys() - takers.keys()):
        yield Problem(AREA, queue, f"{senders[queue]} sends to it, and no worker consumes it")
    for queue in sorted(given_away.keys() & (takers.keys() | senders.keys())):
        sentence = (
            f"{given_away[queue]} needs a queue that the platform consumes, not a queue of a worker"
        )
        yield Problem(AREA, queue, sentence)
