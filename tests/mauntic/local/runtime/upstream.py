"""A server that the toy workers call."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class Upstream(BaseHTTPRequestHandler):
    """A server that shows what it received, or misbehaves as its path states."""

    def do_GET(self) -> None:
        if self.path == "/slow":
            time.sleep(5)
        if self.path == "/hang-up":
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        seen = {
            "method": self.command, "path": self.path, "probe": self.headers["x-probe"],
            "asked": self.headers["x-forwarded-host"], "bytes": list(body[:8]),
        }  # fmt: skip
        content = b"x" * 100_000 if self.path == "/large" else json.dumps(seen).encode()
        self.send_response({"/redirect": 302, "/missing": 404}.get(self.path, 200))
        self.send_header("location", "/elsewhere")
        self.send_header("X-Echo", "yes")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_PUT = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def upstream_server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
