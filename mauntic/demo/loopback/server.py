"""The server: it finds the provider of a request, decides its outcome, and counts what is taken."""

from __future__ import annotations

import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any, ClassVar

from mauntic.demo.loopback.provider import (
    OF_THE_CALL,
    OF_THE_CONNECTION,
    Answer,
    Call,
    Entry,
    Outcome,
    Provider,
    Refused,
)

GARBLED = Answer(200, "<html>It works!</html>", {"Content-Type": "text/html"})
BAD_REQUEST = Answer(400, "the request is not as the provider demands")
CUT_BYTES = 2  # by which a cut answer is announced to be longer than it is

Rule = Callable[[str, Entry], Outcome]


@dataclass
class Loopback:
    """Providers on a port of this machine.

    `rule` says for each message of a provider what becomes of it. `scripted` overrules it for the
    next requests to a host, one outcome each. `delay_s` delays every answer, and `late` one of a
    recipient. A message is counted when the provider takes it.
    """

    providers: Sequence[Provider]
    rule: Rule = lambda provider, entry: "accept"
    delay_s: float = 0.0
    late: dict[str, float] = field(default_factory=dict)
    scripted: dict[str, deque[Outcome]] = field(default_factory=dict)
    taken: list[tuple[str, Entry]] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)  # requests that send, by provider
    refusals: list[str] = field(default_factory=list)  # what was wrong with requests
    origin: str = ""
    _lock: Lock = field(default_factory=Lock)

    @property
    def hosts(self) -> dict[str, str]:
        """The origin in the place of each host, as `LocalRuntime.connected_hosts` takes it."""
        return {host: self.origin for provider in self.providers for host in provider.hosts}

    def times_taken(self, provider: str) -> Counter[str]:
        """Return how many times the provider has taken a message of each recipient."""
        with self._lock:
            return Counter(entry.to for name, entry in self.taken if name == provider)

    def next_scripted(self, host: str) -> Outcome | None:
        with self._lock:
            script = self.scripted.get(host)
            return script.popleft() if script else None

    def answer(self, call: Call, scripted: Outcome | None) -> tuple[Answer, Outcome]:
        """Return the answer, and what happens to it on its way."""
        provider = next((own for own in self.providers if call.host in own.hosts), None)
        if provider is None:
            return self._refused(Answer(404), f"no provider has the host {call.host}")
        try:
            with self._lock:
                aside = provider.side_answer(call)
                if aside is not None:
                    return aside, "accept"
                self.calls[provider.name] += 1
                entries = provider.entries(call)
        except Refused as refusal:
            return self._refused(refusal.answer, f"{provider.name}: {refusal}")
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            return self._refused(BAD_REQUEST, f"{provider.name}: {type(error).__name__}")
        outcomes = [scripted or self.rule(provider.name, entry) for entry in entries]
        time.sleep(self.delay_s + max(self.late.get(entry.to, 0.0) for entry in entries))
        return self._processed(provider, call, entries, outcomes)

    def _processed(
        self,
        provider: Provider,
        call: Call,
        entries: Sequence[Entry],
        outcomes: Sequence[Outcome],
    ) -> tuple[Answer, Outcome]:
        of_the_call = next((own for own in outcomes if own in OF_THE_CALL), None)
        if of_the_call:
            return provider.failure(of_the_call), "accept"
        on_its_way: Outcome = next((own for own in outcomes if own in OF_THE_CONNECTION), "accept")
        if on_its_way == "lost":
            return GARBLED, "lost"
        settled: list[Outcome] = ["accept" if own in OF_THE_CONNECTION else own for own in outcomes]
        with self._lock:
            takes = provider.takes(settled)
            self.taken += [
                (provider.name, entry)
                for entry, is_taken in zip(entries, takes, strict=True)
                if is_taken
            ]
            return provider.answer(call, entries, settled), on_its_way

    def _refused(self, answer: Answer, why: str) -> tuple[Answer, Outcome]:
        with self._lock:
            self.refusals.append(why)
        return answer, "accept"


class Handler(BaseHTTPRequestHandler):
    """One connection. `X-Forwarded-Host` has the host that the worker asked for."""

    protocol_version = "HTTP/1.1"
    # An answer is two writes: the second would wait 40 ms for an acknowledgement of the first.
    disable_nagle_algorithm = True
    loopback: ClassVar[Loopback]

    def do_POST(self) -> None:
        host = self.headers.get("X-Forwarded-Host", "")
        scripted = self.loopback.next_scripted(host)
        if scripted == "unread":
            self._drop()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        call = Call(self.command, host, self.path.partition("?")[0], headers, body)
        answer, on_its_way = self.loopback.answer(call, scripted)
        if on_its_way in ("lost", "silent"):
            self._drop()
        else:
            self._write(GARBLED if on_its_way == "garbled" else answer, on_its_way == "cut")

    do_GET = do_PUT = do_POST

    def _write(self, answer: Answer, is_cut: bool) -> None:
        content = answer.content()
        self.send_response(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) + (CUT_BYTES if is_cut else 0)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if is_cut else content)
        if is_cut:
            self.wfile.flush()
            self._drop()

    def _drop(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A worker that waits no longer has closed its connection."""


@contextmanager
def serving(loopback: Loopback) -> Iterator[Loopback]:
    """Serve on a free port of 127.0.0.1 until the end."""
    server = Server(("127.0.0.1", 0), type("Bound", (Handler,), {"loopback": loopback}))
    loopback.origin = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield loopback
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
