"""The ports of a local system, and what an unauthenticated client can do there."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from http.client import HTTPConnection
from typing import Any

import psutil

REFUSED = {400, 401, 403}


def ports_of(pid: int) -> set[int]:
    """Return every TCP port on which the process or a child listens; on loopback only."""
    process = psutil.Process(pid)
    found = [
        connection.laddr
        for one in [process, *process.children(recursive=True)]
        for connection in connections_of(one)
        if connection.status == psutil.CONN_LISTEN or connection.type == socket.SOCK_DGRAM
    ]
    assert {address.ip for address in found} <= {"127.0.0.1", "::1"}
    return {address.port for address in found}


def connections_of(process: psutil.Process) -> list[Any]:
    """Return the process's connections; none if it has ended since it was listed."""
    with suppress(psutil.NoSuchProcess):
        return list(process.net_connections("inet"))
    return []


def status(
    port: int, method: str, path: str, headers: dict[str, str], body: str | None = None
) -> int | None:
    """Return the status of the answer; None if the port speaks no HTTP and closes."""
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body if method == "POST" else None, headers)
        return connection.getresponse().status
    except OSError:
        return None
    except Exception as error:  # the answer is not HTTP
        raise AssertionError(f"port {port} answers {error!r}") from None
    finally:
        connection.close()


def trickled(port: int, head: bytes, wait_max_s: float = 60) -> float:
    """Return for how many seconds the port waits for a client that sends a byte now and then, or
    sends nothing.
    """
    began = time.monotonic()
    address = ("127.0.0.1", port)
    with socket.create_connection(address, timeout=60) as client, suppress(OSError):
        client.sendall(head)
        client.settimeout(0.5)
        while time.monotonic() < began + wait_max_s:
            client.sendall(b"a" if head else b"")
            with suppress(TimeoutError):
                if not client.recv(1):
                    break
    return time.monotonic() - began


def taken(port: int, head: bytes, bytes_max: int) -> int:
    """Return how many bytes the port reads of an endless client before it closes."""
    sent = 0
    with (
        socket.create_connection(("127.0.0.1", port), timeout=60) as client,
        suppress(OSError),
    ):
        client.sendall(head)
        while sent < bytes_max:
            sent += client.send(b"a" * 65_536)
    return sent
