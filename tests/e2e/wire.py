"""A relay between a worker and Postgres that can break after a commit has reached the server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

COMMIT = b"Q\0\0\0\x0bcommit\0"
BEGIN = b"begin"
SYNC, QUERY = b"S", b"Q"
SSL_REQUEST = 80_877_103
CHUNK_BYTES = 65_536


class Frames:
    """The frames of a client, however the network splits them, and the ends of transactions.

    A single statement has a begin and a commit around it too; a transaction has more statements.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._has_started = False
        self._statements = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield each frame that is complete."""
        self._rest += chunk
        while len(self._rest) >= 8 or (self._has_started and len(self._rest) >= 5):
            head = 1 if self._has_started else 0  # the first frame has no type
            length = head + int.from_bytes(self._rest[head : head + 4], "big")
            if len(self._rest) < length:
                return
            frame, self._rest = self._rest[:length], self._rest[length:]
            if not self._has_started:
                self._has_started = int.from_bytes(frame[4:8], "big") != SSL_REQUEST
            yield frame

    def ends_transaction(self, frame: bytes) -> bool:
        """Return whether the frame commits a transaction of several statements."""
        if frame[:1] == QUERY and BEGIN in frame:
            self._statements = 0
        elif frame[:1] == SYNC:
            self._statements += 1
        return frame == COMMIT and self._statements > 1


class Wire:
    """A TCP relay to the server of `url`; a context manager. `loses`: answers still to lose."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        self._server = parts.hostname, parts.port
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        host = parts.netloc.rpartition(":")[0]
        self.url = urlunsplit(parts._replace(netloc=f"{host}:{port}"))
        self.loses = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed: the test is over
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(self._server) as server:
            for side in (client, server):  # else a small frame waits 40 ms for the one before it
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            answers = threading.Thread(target=_pump, args=(server, client), daemon=True)
            answers.start()
            try:
                self._ask(client, server)
            finally:  # the server also loses a client that was killed
                server.shutdown(socket.SHUT_WR)
                answers.join()

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        """Carry the client's bytes, up to a commit whose answer is to be lost."""
        frames = Frames()
        while received := client.recv(CHUNK_BYTES):
            for frame in frames.feed(received):
                if frames.ends_transaction(frame) and self.loses:
                    self.loses -= 1
                    client.shutdown(socket.SHUT_RDWR)  # before the commit: no answer can pass
                    server.sendall(frame)
                    return
                server.sendall(frame)


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Carry bytes to the end; bytes that can no longer be delivered are read and dropped."""
    with suppress(OSError):
        while text := source.recv(CHUNK_BYTES):
            with suppress(OSError):
                target.sendall(text)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
