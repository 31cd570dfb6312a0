"""The file of a running `mauntic dev`, and which processes count as one."""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mauntic.errors import OperatorError
from mauntic.local import dev_state
from mauntic.local.dev_state import RunningDev, announce, running_dev
from tests.mauntic.harness import Cli

URL, DATABASE = "http://127.0.0.1:8787", "postgresql://u:secret@127.0.0.1:5432/d"
TOKEN = "0" * 64
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Replaces the developer's own."""
    monkeypatch.setattr(dev_state, "STATE", tmp_path / "runtime.json")
    return tmp_path / "runtime.json"


def left(state: Path, *, pid: int, since: datetime) -> None:
    known = asdict(RunningDev(pid, URL, TOKEN, DATABASE, since.isoformat()))
    state.write_text(json.dumps(known))


def test_others_find_it_as_long_as_it_runs(state: Path) -> None:
    with announce(URL, TOKEN, DATABASE):
        dev = running_dev()
        assert dev == RunningDev(os.getpid(), URL, TOKEN, DATABASE, dev.since if dev else "")
        assert stat.S_IMODE(state.stat().st_mode) == 0o600, "it has a password"
    assert running_dev() is None
    assert not state.exists()


def test_a_second_one_is_refused_and_leaves_the_first_alone(cli: Cli, state: Path) -> None:
    with announce(URL, TOKEN, DATABASE):
        before = state.read_text()
        answer = cli("dev")
        assert answer.code == 1
        assert f"runs here already, as process {os.getpid()} on port 8787" in answer.err
        with pytest.raises(OperatorError), announce("http://127.0.0.1:9", TOKEN, DATABASE):
            pass
        assert state.read_text() == before


def test_a_port_that_there_is_not_is_refused(cli: Cli) -> None:
    answer = cli("dev", "--port", 99_999)
    assert answer.code == 2
    assert "less than or equal to 65534" in answer.err


def test_what_a_killed_one_left_is_replaced(state: Path) -> None:
    """Another process may have its number, as after a restart of a container."""
    for pid, since in ((2**22, datetime.now(UTC)), (os.getpid(), LONG_AGO)):
        left(state, pid=pid, since=since)
        assert running_dev() is None
        with announce(URL, TOKEN, DATABASE):
            assert running_dev() is not None


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"pid": 1, "url": URL})])
def test_a_file_that_says_nothing_is_no_system(state: Path, text: str) -> None:
    state.write_text(text)
    with suppress(OperatorError):
        assert running_dev() is None


def test_it_takes_away_no_file_but_its_own(state: Path) -> None:
    with announce(URL, TOKEN, DATABASE):
        left(state, pid=os.getpid(), since=datetime.now(UTC) + timedelta(seconds=1))
    assert state.exists()
