"""Signals to an external monitor, which notices that no tick fires: no worker can.

The convention is that of Healthchecks: a GET reports a tick that succeeded, a GET of the same URL
with `/fail` appended one that failed. The monitor alerts when neither arrives.
"""

from __future__ import annotations

from shared.ports import Ports

TIMEOUT_S = 5


async def beat(ports: Ports, *, ok: bool) -> None:
    """Request `HEARTBEAT_URL`, if it is set. Never raises."""
    url = ports.settings.heartbeat_url
    if url is None:
        return
    try:
        address = url if ok else f"{url.rstrip('/')}/fail"
        response = await ports.http.request("GET", address, timeout_s=TIMEOUT_S)
        problem = None if response.status < 300 else f"the address answered {response.status}"
    except Exception as error:  # the tick is done, whether or not the monitor responds
        problem = f"the address did not answer: {type(error).__name__}"
    if problem:
        ports.log("heartbeat.unsent", level="warning", error=problem)
