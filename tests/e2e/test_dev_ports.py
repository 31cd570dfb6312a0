"""Every port of a complete `mauntic dev`, including Postgres', and what an unauthenticated client
gets there.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import psutil
import pytest

from mauntic.database.embedded.account import account_for, temporary_directory
from shared import hook_token, unsubscribe_token
from shared.unsubscribe_token import UnsubscribeIds
from tests.accounts import as_stranger, needs_root
from tests.mauntic.cli.commands.test_dev import lines_until, started
from tests.mauntic.harness import QUEUE
from tests.ports import REFUSED, ports_of, status, taken, trickled

pytestmark = pytest.mark.e2e

WAIT_MAX_S = 45  # the longest limit is 20 s; the machine may be busy
PROXY = "/cdn-cgi/local/platform-proxy"
ENDLESS = "Content-Length: 9000000000\r\n\r\n"
# The start of a client's conversation, in each protocol that a port may speak.
BEGINNINGS = {
    "nothing": b"",
    "a head": b"GET /queues HTTP/1.1\r\nX-Slow: ",
    "a body": f"POST /send/{QUEUE} HTTP/1.1\r\nHost: 127.0.0.1\r\n{ENDLESS}".encode(),
    "a body for the proxy": f"POST {PROXY} HTTP/1.1\r\nHost: a\r\n{ENDLESS}".encode(),
    "a login": b"\x00\x00\x23\x28\x00\x03\x00\x00",
}
REQUESTS = [
    *(("GET", path) for path in ("/", "/health", "/queues", f"/tail/{QUEUE}", "/json/list")),
    ("GET", PROXY),
    ("POST", f"/send/{QUEUE}"),
    ("POST", f"/queues/{QUEUE}/messages"),
]
DOORS: tuple[dict[str, str], ...] = (
    {},
    {"Upgrade": "websocket", "Connection": "Upgrade"},
    {"MF-Route-Override": "a"},
)
# Logs in at each port as at Postgres, with valid names: in clear text, with SCRAM, and with a
# hashed password.
LOG_IN = """
import struct
for port in map(int, sys.argv[3:]):
    for password in (b"", b"wrong", sys.argv[1].encode()):
        user, database = (word.encode() for word in sys.argv[1:3])
        names = b"user\\0" + user + b"\\0database\\0" + database + b"\\0\\0"
        frames = struct.pack("!ii", len(names) + 8, 3 << 16) + names
        frames += b"p" + struct.pack("!i", len(password) + 5) + password + b"\\0"
        frames += b"Q" + struct.pack("!i", 13) + b"select 1\\0"
        heard = b""
        with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
            try:
                client.sendall(frames)
                while piece := client.recv(65536):
                    heard += piece
            except OSError:
                pass
        if b"R\\0\\0\\0\\x08\\0\\0\\0\\0" in heard or b"T\\0\\0\\0" in heard:
            print(port, password, heard)
"""


@dataclass(frozen=True)
class Running:
    """A running `mauntic dev`, and the secrets that only its owner may know."""

    pid: int
    ports: set[int]
    secrets: tuple[str, ...]
    names: tuple[str, str]
    home: Path
    address: str
    settings: dict[str, str]

    @property
    def words(self) -> list[str]:
        return [str(port) for port in sorted(self.ports)]

    def processes(self) -> list[psutil.Process]:
        process = psutil.Process(self.pid)
        return [process, *process.children(recursive=True)]


@pytest.fixture(scope="module")
def system() -> Iterator[Running]:
    home = temporary_directory(account_for(None))
    try:
        with started("", home, "--env", "hooks") as process:
            [address] = lines_until(process, "dev.ready")[-1]["requests"]
            state = json.loads((home / "runtime.json").read_text())
            database = urlsplit(state["database_url"])
            yield Running(
                process.pid,
                ports_of(process.pid),
                (state["token"], str(database.password), state["settings"]["HOOK_KEYS"]),
                (str(database.username), database.path[1:]),
                home,
                address,
                state["settings"],
            )
            process.terminate()
            process.wait(60)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def test_no_port_serves_an_unauthenticated_client(system: Running) -> None:
    assert len(system.ports) >= 5, "control API, workerd's, miniflare's, the pool's, Postgres'"
    answers = {
        (port, *request, *door): status(port, *request, door, "[]")
        for port in system.ports
        for request in REQUESTS
        for door in DOORS
    }
    hooks = urlsplit(system.address).port
    outside = {code for key, code in answers.items() if key[0] == hooks}
    assert outside == {404}  # of the worker, which is open to everyone
    inside = {key: code for key, code in answers.items() if key[0] != hooks}
    assert {key: code for key, code in inside.items() if code not in {None, *REFUSED}} == {}
    assert len({key[0] for key, code in answers.items() if code is not None}) >= 3


def test_the_hooks_worker_is_served_with_keys_of_this_machine(system: Running) -> None:
    assert system.settings["HOOKS_BASE_URL"] == system.address
    keys = [system.settings[name].encode() for name in ("HOOK_KEYS", "UNSUBSCRIBE_KEYS")]
    ids = UnsubscribeIds(UUID(int=1), UUID(int=2), UUID(int=3))
    with httpx.Client(base_url=system.address, trust_env=False, timeout=60) as http:
        assert http.get(f"/u/{unsubscribe_token.sign(ids, keys[1:])}").status_code == 200
        assert http.get(f"/u/{unsubscribe_token.sign(ids, keys[:1])}").status_code == 404
        url = hook_token.hook_url(system.address, "ses", UUID(int=1), keys[:1])
        assert http.post(url, content=b"{}").status_code == 200


def test_no_port_lets_one_log_in_without_the_password(system: Running) -> None:
    logged_in = subprocess.run(
        [sys.executable, "-c", f"import socket, sys{LOG_IN}", *system.names, *system.words],
        capture_output=True, text=True,
    )  # fmt: skip
    assert (logged_in.stdout, logged_in.stderr) == ("", "")


@needs_root
def test_another_account_logs_in_nowhere(system: Running) -> None:
    logged_in = as_stranger(LOG_IN, *system.names, *system.words)
    assert (logged_in.stdout, logged_in.stderr) == ("", "")


def test_no_secret_is_an_argument(system: Running) -> None:
    arguments = [word for one in system.processes() for word in one.cmdline()]
    assert [word for word in arguments if any(secret in word for secret in system.secrets)] == []


def test_what_it_writes_is_closed_to_others(system: Running) -> None:
    """The data belong to the server, in a separate directory; a folder above may be traversed."""
    data = system.home / "postgres" / "data"
    assert data.stat().st_mode & 0o077 == 0
    outside = [
        path
        for path in system.home.rglob("*")
        if not path.is_relative_to(data) and path != system.home / "errors"  # this test's own
    ]
    assert [path for path in outside if path.is_file() and path.stat().st_mode & 0o077] == []
    assert [path for path in outside if path.is_dir() and path.stat().st_mode & 0o066] == []


def test_a_slow_client_is_left_at_every_port(system: Running) -> None:
    with ThreadPoolExecutor(64) as pool:
        waits = {
            (port, name): pool.submit(trickled, port, beginning)
            for port in system.ports
            for name, beginning in BEGINNINGS.items()
        }
        seconds = {key: wait.result() for key, wait in waits.items()}
    assert {key: waited for key, waited in seconds.items() if waited > WAIT_MAX_S} == {}


def test_no_port_reads_an_unauthenticated_client_to_the_end(system: Running) -> None:
    """The kernel buffers some megabytes per connection; nothing of them is kept."""
    before = max(one.memory_info().rss for one in system.processes())
    bytes_taken = {
        (port, name): taken(port, beginning, 200_000_000)
        for port in system.ports
        for name, beginning in BEGINNINGS.items()
    }
    assert {key: count for key, count in bytes_taken.items() if count > 20_000_000} == {}
    assert max(one.memory_info().rss for one in system.processes()) < before + 50_000_000
