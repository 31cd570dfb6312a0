"""The resources that a deployment needs in the vendor's account, and the commands that create
them.
"""

from __future__ import annotations

import logging
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mauntic.database.url import DatabaseUrl
from mauntic.errors import OperatorError
from mauntic.operations.generated_keys import (
    generate,
    generation,
    keys_file,
    to_generate,
    with_kept_keys,
)
from mauntic.operations.vendor.answers import Buckets, Hyperdrive, Lifecycle, Named, Queue
from mauntic.operations.vendor.api import VendorApi, VendorRefused
from mauntic.operations.vendor.wrangler import Command, put_secret, run
from mauntic.operations.worker_catalog import AnyWorker, all_workers
from mauntic.project.connections import connection_limit
from mauntic.project.envs import unknown_envs
from shared.bindings import COMMON_SECRETS, R2Bucket, Secret
from shared.jobs import Worker

notices = logging.getLogger(__name__)

# The vendor's longest retention: a dead letter survives a fortnight without Postgres.
DEAD_LETTER_RETENTION_S = 1_209_600
HYPERDRIVE = "mauntic"


@dataclass(frozen=True)
class Needs:
    """The resources of one env of wrangler.toml. `gate` is the secret that controls its crons, None
    without crons; `secrets` are the others that its worker declares. `expiring` has the days after
    which a bucket deletes its objects.
    """

    env: str
    script: str
    queues: tuple[str, ...]
    buckets: tuple[str, ...]
    gate: str | None
    secrets: tuple[Secret, ...] = COMMON_SECRETS
    expiring: Mapping[str, int] = field(default_factory=dict)


@dataclass
class Account:
    """The resources in the vendor's account: retention in seconds by queue, secrets by script."""

    queues: dict[str, int | None] = field(default_factory=dict)
    buckets: set[str] = field(default_factory=set)
    hyperdrives: dict[str, Hyperdrive] = field(default_factory=dict)
    secrets: dict[str, set[str]] = field(default_factory=dict)
    consumers: dict[str, list[str]] = field(default_factory=dict)
    scripts: set[str] = field(default_factory=set)
    lifecycles: dict[str, Lifecycle] = field(default_factory=dict)


WORKERS_URL = "DATABASE_URL_WORKERS"
CREATE_HYPERDRIVE = Command(
    f"Hyperdrive {HYPERDRIVE}",
    ("mauntic", "provision", "--apply"),  # not wrangler: it takes the URL as an argument
)


def needs_of(config: Path, only: Sequence[str] | None = None) -> list[Needs]:
    """Return the resources of each env; raise OperatorError for an unknown env."""
    if refusal := unknown_envs(only or (), config):
        raise OperatorError(refusal)
    envs: dict[str, Any] = tomllib.loads(config.read_text(encoding="utf-8"))["env"]
    by_env = {worker.env: worker for worker in all_workers()}
    return [_needs(by_env[name], envs[name]) for name in envs if not only or name in only]


def _needs(worker: AnyWorker, table: Mapping[str, Any]) -> Needs:
    queues = table.get("queues", {})
    named = [
        entry["queue"] for role in ("producers", "consumers") for entry in queues.get(role, [])
    ]
    dead = [
        entry["dead_letter_queue"]
        for entry in queues.get("consumers", [])
        if "dead_letter_queue" in entry
    ]
    buckets = tuple(bucket["bucket_name"] for bucket in table.get("r2_buckets", []))
    names = tuple(dict.fromkeys([*named, *dead]))
    gate = worker.gate if isinstance(worker, Worker) else None
    expiring = {
        own.bucket: own.expires_after_days
        for own in worker.all_bindings
        if isinstance(own, R2Bucket) and own.expires_after_days
    }
    return Needs(worker.env, table["name"], names, buckets, gate, secrets_of(worker), expiring)


def secrets_of(worker: AnyWorker) -> tuple[Secret, ...]:
    """Return the secrets of a worker: those that it declares, and those that every worker with jobs
    may have.
    """
    own = [binding for binding in worker.all_bindings if isinstance(binding, Secret)]
    return (*(COMMON_SECRETS if isinstance(worker, Worker) else ()), *own)


def read_account(api: VendorApi, needs: Sequence[Needs]) -> Account:
    """Return the existing resources."""
    account = Account()
    for queue in api.pages("/queues", Queue):
        settings, name = queue.settings, queue.queue_name
        account.queues[name] = settings.message_retention_period if settings else None
        account.consumers[name] = [consumer.name for consumer in queue.consumers or []]
    found = api.ask("GET", "/r2/buckets?per_page=1000", Buckets)
    account.buckets = {bucket.name for bucket in found.buckets}
    for name in account.buckets & {bucket for need in needs for bucket in need.expiring}:
        account.lifecycles[name] = api.ask("GET", f"/r2/buckets/{name}/lifecycle", Lifecycle)
    configs = api.ask("GET", "/hyperdrive/configs", list[Hyperdrive])
    account.hyperdrives = {config.name: config for config in configs}
    for need in needs:
        secrets = _secrets(api, need.script)
        if secrets is not None:
            account.scripts.add(need.script)
        account.secrets[need.script] = secrets or set()
    return account


def _secrets(api: VendorApi, script: str) -> set[str] | None:
    """Return only the names, because values cannot be read; None if the worker was never
    deployed.
    """
    try:
        found = api.ask("GET", f"/workers/scripts/{script}/secrets", list[Named])
        return {secret.name for secret in found}
    except VendorRefused as error:
        if error.status == 404:
            return None
        raise


def missing(
    needs: Sequence[Needs], account: Account, environment: Mapping[str, str]
) -> list[Command]:
    """Return the remaining commands, in the order in which they must run."""
    return [
        *_queues(needs, account),
        *_buckets(needs, account),
        *_hyperdrive(account),
        *_secret_commands(needs, account, with_kept_keys(environment)),
    ]


def _queues(needs: Sequence[Needs], account: Account) -> Iterator[Command]:
    for name in dict.fromkeys(name for need in needs for name in need.queues):
        is_dead = name.endswith("-dlq")
        keep = ["--message-retention-period-secs", str(DEAD_LETTER_RETENTION_S)] if is_dead else []
        if name not in account.queues:
            yield Command(f"queue {name}", ("wrangler", "queues", "create", name, *keep))
        elif is_dead and account.queues[name] != DEAD_LETTER_RETENTION_S:
            yield Command(f"14 days of {name}", ("wrangler", "queues", "update", name, *keep))


def _buckets(needs: Sequence[Needs], account: Account) -> Iterator[Command]:
    for name in dict.fromkeys(name for need in needs for name in need.buckets):
        if name not in account.buckets:
            yield Command(f"bucket {name}", ("wrangler", "r2", "bucket", "create", name))
    for name, days in {own: days for need in needs for own, days in need.expiring.items()}.items():
        if not account.lifecycles.get(name, Lifecycle()).deletes_after(days):
            rule = (name, f"delete-after-{days}-days", "--expire-days", str(days), "--force")
            yield Command(
                f"{days} days of bucket {name}",
                ("wrangler", "r2", "bucket", "lifecycle", "add", *rule),
            )


def _hyperdrive(account: Account) -> Iterator[Command]:
    existing = account.hyperdrives.get(HYPERDRIVE)
    if existing is None:
        yield CREATE_HYPERDRIVE
        return
    update = ("wrangler", "hyperdrive", "update", existing.id)
    if existing.is_cached:
        why = f"no caching in Hyperdrive {HYPERDRIVE}"
        yield Command(why, (*update, "--caching-disabled"))
    limit = connection_limit()
    if (existing.origin_connection_limit or limit) != limit:
        why = f"{limit} connections of Hyperdrive {HYPERDRIVE}"
        yield Command(why, (*update, "--origin-connection-limit", str(limit)))


def create_hyperdrive(api: VendorApi, database_url: str) -> None:
    """Connect a new Hyperdrive to the database. Its password is in the body of a request, not in an
    argument.
    """
    to = DatabaseUrl.parse(database_url)
    origin = {
        "scheme": "postgres",
        "host": to.host,
        "port": to.port,
        "user": to.user,
        "password": to.password or "",
        "database": to.database,
    }
    settings = {
        "name": HYPERDRIVE,
        "origin": origin,
        "caching": {"disabled": True},
        "origin_connection_limit": connection_limit(),
    }
    api.ask("POST", "/hyperdrive/configs", Hyperdrive, settings)


def _secret_commands(
    needs: Sequence[Needs], account: Account, environment: Mapping[str, str]
) -> Iterator[Command]:
    """Yield the commands that set secrets. A new worker starts with a closed gate, which `mauntic
    cutover enable` opens.

    The gate of a deployed worker is never changed: without the secret its gate is open.
    """
    scripts = [need.script for need in needs]
    new_keys = list(to_generate(_sharing(), account.secrets, environment, scripts))
    yield from map(generation, new_keys)
    for need in needs:
        existing = account.secrets.get(need.script, set())
        if need.gate and need.script not in account.scripts:
            yield put_secret(f"gate {need.gate}, held", need.gate, need.env, stdin="false")
        for secret in need.secrets:
            variable = secret.variable(need.env)
            is_known = environment.get(variable) or secret.name in new_keys
            if secret.name not in existing and is_known:
                why = f"{secret.name} of {need.env}"
                yield put_secret(why, secret.name, need.env, stdin_variable=variable)


def _sharing() -> dict[str, list[str]]:
    """Return the workers of each generated key, by the key's name."""
    found: dict[str, list[str]] = {}
    for worker in all_workers():
        for secret in secrets_of(worker):
            if secret.is_generated:
                found.setdefault(secret.name, []).append(worker.name)
    return found


def open_gates(needs: Sequence[Needs], account: Account) -> list[Needs]:
    """Return the deployed workers without a gate secret: their crons dispatch."""
    return [
        need
        for need in needs
        if need.gate
        and need.script in account.scripts
        and need.gate not in account.secrets[need.script]
    ]


def open_gate_note(need: Needs) -> str:
    """Report an open gate, and the command that closes it."""
    return (
        f"{need.script} has no secret {need.gate}, so its crons run;"
        f" mauntic cutover back --env {need.env} stops them"
    )


def run_all(api: VendorApi, commands: Sequence[Command]) -> None:
    """Run the commands one after the other; raise OperatorError for the first that fails."""
    new_keys = {generation(name): name for name in _sharing()}
    os.environ.update(with_kept_keys(os.environ))
    for command in commands:
        if command in new_keys:
            path = keys_file(os.environ)
            generate(new_keys[command], os.environ, path)
            notices.info("%s: kept in %s, which only you can read", command.why, path.name)
            continue
        if command is CREATE_HYPERDRIVE:
            notices.info("$ POST /hyperdrive/configs: %s, led to %s", command.why, WORKERS_URL)
            create_hyperdrive(api, _workers_url())
            continue
        notices.info("$ %s", command.line)
        if run(command) != 0:
            raise OperatorError(
                f"{command.why}: the command failed; correct its cause and apply again."
            )


def _workers_url() -> str:
    url = os.environ.get(WORKERS_URL)
    if not url:
        raise OperatorError(
            f"Set {WORKERS_URL}: Hyperdrive has to be led to the database, as the role that"
            " `mauntic db grants --apply` makes."
        )
    return url
