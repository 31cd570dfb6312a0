"""A small HTTP server that follows the vendor's API documentation: an account with queues."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

ACCOUNT = "0123456789abcdef0123456789abcdef"
TOKEN = "a-token-that-nobody-may-see"

BATCH_MESSAGES_MAX = 100
BATCH_BYTES_MAX = 256_000
MESSAGE_BYTES_MAX = 128_000
DELAY_MAX_S = 86_400

Answer = tuple[int, Any, dict[str, str]]


@dataclass
class Vendor:
    """The account. `page_items` is the size of a page; `failures` are answered first, in order."""

    url: str = ""
    page_items: int = 100
    queues: dict[str, dict[str, Any]] = field(default_factory=dict)
    sent: list[tuple[str, Any]] = field(default_factory=list)
    delays_s: list[int] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    failures: list[Answer] = field(default_factory=list)
    on_sent: Callable[[str, list[Any]], None] = lambda queue, bodies: None

    def add_queue(self, name: str, consumer: str | None = None, backlog: int = 0) -> None:
        consumers = [{"type": "worker", "script": consumer, "settings": {}}] if consumer else []
        self.queues[name] = {
            "queue_id": id_of(name),
            "queue_name": name,
            "settings": {"delivery_paused": False, "delivery_delay": 0},
            "consumers": consumers,
            "consumers_total_count": len(consumers),
            "backlog": backlog,
        }

    def bodies(self, queue: str) -> list[Any]:
        """Return the messages that were sent to a queue."""
        return [body for name, body in self.sent if name == queue]

    def answer(self, method: str, target: str, headers: Any, content: bytes) -> Answer:
        self.requests.append((method, target))
        if headers.get("authorization") != f"Bearer {TOKEN}":
            return failure(401, 10000, "Authentication error")
        if self.failures:
            return self.failures.pop(0)
        parts = urlsplit(target)
        base, _, path = parts.path.partition(f"/accounts/{ACCOUNT}/")
        if base != "/client/v4":
            return failure(403, 10000, "Authentication error")
        if path == "analytics_engine/sql":
            return self._sql(content.decode())
        body = json.loads(content) if content else None
        return self._route(method, path.split("/"), parse_qs(parts.query), body)

    def _route(self, method: str, path: list[str], query: Any, body: Any) -> Answer:
        by_id = {queue["queue_id"]: queue for queue in self.queues.values()}
        match (method, path):
            case ("GET", ["queues"]):
                return self._page(query)
            case (_, ["queues", queue_id, *_]) if queue_id not in by_id:
                return failure(404, 11000, "queue not found")
            case ("PATCH", ["queues", queue_id]):
                by_id[queue_id]["settings"] |= body["settings"]
                return success(by_id[queue_id])
            case ("GET", ["queues", queue_id, "metrics"]):
                return self._backlog(by_id[queue_id])
            case ("POST", ["queues", queue_id, "messages", "batch"]):
                return self._send(by_id[queue_id]["queue_name"], body)
        return failure(404, 7003, "Could not route to this path")

    def _page(self, query: Any) -> Answer:
        page = int(query.get("page", ["1"])[0])
        size = min(self.page_items, int(query.get("per_page", ["20"])[0]))
        everything = list(self.queues.values())
        info = {
            "page": page,
            "per_page": size,
            "total_count": len(everything),
            "total_pages": -(-len(everything) // size),
        }
        return success(everything[(page - 1) * size : page * size], info)

    def _backlog(self, queue: dict[str, Any]) -> Answer:
        count = queue["backlog"]
        oldest = 1_770_000_000_000 if count else 0
        return success(
            {
                "backlog_count": count,
                "backlog_bytes": count * 100,
                "oldest_message_timestamp_ms": oldest,
            }
        )

    def _send(self, queue: str, body: Any) -> Answer:
        messages = body["messages"]
        sizes = [len(json.dumps(message["body"]).encode()) for message in messages]
        if len(messages) > BATCH_MESSAGES_MAX or sum(sizes) > BATCH_BYTES_MAX:
            return failure(413, 10022, "batch is too large")
        if any(size > MESSAGE_BYTES_MAX for size in sizes):
            return failure(413, 10021, "message is too large")
        for message in messages:
            if message["content_type"] != "json":
                return failure(400, 10023, "not JSON")
            if not 0 <= message["delay_seconds"] <= DELAY_MAX_S:
                return failure(400, 10024, "delay is out of range")
        bodies = [message["body"] for message in messages]
        self.sent += [(queue, one) for one in bodies]
        self.delays_s += [message["delay_seconds"] for message in messages]
        self.on_sent(queue, bodies)
        return success({"metadata": {"metrics": {"backlog_count": len(messages)}}})

    def _sql(self, statement: str) -> Answer:
        self.statements.append(statement)
        return 200, {"meta": [], "data": self.rows, "rows": len(self.rows)}, {}


def id_of(name: str) -> str:
    """Return an identifier in the vendor's form."""
    return hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()


def success(result: Any, info: Any = None) -> Answer:
    envelope = {"success": True, "errors": [], "messages": [], "result": result}
    return 200, envelope | ({"result_info": info} if info else {}), {}


def failure(status: int, code: int, message: str, **headers: str) -> Answer:
    errors = [{"code": code, "message": message}]
    envelope = {"success": False, "errors": errors, "messages": [], "result": None}
    return status, envelope, {name.replace("_", "-"): value for name, value in headers.items()}


@contextmanager
def running() -> Iterator[Vendor]:
    """The server on a free port, until the end of the block."""
    vendor = Vendor()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(vendor))
    server.daemon_threads = False  # its end waits for theirs, and their sockets close with them
    vendor.url = f"http://127.0.0.1:{server.server_port}/client/v4"
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True)
    thread.start()
    try:
        yield vendor
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(vendor: Vendor) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Reads one request, and writes the account's answer."""

        protocol_version = "HTTP/1.1"
        timeout = 10

        def handle_one(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            content = self.rfile.read(length)
            status, value, headers = vendor.answer(self.command, self.path, self.headers, content)
            text = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            for name, header in {"content-type": "application/json", **headers}.items():
                self.send_header(name, header)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            with suppress(BrokenPipeError, ConnectionResetError):  # the client did not wait
                self.wfile.write(text)

        do_GET = do_POST = do_PATCH = handle_one

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing: standard error belongs to the command."""

    return Handler
