"""A worker's `fetch` handler: from the runtime's request to a WebHandler and back.

The worker is open to the internet. Its handler gets no database, bodies are limited, and a failure
returns a status without a text.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

from shared.adapters.bindings import producer_of, settings_of
from shared.adapters.clock import InvocationClock
from shared.adapters.crypto import WebCrypto
from shared.adapters.javascript import RuntimeSubtle, headers_of, read_stream
from shared.adapters.r2 import BoundBucket
from shared.adapters.telemetry import Telemetry
from shared.errors import error_class
from shared.ports import WebHandler, WebPorts, WebRequest, WebResponse
from shared.telemetry.redaction import describe_error, safe_traceback

REQUEST_BYTES_MAX = 5_000_000


async def answer_request(request: Any, env: Any, handler: WebHandler) -> Any:
    """Run `handler` for a `workers.Request`; return the `workers.Response`."""
    from workers import Response  # only the runtime has it

    telemetry = Telemetry(lambda: None, lambda text: None)
    raw = request.js_object
    try:
        body, is_truncated = await read_stream(raw.body, REQUEST_BYTES_MAX)
        if is_truncated:
            response = WebResponse(413)
        else:
            web_request = WebRequest(str(raw.method), str(raw.url), headers_of(raw.headers), body)
            response = await respond(web_request, handler, web_ports(env, telemetry))
    finally:
        telemetry.flush()
    body_or_none = response.body or None  # a 204 must not have a body, not even an empty one
    return Response(body_or_none, status=response.status, headers=dict(response.headers))


async def respond(request: WebRequest, handler: WebHandler, ports: WebPorts) -> WebResponse:
    """Run the handler; an exception is logged and becomes a 500 without a text."""
    try:
        return await handler(request, ports)
    except Exception as error:
        ports.log(
            "request.failed",
            level="error",
            error_class=error_class(error),
            error=describe_error(error),
            traceback=safe_traceback(error),
        )
        return WebResponse(500)


def web_ports(env: Any, telemetry: Telemetry) -> WebPorts:
    """Return the ports of one request, over the bindings in wrangler.toml."""
    return WebPorts(
        settings=settings_of(env),
        clock=InvocationClock(datetime.now(UTC)),
        random=random.random,
        log=telemetry.log,
        bucket=lambda binding: BoundBucket(getattr(env, binding)),
        producer=lambda binding: producer_of(env, binding),
        crypto=WebCrypto(RuntimeSubtle()),
    )
