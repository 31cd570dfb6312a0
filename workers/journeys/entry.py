"""The worker mauntic-journeys-queue, as the runtime sees it."""

from typing import Any

from journeys.worker import WORKER
from shared.adapters.cloudflare import answer_batch, answer_tick
from workers import WorkerEntrypoint


class Default(WorkerEntrypoint):
    """The runtime passes None for `env` and `ctx`; they are in `self.env` and `self.ctx`."""

    async def scheduled(self, controller: Any, env: None = None, ctx: None = None) -> None:
        await answer_tick(controller, self.env, WORKER)

    async def queue(self, batch: Any, env: None = None, ctx: None = None) -> None:
        await answer_batch(batch, self.env, self.ctx, WORKER)
