"""Calls into the runtime's JavaScript with plain Python values.

The imports need the runtime, so they are inside the functions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from shared.ports import HttpResponse


class RuntimeFetch:
    """`fetch` of the runtime."""

    async def fetch(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        timeout_s: float,
        bytes_max: int,
    ) -> HttpResponse:
        from js import AbortSignal, fetch

        options: dict[str, Any] = {"method": method, "headers": dict(headers), "redirect": "manual"}
        if body:
            options["body"] = body
        # The runtime's timer, which also ends the reading of the body. Python's clock stands still
        # here.
        options["signal"] = AbortSignal.timeout(round(timeout_s * 1_000))
        response = await fetch(url, to_javascript(options))
        content, is_truncated = await read_stream(response.body, bytes_max)
        return HttpResponse(
            int(response.status), headers_of(response.headers), content, is_truncated
        )


class RuntimeSubtle:
    """`crypto.subtle` of the runtime."""

    async def call(self, method: str, *arguments: Any) -> Any:
        from js import crypto

        converted = [to_javascript(argument) for argument in arguments]
        result = await getattr(crypto.subtle, method)(*converted)
        return result.to_bytes() if hasattr(result, "byteLength") else result


def email_sender(binding: Any) -> Callable[[dict[str, Any]], Awaitable[str]]:
    """Return a function that sends through a `send_email` binding of the environment."""

    async def send(fields: dict[str, Any]) -> str:
        sent = await binding.send(fields)  # the SDK converts both
        return str(sent["messageId"] if isinstance(sent, dict) else sent.messageId)

    return send


def to_javascript(value: Any) -> Any:
    """Convert dicts to plain objects, lists to arrays, bytes to arrays of bytes."""
    from js import Object
    from pyodide.ffi import to_js

    return to_js(value, dict_converter=Object.fromEntries)


def headers_of(headers: Any) -> dict[str, str]:
    """Return the headers by their names in lower case."""
    return {str(pair[0]).lower(): str(pair[1]) for pair in headers.entries()}


async def read_stream(stream: Any, bytes_max: int) -> tuple[bytes, bool]:
    """Read up to `bytes_max` bytes; the second value is True if the stream has more."""
    if not hasattr(stream, "getReader"):  # null: there is no body
        return b"", False
    reader, content = stream.getReader(), bytearray()
    try:
        while not (chunk := await reader.read()).done:
            # No more of a chunk is copied into Python than is kept.
            room = bytes_max - len(content)
            size = int(chunk.value.byteLength)
            content += (chunk.value if size <= room else chunk.value.subarray(0, room)).to_bytes()
            if size > room:
                await reader.cancel()
                return bytes(content), True
    except asyncio.CancelledError:  # the time is over
        reader.cancel()
        raise
    return bytes(content), False
