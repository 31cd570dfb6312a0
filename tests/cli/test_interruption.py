"""Ctrl-C: while modules are imported the process ends in silence, later it says what was done."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from cli.options import confirm
from cli.output import Refusal

ROOT = Path(__file__).parent.parent.parent
# Ctrl-C as the module is looked for. What builds the classes of a message makes another error of
# the KeyboardInterrupt that Python raises then, and so does this.
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
from cli.main import main
main()
"""


def ended(database: str, module: str, handler: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", INTERRUPTED.format(module=module, handler=handler)],
        env={**os.environ, "DATABASE_URL": database}, capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip


@pytest.mark.parametrize("module", ["typer", "cli.output", "cli.jobs", "scoring.worker"])
def test_an_import_is_ended_by_the_signal(database: str, module: str) -> None:
    done = ended(database, module, "signal.default_int_handler")
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_who_ignores_the_signal_is_left_alone(database: str) -> None:
    """As a shell has it for what runs in its background."""
    done = ended(database, "scoring.worker", "signal.SIG_IGN")
    assert (done.returncode, done.stderr) == (0, "")
    assert "scoring.SignalDecay" in done.stdout


class Interrupted:
    """A terminal on which Ctrl-C is typed in place of an answer."""

    def readline(self) -> str:
        raise KeyboardInterrupt


def test_ctrl_c_at_a_question_is_no_missing_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Interrupted())
    with pytest.raises(typer.Exit) as ended:
        confirm("redrive 7 dead letters?", yes=False)
    assert ended.value.exit_code == 130
    assert capsys.readouterr().err.endswith("\ninterrupted: nothing was done\n")
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(Refusal, match="Nobody answered: say --yes"):
        confirm("redrive 7 dead letters?", yes=False)
