"""The worker mauntic-delivery-hooks, as the runtime sees it."""

from typing import Any

from hooks.worker import answer
from shared.adapters.web import answer_request
from workers import WorkerEntrypoint


class Default(WorkerEntrypoint):
    """It answers requests, and has no other handler."""

    async def fetch(self, request: Any, env: Any = None, ctx: Any = None) -> Any:
        return await answer_request(request, self.env, answer)
