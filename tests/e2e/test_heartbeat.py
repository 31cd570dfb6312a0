"""The sign of life on the real runtime: a small server notes who asks for what."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from analytics.worker import WORKER
from tests.e2e.system import DAY, HOURLY, started

pytestmark = pytest.mark.e2e


@contextmanager
def watcher() -> Iterator[tuple[str, list[str]]]:
    """A server; its address, and the paths that it was asked for."""
    asked: list[str] = []

    class Notes(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Notes)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/ping/analytics", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_tick_says_that_it_has_done_its_work_or_that_it_has_not() -> None:
    with watcher() as (url, asked), started(variables={"HEARTBEAT_URL": url}) as system:
        system.tick(DAY)
        assert asked == ["/ping/analytics"]
        system.run("alter table ops.schedules rename to elsewhere")
        system.control.fire_cron(WORKER.name, HOURLY, DAY)
        assert asked == ["/ping/analytics", "/ping/analytics/fail"]
        assert [one["error_class"] for one in system.logged("dispatch.ledger_unavailable")] == [
            "DatabaseError:42P01"
        ]
