"""Bindings and secrets that jobs and workers declare. `mauntic check` compares them with
wrangler.toml, and `mauntic provision` creates them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class R2Bucket:
    """An R2 bucket. `ports.bucket(binding)` opens it. R2 deletes objects `expires_after_days` after
    their write; None keeps them.
    """

    binding: str
    bucket: str
    expires_after_days: int | None = None


@dataclass(frozen=True)
class PlatformQueue:
    """A queue that the platform consumes, not a worker of this project. A deployment may leave it
    out: then `ports.producer(binding)` returns None. wrangler.toml names the queue.
    """

    binding: str


@dataclass(frozen=True)
class WorkerQueue:
    """A queue that another worker of this project consumes, and this one sends to."""

    binding: str
    queue: str


@dataclass(frozen=True)
class Secret:
    """A secret. `mauntic provision` reads its value from the environment variable of the same name.

    With `is_generated` it makes a random value if no worker has one yet, the same for all workers.
    With `per_worker` every worker has its own value: the variable ends with `_` and the env in
    capitals, for example `HEARTBEAT_URL_SCORING`.
    """

    name: str
    per_worker: bool = False
    is_generated: bool = False

    def variable(self, env: str) -> str:
        """Return the name of the environment variable that holds the value for a worker.

        >>> Secret("HEARTBEAT_URL", per_worker=True).variable("scoring")
        'HEARTBEAT_URL_SCORING'
        """
        suffix = f"_{env.upper().replace('-', '_')}" if self.per_worker else ""
        return f"{self.name}{suffix}"


@dataclass(frozen=True)
class Variable:
    """A variable with the same value in every deployment. `make catalogue` writes it."""

    name: str
    value: str


Binding = R2Bucket | PlatformQueue | WorkerQueue | Secret | Variable

# Every worker may have these. Each has its own heartbeat: with a shared address, one worker hides
# that another is down.
COMMON_SECRETS = (Secret("ALERT_WEBHOOK_URL"), Secret("HEARTBEAT_URL", per_worker=True))
