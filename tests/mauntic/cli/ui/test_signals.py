"""Ctrl-C during imports ends the process silently; later it prints what was done."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from mauntic.cli.commands import backfill, dlq, jobs
from mauntic.cli.ui.options import confirm
from mauntic.errors import OperatorError
from mauntic.local.control_client import RuntimeFailed
from mauntic.operations import wait_for_run
from mauntic.operations.local_system import LocalSystem
from shared.adapters.postgres.client import Postgres
from tests.mauntic.cli.commands.test_dlq import bury, states
from tests.mauntic.harness import HOURLY, Cli

ROOT = Path(__file__).parents[4]
# Ctrl-C while a module is located. Code that builds message classes would turn Python's
# KeyboardInterrupt into another error, and so does this.
INTERRUPTED = """
import signal, sys

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name != {module!r}:
            return None
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ValueError("another error") from None

sys.meta_path.insert(0, Interrupts())
signal.signal(signal.SIGINT, {handler})
sys.argv = ["mauntic", "jobs", "list"]
from mauntic.cli.main import main
main()
"""


def ended(database: str, module: str, handler: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", INTERRUPTED.format(module=module, handler=handler)],
        env={**os.environ, "DATABASE_URL": database}, capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip


@pytest.mark.parametrize(
    "module", ["typer", "mauntic.cli.ui.output", "mauntic.cli.commands.jobs", "scoring.worker"]
)
def test_an_import_is_ended_by_the_signal(database: str, module: str) -> None:
    done = ended(database, module, "signal.default_int_handler")
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_who_ignores_the_signal_is_left_alone(database: str) -> None:
    """Like a shell does for its background processes."""
    done = ended(database, "scoring.worker", "signal.SIG_IGN")
    assert (done.returncode, done.stderr) == (0, "")
    assert "scoring.SignalDecay" in done.stdout


class Interrupted:
    """A terminal on which Ctrl-C is typed instead of an answer."""

    def readline(self) -> str:
        raise KeyboardInterrupt


def test_ctrl_c_at_a_question_is_no_missing_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Interrupted())
    with pytest.raises(typer.Exit) as ended:
        confirm("redrive 7 dead letters?", yes=False)
    assert ended.value.exit_code == 130
    assert capsys.readouterr().err.endswith("\ninterrupted: nothing was changed\n")
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(OperatorError, match="No answer: pass --yes"):
        confirm("redrive 7 dead letters?", yes=False)


class Ending:
    """The control API of a `mauntic dev` that is ended after this many messages."""

    url = "http://127.0.0.1:8787"

    def __init__(self, takes: int, printed: str = "Cannot use disposed instance") -> None:
        self.takes = takes
        self.printed = printed

    def send(self, queue: str, bodies: list[Any], delay_s: int) -> None:
        if not self.takes:
            raise RuntimeFailed(self.printed)
        self.takes -= len(bodies)

    def ask(self, *words: Any, **more: Any) -> Any:
        if "disposed" not in self.printed:
            raise RuntimeFailed(self.printed)


@pytest.fixture
def ending(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Callable[[Ending], Cli]:
    """The command next to such a process."""

    def next_to(control: Any) -> Cli:
        @contextmanager
        def opened(*, remote: bool) -> Iterator[LocalSystem]:
            yield LocalSystem(control)

        for module in (dlq, backfill, jobs):
            monkeypatch.setattr(module, "open_system", opened)
        return cli

    return next_to


def ctrl_c_after(naps: int) -> Any:
    """A `time` in which Ctrl-C interrupts the next sleep."""
    left = [None] * naps

    def sleep(seconds: float) -> None:
        if not left:
            raise KeyboardInterrupt
        left.pop()

    return SimpleNamespace(sleep=sleep, monotonic=time.monotonic)


def test_an_interrupted_redrive_reports_what_was_sent_and_what_continues(
    ending: Callable[[Ending], Cli], db: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        bury(db, number)
    monkeypatch.setattr(dlq, "time", ctrl_c_after(2))
    call = ("redrive", "--all", "--yes", "--rate", 1)
    answer = ending(Ending(99))(*call)
    assert (answer.code, answer.out) == (130, "2 redriven, 3 left\n")
    assert answer.err.endswith("interrupted: run the same command to continue\n")
    monkeypatch.setattr(dlq, "time", ctrl_c_after(1))
    reported = ending(Ending(99))(*call, "--json").json
    assert (len(reported["chosen"]), reported["redriven"], reported["left"]) == (3, 1, 2)


@pytest.mark.parametrize("printed", ["Cannot use disposed instance", "Connection refused"])
def test_a_redrive_that_dev_s_end_cuts_short_names_the_letters(
    ending: Callable[[Ending], Cli], db: Postgres, printed: str
) -> None:
    letters = [bury(db, number) for number in range(4)]
    answer = ending(Ending(2, printed))("redrive", *letters, "--rate", 1.9)
    assert (answer.code, answer.out) == (1, "2 redriven, 2 left\n")
    assert f"({letters[0]}, {letters[1]})" in answer.err
    assert f"`mauntic dlq show {letters[1]} --json | jq -c .body | mauntic enqueue" in answer.err
    assert "error The local system at http://127.0.0.1:8787 has ended" in answer.err
    assert "start `mauntic dev` again" in answer.err
    assert states(db)[letters[2]] == "dead"


def test_a_backfill_that_dev_s_end_cuts_short_is_summed_up(
    ending: Callable[[Ending], Cli], db: Postgres
) -> None:
    call = ("backfill", HOURLY, "--from", "2026-03-10", "--to", "2026-03-11", "--at-most", 4)
    answer = ending(Ending(0))(*call)
    assert (answer.code, "not run: none" in answer.out) == (1, True)
    assert "cut short: run the same command to continue" in answer.err
    assert "error The local system at http://127.0.0.1:8787 has ended" in answer.err
    assert db.rows("select 1 from ops.job_runs") == []


def test_an_interrupted_wait_says_that_the_window_is_run(
    ending: Callable[[Ending], Cli], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait_for_run, "time", ctrl_c_after(0))
    answer = ending(Ending(1))("jobs", "run", HOURLY, "--window", "2026-03-10T10:00Z")
    assert (answer.code, answer.out) == (130, "")
    assert (
        "its message stays queued and 2026-03-10T10:00Z/2026-03-10T11:00Z still runs" in answer.err
    )
    assert f"`mauntic runs show {HOURLY} 2026-03-10T10:00Z`" in answer.err


# Like a shell does for a script's background process.
LONG = """
import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
from mauntic.cli.ui.signals import heed_interrupts
heed_interrupts()
try:
    print(flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("in good order")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_is_heeded(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", LONG], stdout=subprocess.PIPE, text=True) as long:
        assert long.stdout is not None
        long.stdout.readline()
        long.send_signal(number)
        assert long.stdout.read() == "in good order\n"
