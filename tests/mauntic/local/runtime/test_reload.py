"""New code without a restart: queues keep their messages, and code that cannot be imported is not
used.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mauntic.local.runtime.harness import Server

pytestmark = pytest.mark.e2e


@pytest.fixture
def version_file(project: Path, server: Server) -> Iterator[Path]:
    """A module of the worker, to be changed; restored and loaded afterwards."""
    path = project / "workers" / "alpha" / "version.py"
    before = path.read_text()
    yield path
    path.write_text(before)
    assert server.post("/reload", {"worker": "toy-alpha"})["ok"]


def test_new_code_runs_and_queued_messages_stay(server: Server, version_file: Path) -> None:
    server.send("work", {"n": 1}, delaySeconds=3)
    version_file.write_text("VERSION = 2\n")
    answer = server.post("/reload", {"worker": "toy-alpha"})
    assert answer["ok"]
    assert answer["workers"]["toy-alpha"]["bootMs"] > 0
    server.wait_event("reloaded", timeout_s=5, ok=True)
    assert server.ask("/facts")["version"] == 2
    assert server.wait_idle()["idle"]
    assert server.ask("/seen")["batches"][0]["bodies"] == [{"n": 1}]


def test_code_that_does_not_import_leaves_the_old_running(
    server: Server, version_file: Path
) -> None:
    version_file.write_text("VERSION = 3\nimport nowhere\n")
    outcome = server.post("/reload", {"worker": "toy-alpha"})["workers"]["toy-alpha"]
    assert "ModuleNotFoundError: No module named 'nowhere'" in outcome["error"]
    assert 'alpha/version.py", line 2' in outcome["traceback"]
    assert server.ask("/facts")["version"] == 1


@pytest.fixture
def topology(project: Path, server: Server) -> Iterator[Path]:
    """The project's wrangler.toml, to be changed; restored and read again afterwards."""
    path = project / "wrangler.toml"
    before = path.read_text()
    yield path
    path.write_text(before)
    assert not server.post("/reload", {"worker": "toy-beta"})["stale"]


def test_new_crons_are_read_and_the_rest_needs_a_restart(server: Server, topology: Path) -> None:
    text = topology.read_text()
    topology.write_text(text.replace('crons = ["0 * * * *"]', 'crons = ["0 * * * *", "5 * * * *"]'))
    assert not server.post("/reload", {"worker": "toy-beta"})["stale"]
    [alpha] = [worker for worker in server.get("/workers") if worker["name"] == "toy-alpha"]
    assert alpha["crons"] == ["0 * * * *", "5 * * * *"]
    topology.write_text(text.replace("max_retries = 2", "max_retries = 3"))
    assert server.post("/reload", {"worker": "toy-beta"})["stale"]


def test_a_topology_that_cannot_be_read_is_said(server: Server, topology: Path) -> None:
    text = topology.read_text()
    topology.write_text("[env.alpha")
    answer = server.request("POST", "/reload", {})
    assert answer.status_code == 400
    assert "wrangler.toml cannot be read" in answer.json()["error"]
    topology.write_text(text)


REFUSED = {
    "os.urandom(4)": "requested randomness (os.urandom)",
    "secrets.token_hex()": "requested randomness (os.urandom)",
    "uuid.uuid4()": "requested randomness (os.urandom)",
    "random.random()": "requested randomness (random.random)",
    "random.Random()": "requested randomness (random.Random)",
    "random.seed()": "requested randomness (random.seed)",
    "random.getstate()": "requested randomness (random.getstate)",
    "js.crypto.randomUUID()": "requested randomness (js.crypto.randomUUID)",
    "js.fetch('http://toy.test')": "sent a request (js.fetch)",
    "datetime.now()": "read the clock",
    "time.time()": "read the clock",
    "time.monotonic()": "read the clock",
    "socket.create_connection(('localhost', 1))": "opened a connection",
    "socket.socket().connect(('127.0.0.1', 1))": "opened a connection",
}


def test_importing_declares_and_never_does(server: Server, version_file: Path) -> None:
    """Even if the module catches the error; every place is named at once."""
    lines = [
        "VERSION = 4",
        "import js, os, random, secrets, socket, time, uuid",
        "from datetime import datetime",
    ]
    for statement in REFUSED:
        lines += ["try:", f"    {statement}", "except Exception:", "    pass"]
    version_file.write_text("\n".join(lines))
    outcome = server.post("/reload", {"worker": "toy-alpha"})["workers"]["toy-alpha"]
    for statement, words in REFUSED.items():
        line = lines.index(f"    {statement}") + 1
        assert f"alpha/version.py line {line} {words}" in outcome["error"], statement


def test_what_no_snapshot_can_hold_is_refused(server: Server, version_file: Path) -> None:
    """Production refuses an object of JavaScript at upload; a file does not exist after the
    restore.
    """
    lines = ["import js", "from js import Object", "VERSION = 4", "KEPT = open(__file__)"]
    version_file.write_text("\n".join(lines))
    outcome = server.post("/reload", {"worker": "toy-alpha"})["workers"]["toy-alpha"]
    assert "alpha.version.Object keeps an object of JavaScript" in outcome["error"]
    assert "alpha.version.js" not in outcome["error"]
    assert "/session/metadata/alpha/version.py is still open after the import" in outcome["error"]


def test_an_uncaught_refusal_names_its_module_too(server: Server, version_file: Path) -> None:
    version_file.write_text("import uuid\nKEY = uuid.uuid4()\n")
    outcome = server.post("/reload", {"worker": "toy-alpha"})["workers"]["toy-alpha"]
    assert "alpha/version.py line 2 requested randomness" in outcome["error"]


def test_what_production_imports_is_imported(server: Server, version_file: Path) -> None:
    harmless = "import logging, random, secrets, ssl, tempfile, uuid\nrandom.Random(1).random()"
    version_file.write_text(f"VERSION = 5\n{harmless}\n")
    assert server.post("/reload", {"worker": "toy-alpha"})["ok"]
    assert server.ask("/facts")["version"] == 5


def test_memory_does_not_grow_with_reloads(server: Server) -> None:
    for _ in range(5):
        assert server.post("/reload", {"worker": "toy-beta"})["ok"]
    (process,) = server.get("/memory")["processes"]
    assert process["rssBytes"] < 1_500_000_000
