"""Declare a worker that only answers requests from the internet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from shared.bindings import Binding
from shared.queues import Queue


@dataclass(frozen=True)
class WebWorker:
    """A worker with a `fetch` handler. It has no queue of its own, no cron, no gate, no database.

    `address` is the variable of a deployment with its public URL: `https://` and a host. `bindings`
    are what its handler uses.
    """

    name: str
    env: str
    address: str
    bindings: tuple[Binding, ...] = ()
    queues: ClassVar[Sequence[Queue]] = ()
    crons: ClassVar[Sequence[str]] = ()

    @property
    def all_bindings(self) -> list[Binding]:
        """Return the bindings."""
        return list(self.bindings)
