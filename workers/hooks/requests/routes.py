"""The routes of the worker. What is not listed here is a 404."""

from __future__ import annotations

from hooks.domain.limits import Limits
from hooks.domain.paths import HookPath, UnsubscribePath, parse
from hooks.requests.answers import NOT_FOUND
from hooks.requests.unsubscribe import show, unsubscribe
from hooks.requests.webhook import receive
from shared.ports import WebPorts, WebRequest, WebResponse


async def route(request: WebRequest, ports: WebPorts, limits: Limits) -> WebResponse:
    """Answer a request; nothing of it is logged."""
    match request.method, parse(request.url):
        case "POST", HookPath() as path:
            return await receive(request, path, ports, limits)
        case "POST", UnsubscribePath() as path:
            return await unsubscribe(request, path, ports, limits)
        case "GET" | "HEAD", UnsubscribePath() as path:
            return show(request, path, ports, limits)
    return NOT_FOUND
