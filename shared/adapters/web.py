"""A worker's `fetch` handler: from the runtime's request to a WebHandler and back.

The worker is open to the internet. Its handler gets no database, decides what it reads of a body,
and a failure returns a status without a text.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from shared.adapters.bindings import producer_of, settings_of
from shared.adapters.clock import InvocationClock
from shared.adapters.crypto import WebCrypto
from shared.adapters.javascript import RuntimeSubtle, headers_of, read_stream
from shared.adapters.r2 import BoundBucket
from shared.adapters.telemetry import Telemetry
from shared.errors import error_class
from shared.ports import BodyRefused, WebHandler, WebPorts, WebRequest, WebResponse
from shared.telemetry.redaction import describe_error, safe_traceback

LENGTH_DIGITS_MAX = 20  # of a declared length: Python refuses to parse thousands of digits


async def answer_request(request: Any, env: Any, handler: WebHandler) -> Any:
    """Run `handler` for a `workers.Request`; return the `workers.Response`."""
    from workers import Response  # only the runtime has it

    telemetry = Telemetry(lambda: None, lambda text: None)
    raw = request.js_object
    headers = headers_of(raw.headers)
    web_request = WebRequest(str(raw.method), str(raw.url), headers, body_reader(raw, headers))
    try:
        response = await respond(web_request, handler, web_ports(env, telemetry))
    finally:
        telemetry.flush()
    body_or_none = response.body or None  # a 204 must not have a body, not even an empty one
    return Response(body_or_none, status=response.status, headers=dict(response.headers))


def body_reader(raw: Any, headers: Mapping[str, str]) -> Callable[[int, float], Awaitable[bytes]]:
    """Return the function that reads the body of a request."""

    async def read(bytes_max: int, timeout_s: float) -> bytes:
        declared = headers.get("content-length", "")
        if declared.isdecimal() and int(declared[:LENGTH_DIGITS_MAX]) > bytes_max:
            raise BodyRefused(413)
        try:
            async with asyncio.timeout(timeout_s):  # the runtime's timer
                body, is_truncated = await read_stream(raw.body, bytes_max)
        except TimeoutError:
            raise BodyRefused(408) from None
        except Exception:  # a JsException, whose class the host does not have: the client is gone
            raise BodyRefused(400) from None
        if is_truncated:
            raise BodyRefused(413)
        return body

    return read


async def respond(request: WebRequest, handler: WebHandler, ports: WebPorts) -> WebResponse:
    """Run the handler; an exception is logged and becomes a 500 without a text."""
    try:
        return await handler(request, ports)
    except BodyRefused as refused:
        return WebResponse(refused.status)
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
