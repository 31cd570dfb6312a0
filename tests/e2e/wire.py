"""The wire between a worker and Postgres: it can break when a commit has reached the server."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

# A commit that a transaction ends with. A statement outside of one carries its commit behind it.
COMMIT = b"Q\0\0\0\x0bcommit\0"
CHUNK_BYTES = 65_536


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
            answers = threading.Thread(target=_pump, args=(server, client), daemon=True)
            answers.start()
            try:
                self._ask(client, server)
            finally:  # a client that was killed is gone for the server too
                server.shutdown(socket.SHUT_WR)
                answers.join()

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        """What the client says, up to a commit whose answer is to be lost."""
        while said := client.recv(CHUNK_BYTES):
            if self.loses and said == COMMIT:
                self.loses -= 1
                client.shutdown(socket.SHUT_RDWR)  # before: no answer can slip through
                server.sendall(said)
                return
            server.sendall(said)


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Carry bytes to the end; what can no longer be delivered is read and lost."""
    with suppress(OSError):
        while said := source.recv(CHUNK_BYTES):
            with suppress(OSError):
                target.sendall(said)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
