"""The external monitor of heartbeats: a small server that records the requested paths."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@dataclass(frozen=True)
class Watcher:
    """The address of the server, and the requested paths."""

    url: str
    asked: list[str] = field(default_factory=list)


@contextmanager
def watching() -> Iterator[Watcher]:
    """Yield the running server."""

    class Notes(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            watcher.asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Notes)
    watcher = Watcher(f"http://127.0.0.1:{server.server_address[1]}/ping/analytics")
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield watcher
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
