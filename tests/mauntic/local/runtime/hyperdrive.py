"""The connection pool alone, in its own process, and clients of its protocol."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

from tests.mauntic.local.runtime.harness import NODE, ROOT

SERVE = """
import { openHyperdrive } from "./mauntic/local/hyperdrive/hyperdrive.mjs";
const { url, close } = await openHyperdrive(process.argv[1]);
console.log(url);
process.stdin.on("close", close).resume();
"""

Pace = Callable[[bytes], Iterator[bytes]]


@contextmanager
def hyperdrive(database_url: str) -> Iterator[str]:
    """Yield the URL of a pool, which must end when it is closed."""
    process = subprocess.Popen(
        [NODE, "--input-type=module", "-e", SERVE, database_url],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        code = process.wait(timeout=20)
        process.stdout.close()
    assert code == 0


def at(url: str, port: int) -> str:
    """The same database behind another port."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{port}"))


@contextmanager
def relayed(url: str, pace: Pace) -> Iterator[str]:
    """Yield the URL behind a relay that passes on both directions at the given rate."""
    parts = urlsplit(url)
    address = str(parts.hostname), int(parts.port or 0)
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(100) as threads:
        threads.submit(_accept, listener, address, pace, threads)
        yield at(url, listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)


def _accept(
    listener: socket.socket, address: tuple[str, int], pace: Pace, threads: ThreadPoolExecutor
) -> None:
    with suppress(OSError):  # closed: the test is over
        while True:
            client, _ = listener.accept()
            threads.submit(_relay, client, address, pace, threads)


def _relay(
    client: socket.socket, address: tuple[str, int], pace: Pace, threads: ThreadPoolExecutor
) -> None:
    with client, socket.create_connection(address) as server:
        for side in (client, server):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answers = threads.submit(_pump, server, client, pace)
        _pump(client, server, pace)
        answers.result()


def _pump(source: socket.socket, target: socket.socket, pace: Pace) -> None:
    with suppress(OSError):
        while output := source.recv(65_536):
            for piece in pace(output):
                target.sendall(piece)
    for side in (source, target):
        with suppress(OSError):  # the other way has ended first
            side.shutdown(socket.SHUT_RDWR)


def byte_by_byte(output: bytes) -> Iterator[bytes]:
    for byte in output:
        yield bytes([byte])


def late(output: bytes) -> Iterator[bytes]:
    time.sleep(0.02)
    yield output
