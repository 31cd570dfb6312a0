"""A step of the setup: skipped if nothing changed, with progress, and with clear failures.

A step is done if its stamp (a hash of its inputs) is unchanged and its outputs exist. The stamp is
written last, so an interrupted step is repeated. Standard library only: this runs before anything
is installed.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mauntic.project.printable import visible
from tools.causes import explain

TAIL_LINES = 25
QUIET_S = 2.0  # a step that takes longer prints progress
SIGN_OF_LIFE_S = 10.0  # interval of progress lines if the output is not a terminal
POLL_S = 0.1


@dataclass(frozen=True)
class Step:
    """A step: its title, its inputs and outputs, and its work."""

    name: str
    title: str
    inputs: Sequence[str | Path]  # texts, and files by their content
    outputs: Sequence[Path]
    work: Callable[[Run], None]


class StepFailed(Exception):
    """A step could not be done; the text says which command, what it printed, why, what to do."""


def take(step: Step, state: Path) -> bool:
    """Do the step unless it is done; return whether it was necessary."""
    stamp_file = state / f"{step.name}.stamp"
    stamp = digest(step.inputs)
    if is_done(step, stamp_file, stamp):
        return False
    stamp_file.unlink(missing_ok=True)
    started = time.monotonic()
    with (state / f"{step.name}.log").open("w", encoding="utf-8") as log:
        run = Run(step.title, Path(log.name), log.fileno(), Progress(step.title))
        step.work(run)
    missing = [str(path) for path in step.outputs if not path.exists()]
    if missing:
        raise StepFailed(f"{step.title}: ended well but did not make {', '.join(missing)}.")
    run.progress.finish(time.monotonic() - started)
    stamp_file.write_text(stamp, encoding="utf-8")
    return True


def is_done(step: Step, stamp_file: Path, stamp: str) -> bool:
    """Return whether the step was completed with these inputs and its outputs still exist."""
    with suppress(FileNotFoundError):
        return stamp_file.read_text(encoding="utf-8") == stamp and all(
            path.exists() for path in step.outputs
        )
    return False


def digest(inputs: Sequence[str | Path]) -> str:
    """One hash of texts and of the content of files."""
    digest = hashlib.sha256()
    for item in inputs:
        content = item.read_bytes() if isinstance(item, Path) else item.encode()
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()


class Progress:
    """One line per step: rewritten on a terminal, otherwise an occasional plain line."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._started = time.monotonic()
        self._next_sign_s = QUIET_S
        self._terminal = sys.stdout.isatty()

    def tick(self) -> None:
        """Print progress, if it is time."""
        elapsed_s = time.monotonic() - self._started
        if elapsed_s < self._next_sign_s:
            return
        if self._terminal:
            self._next_sign_s = elapsed_s + 1
            print(f"\r  {self._title} … {elapsed_s:.0f} s", end="", flush=True)
        else:
            self._next_sign_s = elapsed_s + SIGN_OF_LIFE_S
            print(f"  {self._title} … still running after {elapsed_s:.0f} s", flush=True)

    def finish(self, seconds: float) -> None:
        """Print that the step is done, with its duration."""
        start = "\r" if self._terminal else ""
        print(f"{start}  {self._title}: {seconds:.1f} s      ".rstrip(), flush=True)

    def abandon(self) -> None:
        """End a line that is being rewritten."""
        if self._terminal and time.monotonic() - self._started > QUIET_S:
            print(flush=True)


@dataclass(frozen=True)
class Run:
    """Runs the commands of one step; their output goes to the step's log."""

    title: str
    log: Path
    log_handle: int
    progress: Progress

    def __call__(
        self,
        command: Sequence[str | Path],
        *,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        stdout: int | None = None,
    ) -> None:
        """Run a command to its end, `StepFailed` if it fails; Ctrl-C ends it too."""
        words = [str(word) for word in command]
        try:
            process = subprocess.Popen(
                words,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=self.log_handle if stdout is None else stdout,
                stderr=self.log_handle,
            )
        except OSError as error:
            raise self._failed(words, str(error)) from None
        if self._wait(process) != 0:
            raise self._failed(words, tail(self.log))

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        try:
            while True:
                with suppress(subprocess.TimeoutExpired):
                    return process.wait(POLL_S)
                self.progress.tick()
        except BaseException:
            process.terminate()
            process.wait()
            raise

    def _failed(self, words: Sequence[str], output: str) -> StepFailed:
        self.progress.abandon()
        cause, remedy = explain(output)
        return StepFailed(
            f"{self.title}: failed\n"
            f"  command: {shlex.join(words)}\n"
            f"  output:  {self.log}, whose end is\n{indent(output)}\n"
            f"  cause:   {cause}\n"
            f"  remedy:  {remedy}"
        )


def tail(log: Path) -> str:
    """The last lines that a command printed."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-TAIL_LINES:])


def indent(text: str) -> str:
    """Indent the text, so that it differs from this program's own."""
    lines = visible(text).splitlines()
    return "\n".join(f"    | {line}" for line in lines) or "    | (nothing)"
