"""The connections to Postgres that all workers share, and the limit of each queue."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from mauntic.project.programs import ROOT
from shared.jobs import Worker

SETTING = "hyperdrive_connections"
# A consumer of dead letters archives them in one transaction after the other.
DEAD_LETTER_CONNECTIONS = 1


@dataclass(frozen=True)
class Share:
    """The most connections that the consumers of a queue hold."""

    queue: str
    connections: int


@cache
def connection_limit() -> int:
    """Return the number of connections that Hyperdrive may open: `hyperdrive_connections` in the
    table `[tool.mauntic]` of pyproject.toml. It must be below Postgres' own `max_connections`.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return int(project["tool"]["mauntic"][SETTING])


def shares(workers: Sequence[Worker]) -> Iterator[Share]:
    """Yield the limit of each queue and each dead-letter queue, as declared."""
    for worker in workers:
        for queue in worker.queues:
            yield Share(queue.name, queue.max_concurrency * queue.connections)
            yield Share(queue.dead_letter_name, DEAD_LETTER_CONNECTIONS)


def held(workers: Sequence[Worker]) -> int:
    """Return the most connections that all consumers together hold."""
    return sum(share.connections for share in shares(workers))
