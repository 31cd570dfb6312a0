"""Every port of the local system: which clients it admits, and how much an unauthenticated one
gets.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from struct import pack
from urllib.parse import urlsplit

import psutil
import pytest

from mauntic.database.embedded.server import Server as PostgresServer
from mauntic.local.control_client import Control
from tests.accounts import as_stranger, needs_root
from tests.mauntic.local.runtime.harness import Server
from tests.mauntic.local.runtime.hyperdrive import hyperdrive
from tests.ports import REFUSED, ports_of, status, trickled

pytestmark = pytest.mark.e2e

KEY = "secret.txt"
PAGE = {"Host": "evil.example", "Origin": "https://evil.example", "Content-Type": "text/plain"}
MESSAGES = json.dumps([{"body": {"n": 1}}])
# What the ports would answer to an authorized client.
REQUESTS = [
    ("GET", "/", {}),
    ("GET", "/health", {}),
    ("GET", "/queues", {}),
    ("GET", "/tail/work", {}),
    ("GET", "/load/toy-alpha", {}),
    ("GET", f"/r2/toy-bucket/{KEY}", {}),
    ("GET", f"/cdn-cgi/local/r2/public/toy-bucket/{KEY}", {}),
    ("GET", "/cdn-cgi/local/scheduled?cron=*", {}),
    ("GET", "/cdn-cgi/local/explorer", {}),
    ("GET", "/cdn-cgi/local/platform-proxy", {}),
    ("GET", "/cdn-cgi/local/platform-proxy", {"MF-Op": "GET", "MF-Op-Target": "[0]"}),
    ("GET", "/", {"MF-Route-Override": "toy-alpha"}),
    ("POST", "/send/work", {}),
    ("POST", "/send/work", PAGE),
    ("POST", "/pause/work", PAGE),
    ("POST", "/queues/work/messages", {"Content-Type": "text/plain"}),
    ("GET", "/queues", {"Authorization": "Bearer " + "0" * 64, "X-Local-Secret": "0" * 64}),
]


@pytest.fixture
def with_object(server: Server) -> Iterator[Server]:
    server.api.put(f"/r2/toy-bucket/{KEY}", content=b"secret").raise_for_status()
    yield server
    server.api.delete(f"/r2/toy-bucket/{KEY}").raise_for_status()


def test_no_port_answers_without_the_secret(with_object: Server) -> None:
    ports = ports_of(with_object.process.pid)
    assert len(ports) >= 3, "the control API, the broker's, the pool's"
    answers = {
        (port, *request[:2]): status(port, *request, MESSAGES)
        for port in ports
        for request in REQUESTS
    }
    got_in = {key: code for key, code in answers.items() if code not in {None, *REFUSED}}
    assert got_in == {}
    spoken = {port for (port, *_), code in answers.items() if code is not None}
    assert len(spoken) >= 2, "the test has found the HTTP ports"
    seen = with_object.ask("/seen")
    assert (seen["batches"], seen["crons"]) == ([], []), "and nothing was delivered"
    assert not with_object.get("/queues")["work"]["paused"]


CONNECT = """
import sys, urllib.request, urllib.error
open_url = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
for port in sys.argv[1:]:
    for path in ("/health", "/queues", "/cdn-cgi/local/r2/public/toy-bucket/secret.txt"):
        try:
            print(port, path, open_url(f"http://127.0.0.1:{port}{path}", timeout=20).status)
        except urllib.error.HTTPError as error:
            assert error.code in (400, 401, 403), (port, path, error.code)
        except OSError:
            pass
"""
READ = """
import sys
for name in ("cmdline", "environ"):
    try:
        print(open(f"/proc/{sys.argv[1]}/{name}").read())
    except OSError:
        pass
"""


@needs_root
def test_another_account_gets_nowhere(with_object: Server) -> None:
    got_in = as_stranger(CONNECT, *map(str, ports_of(with_object.process.pid)))
    assert (got_in.stdout, got_in.stderr, got_in.returncode) == ("", "", 0)


@needs_root
def test_another_account_reads_the_secret_nowhere(server: Server) -> None:
    process = psutil.Process(server.process.pid)
    for one in [process, *process.children(recursive=True)]:
        seen = as_stranger(READ, str(one.pid))
        assert seen.returncode == 0, seen
        assert server.token not in seen.stdout
        assert server.token not in " ".join(one.cmdline())


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.test"},
        {"origin": "null"},
        {"host": "evil.test"},
        {"host": "127.0.0.1.evil.test"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_web_page_is_refused_even_with_the_token(server: Server, headers: dict[str, str]) -> None:
    assert server.api.get("/workers").status_code == 200
    assert server.api.get("/workers", headers=headers).status_code == 403


def test_the_token_is_new_at_every_start_and_long(server: Server) -> None:
    assert len(bytes.fromhex(server.token)) == 32
    wrong = server.token[:-1] + ("1" if server.token[-1] == "0" else "0")
    headers = {"authorization": f"Bearer {wrong}"}
    assert server.api.get("/workers", headers=headers).status_code == 401


def test_what_the_system_writes_is_its_owner_s_alone(with_object: Server, project: Path) -> None:
    """Objects, metric points and the bundles, with any umask of the shell."""
    with_object.ask('/points?points=[{"blobs": ["a"]}]')
    written = [path for path in (project / ".local").rglob("*") if path.is_file()]
    assert any(path.name == "metrics.jsonl" for path in written)
    assert any("sqlite" in path.name for path in written)
    open_to_others = [path for path in written if path.stat().st_mode & 0o077]
    assert open_to_others == []


# --- what is malformed ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["__proto__", "constructor", "toString", "hasOwnProperty"])
def test_a_queue_is_no_property_of_javascript(server: Server, name: str) -> None:
    for action in ("pause", "resume", "messages"):
        assert server.request("POST", f"/queues/{name}/{action}", []).status_code == 404
    assert server.request("GET", f"/queues/{name}/tail").status_code == 404
    assert server.request("POST", "/queues/idle", {"queues": [name]}).status_code == 404


DEEP = b'{"body":' * 20_000 + b"1" + b"}" * 20_000
MALFORMED = [
    ("GET", "/r2/toy-bucket/%ff", b""),
    ("POST", "/queues/%ff/pause", b""),
    ("GET", "/metrics?since=now", b""),
    *(("POST", "/cron", body) for body in (b"null", b"[]", b"1", b'"a"', b"{")),
    ("POST", "/cron", b'{"worker": "toy-alpha", "cron": "* * * * *", "scheduledTime": "x"}'),
    ("POST", "/cron", b'{"worker": "toy-alpha", "cron": "* * * * *", "scheduledTime": 1e300}'),
    ("POST", "/fetch", b"null"),
    ("POST", "/fetch", b'{"worker": "toy-alpha", "url": "http://["}'),
    ("POST", "/fetch", b'{"worker": "toy-alpha", "url": 1}'),
    ("POST", "/fetch", b'{"worker": "toy-alpha", "url": "http://a/", "method": " "}'),
    ("POST", "/reload", b"null"),
    ("POST", "/clock", b'{"ahead_ms": "x"}'),
    ("POST", "/clock", b'{"ahead_ms": 1e15}'),
    ("POST", "/queues/idle", b'{"queues": 1}'),
    ("POST", "/queues/idle", b'{"queues": [1]}'),
    ("POST", "/queues/idle", b'{"timeout_ms": "x"}'),
    ("POST", "/queues/work/messages", b"{}"),
    ("POST", "/queues/work/messages", b"[null]"),
    ("POST", "/queues/work/messages", b'[{"body": 1, "delaySeconds": "x"}]'),
    ("POST", "/queues/work/messages", b"[" + DEEP + b"]"),
    ("PUT", "/r2/toy-bucket/" + "a" * 1_025, b"1"),
]


@pytest.mark.parametrize(("method", "path", "body"), MALFORMED)
def test_malformed_input_is_refused_in_a_sentence(
    server: Server, method: str, path: str, body: bytes
) -> None:
    answer = server.api.request(method, path, content=body)
    assert (answer.status_code, "    at " in answer.text) == (400, False), answer.text
    with pytest.raises(AssertionError, match="no log event"):
        server.wait_event("log", timeout_s=0.2, level="error")


def test_a_path_that_is_no_path_is_refused(server: Server) -> None:
    for target in ("http://[", "*", "//[", "http://evil.example/queues"):
        head = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {server.token}"
        output = spoken(server, f"{head}\r\nConnection: close\r\n\r\n".encode())
        assert output.startswith(b"HTTP/1.1 400 "), output


# --- what is slow or large --------------------------------------------------------------------


def address(server: Server) -> tuple[str, int]:
    return "127.0.0.1", int(server.api.base_url.port or 0)


def spoken(server: Server, output: bytes) -> bytes:
    """Return everything that is answered until the port closes."""
    with socket.create_connection(address(server), timeout=40) as client:
        client.sendall(output)
        answer = b""
        with suppress(ConnectionResetError):
            while piece := client.recv(65_536):
                answer += piece
        return answer


def test_a_slow_client_is_left(server: Server, postgres: PostgresServer) -> None:
    known = f"Host: 127.0.0.1\r\nAuthorization: Bearer {server.token}\r\n"
    head = b"GET /queues HTTP/1.1\r\nX-Slow: "
    body = f"POST /cron HTTP/1.1\r\n{known}Content-Length: 9999\r\n\r\n".encode()
    with hyperdrive(postgres.url) as url, ThreadPoolExecutor() as pool:
        control, pooled = address(server)[1], urlsplit(url).port or 0
        startup = pack("!ii", 9_000, 3 << 16)
        waits = [
            pool.submit(trickled, control, head),
            pool.submit(trickled, control, body),
            pool.submit(trickled, pooled, startup),
            pool.submit(trickled, pooled, b""),
        ]
        assert all(wait.result() < 40 for wait in waits), [wait.result() for wait in waits]
    assert server.get("/health")["ok"]


def test_a_large_body_is_refused_unread(server: Server) -> None:
    host = "Host: 127.0.0.1\r\n"
    known = f"{host}Authorization: Bearer {server.token}\r\n"
    announced = "Content-Length: 9000000000\r\n\r\n"
    stranger = spoken(server, f"POST /cron HTTP/1.1\r\n{host}{announced}".encode())
    assert stranger.startswith(b"HTTP/1.1 401 ")
    large = b"[" + b" " * 17_000_000 + b"]"
    assert server.api.post("/cron", content=large).status_code == 413
    head = f"POST /cron HTTP/1.1\r\n{known}Transfer-Encoding: chunked\r\n\r\n".encode()
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    with suppress(ConnectionResetError, BrokenPipeError):  # it may hang up while we still speak
        assert spoken(server, head + chunk * 20).startswith(b"HTTP/1.1 413 ")


def test_the_pool_keeps_no_data_of_an_unauthenticated_client(postgres: PostgresServer) -> None:
    """64 MB as one frame, before the password, took half a minute of copying."""
    with hyperdrive(postgres.url) as url:
        where = "127.0.0.1", int(urlsplit(url).port or 0)
        for output in (b"", startup(url) + b"p" + pack("!i", 1 << 30)):
            began, sent = time.monotonic(), 0
            with socket.create_connection(where, timeout=20) as client, suppress(OSError):
                client.sendall(output or pack("!i", 1 << 30))
                while sent < 64_000_000:
                    sent += client.send(b"a" * 65_536)
            assert sent < 64_000_000
            assert time.monotonic() - began < 5


def startup(url: str) -> bytes:
    parts = urlsplit(url)
    body = f"user\0{parts.username}\0database\0{parts.path[1:]}\0\0".encode()
    return pack("!ii", len(body) + 8, 3 << 16) + body


def test_no_proxy_receives_local_requests(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with closing(Control(str(server.api.base_url), server.token)) as control:
        assert control.ask("GET", "/health")["ok"]
