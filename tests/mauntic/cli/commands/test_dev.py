"""`mauntic dev`: starts, publishes its address, prints events, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

import mauntic.cli.commands.dev
from analytics.worker import WORKER
from mauntic.cli.ui.dev_log import DevLog
from mauntic.database.embedded import pidfile
from mauntic.database.embedded.account import account_for, temporary_directory
from mauntic.database.embedded.server import GivenDatabase, Server
from mauntic.database.url import connect, with_database
from mauntic.local.control_client import Control, RuntimeFailed
from tests.mauntic.harness import HOURLY, QUEUE, Cli
from tests.scratch import scratch_database

ROOT = Path(__file__).parents[4]
# A separate folder, because the developer's own `mauntic dev` may be running.
START = """
import sys
from pathlib import Path
import mauntic.cli.commands.dev, mauntic.local.dev_state
from mauntic.database.embedded.server import open_database
mauntic.cli.commands.dev.HOME = home = Path(sys.argv.pop(1))
mauntic.cli.commands.dev.open_database = lambda env: open_database(env, home / "postgres")
mauntic.local.dev_state.STATE = home / "runtime.json"
from mauntic.cli.main import main
main()
"""


@contextmanager
def started(database: str, home: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    """On the database, or on an embedded one in the folder if its URL is empty."""
    words = ["dev", "--port", "0", "--env", WORKER.env, "--no-crons", "--json", *more]
    with (
        (home / "errors").open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-c", START, home, *words],
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": database},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that the embedded server's account reaches."""
    directory = temporary_directory(account_for(None))
    yield directory
    shutil.rmtree(directory)


def test_each_database_has_points_of_its_own(postgres: Server, database: str) -> None:
    """Also if another one has taken its name: the old figures would be used for it."""
    kept = mauntic.cli.commands.dev.identity(GivenDatabase(database))
    assert mauntic.cli.commands.dev.identity(GivenDatabase(database)) == kept
    with scratch_database(postgres) as other:
        assert mauntic.cli.commands.dev.identity(GivenDatabase(other)) != kept
    name = database.rpartition("/")[2]
    with closing(connect(with_database(database, "postgres"))) as admin:
        admin.run(f"drop database {name} with (force)")
        admin.run(f"create database {name}")
    assert mauntic.cli.commands.dev.identity(GivenDatabase(database)) != kept
    assert mauntic.cli.commands.dev.identity(postgres).startswith("own-")


def lines_until(process: subprocess.Popen[str], event: str) -> list[dict[str, Any]]:
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(json.loads(line))
        if seen[-1]["event"] == event:
            return seen
    raise AssertionError(f"{event} was not printed, only {seen}")


@pytest.mark.e2e
def test_it_starts_says_what_happens_and_ends_cleanly(database: str, tmp_path: Path) -> None:
    left_behind = {
        "pid": 2**22, "url": "", "token": "", "database_url": "", "since": "2026-03-10T00:00Z"
    }  # fmt: skip
    (tmp_path / "runtime.json").write_text(json.dumps(left_behind))
    with started(database, tmp_path) as process:
        ready = lines_until(process, "dev.ready")[-1]
        assert (tmp_path / "errors").read_text() == "starting …\n"
        state = json.loads((tmp_path / "runtime.json").read_text())
        assert (ready["workers"], ready["url"]) == ([WORKER.name], state["url"])
        assert (state["pid"], state["database_url"]) == (process.pid, database)
        with started(database, tmp_path) as second:
            assert second.wait(30) == 1
        assert f"as process {process.pid} on port" in (tmp_path / "errors").read_text()
        assert json.loads((tmp_path / "runtime.json").read_text()) == state
        with closing(Control(state["url"], state["token"])) as control:
            control.send(QUEUE, [{"type": HOURLY}])
            output = lines_until(process, "queue.metric")[-1]
        assert (output["worker"], output["type"], output["status"]) == (WORKER.name, HOURLY, "ack")
        process.send_signal(signal.SIGTERM)
        lines_until(process, "dev.stopping")
        assert process.wait(30) == 0
    assert not (tmp_path / "runtime.json").exists()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{state['url']}/health")


@pytest.mark.e2e
def test_it_ends_with_its_embedded_server(folder: Path) -> None:
    """Its workers would fail one message after the other, for no visible reason."""
    with started("", folder) as process:
        lines_until(process, "dev.ready")
        server = pidfile.read((folder / "postgres").resolve() / "data")
        assert server is not None
        os.kill(server.pid, signal.SIGKILL)
        assert process.wait(30) == 1
    output = (folder / "errors").read_text()
    assert "The embedded Postgres has ended: start `mauntic dev` again." in output
    assert not (folder / "runtime.json").exists()


def test_an_env_that_is_not_there_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = Cli(monkeypatch, capsys)("dev", "--env", "nope")
    assert answer.code == 1
    assert "wrangler.toml has no env nope; there are analytics, scoring" in answer.err


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ("api.example.com", "write NAME=URL"),
        ("api.example.com=127.0.0.1:9000", "write NAME=URL"),
        ("https://api.example.com=http://127.0.0.1:9000", "write NAME=URL"),
        ("API.example.com=http://127.0.0.1:9000", "write NAME=URL"),
        ("api.example.com=http://192.0.2.1:9000", "must be on this machine"),
        ("api.example.com=http://127.0.0.1.example.org", "must be on this machine"),
    ],
)
def test_a_host_is_connected_with_a_server_of_this_machine_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: str, refusal: str
) -> None:
    answer = Cli(monkeypatch, capsys)("dev", "--connect-host", given)
    assert (answer.code, refusal in " ".join(answer.err.replace("│", " ").split())) == (2, True)


def test_a_saved_wrangler_toml_is_noticed_though_another_file_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mauntic.cli.commands.dev, "CONFIG", tmp_path / "wrangler.toml")
    noticed, stop = threading.Event(), threading.Event()
    with mauntic.cli.commands.dev._background(
        lambda: mauntic.cli.commands.dev._on_saved_topology(noticed.set, stop), stop
    ):
        for _ in range(50):  # the watch may begin a little later
            (tmp_path / "other").write_text("[env]")
            assert not noticed.is_set()
            (tmp_path / "other").rename(tmp_path / "wrangler.toml")
            if noticed.wait(0.2):
                break
        assert noticed.is_set()


class Reloaded:
    """A runtime whose wrangler.toml has changed, or cannot be read."""

    def __init__(self, *, readable: bool) -> None:
        self.control, self.readable = self, readable

    def reload(self) -> dict[str, Any]:
        if not self.readable:
            raise RuntimeFailed("wrangler.toml cannot be read")
        return {"ok": True, "stale": True}

    def workers(self) -> list[str]:
        return ["the workers anew"]


@pytest.mark.parametrize("readable", [True, False])
def test_a_reload_hands_the_clock_the_new_crons_and_says_what_needs_a_restart(
    capsys: pytest.CaptureFixture[str], readable: bool
) -> None:
    known: list[list[str]] = []
    clock: Any = SimpleNamespace(set=known.append)
    runtime: Any = Reloaded(readable=readable)
    mauntic.cli.commands.dev._reload(runtime, clock, DevLog(as_json=True), threading.Lock())
    output = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert output == (["dev.reloaded", "dev.stale"] if readable else ["reload.failed"])
    assert known == ([["the workers anew"]] if readable else [])


def shown(capsys: pytest.CaptureFixture[str], event: dict[str, Any], *, as_json: bool) -> str:
    DevLog(as_json=as_json).show(event)
    return capsys.readouterr().out


def test_a_line_of_a_worker_is_shown_for_people_and_for_programs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = json.dumps({"event": "job.crashed", "level": "error", "type": HOURLY, "error": "a b"})
    event = {"event": "log", "worker": "one", "level": "info", "text": text}
    line = json.loads(shown(capsys, event, as_json=True))
    assert (line["worker"], line["event"], line["level"], line["error"]) == (
        "one",
        "job.crashed",
        "error",
        "a b",
    )
    output = shown(capsys, event, as_json=False)
    assert f'one                      job.crashed  type={HOURLY} error="a b"' in output


def test_what_is_no_event_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """The output of a library; and a traceback, below its line."""
    event = {"event": "log", "worker": "one", "text": "[1] plain"}
    assert "[1] plain" in shown(capsys, event, as_json=False)
    failed = {"one": {"error": "SyntaxError", "traceback": "line 1\n  line 2"}}
    output = shown(capsys, {"event": "reloaded", "workers": failed}, as_json=False)
    assert "reload.failed" in output
    assert output.endswith("line 1\n  line 2\n")
    done = shown(capsys, {"event": "reloaded", "workers": {"one": {"bootMs": 9}}}, as_json=False)
    assert "reload.done  boot_ms=9" in done
