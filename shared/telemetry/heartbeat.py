"""A sign of life for whoever watches from outside: what no worker can notice about itself.

The convention is that of Healthchecks and its kind: a GET says that a tick has done its work, a GET
with `/fail` at the end of the address that it has not. If neither comes, no tick has fired.
"""

from __future__ import annotations

import asyncio

from shared.ports import Ports

TIMEOUT_S = 5


async def beat(ports: Ports, *, ok: bool) -> None:
    """Ask for `HEARTBEAT_URL`, if it is set. Never raises."""
    url = ports.settings.heartbeat_url
    if url is None:
        return
    try:
        async with asyncio.timeout(TIMEOUT_S):
            status = await ports.http.get(url if ok else f"{url.rstrip('/')}/fail")
        problem = None if status < 300 else f"the address answered {status}"
    except Exception as error:  # whatever the network did, the tick is done
        problem = f"the address did not answer: {type(error).__name__}"
    if problem:
        ports.log("heartbeat.unsent", level="warning", error=problem)
