"""Commands of the vendor's tool that change the account, run without a shell."""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import dataclass

from mauntic.errors import OperatorError
from mauntic.project.programs import ROOT, search_path

STANDARD_ERROR = 2


@dataclass(frozen=True)
class Command:
    """A program and its arguments. Secrets are passed on standard input.

    `stdin` is the text for standard input, `stdin_variable` the variable that holds it. `line` is
    the equivalent shell command with every word quoted.
    """

    why: str
    words: tuple[str, ...]
    stdin: str | None = None
    stdin_variable: str | None = None

    @property
    def line(self) -> str:
        before = ""
        if self.stdin is not None:
            before = f"printf {shlex.quote(self.stdin)} | "
        elif self.stdin_variable is not None:
            before = f"printenv {shlex.quote(self.stdin_variable)} | "
        return before + shlex.join(self.words)

    @property
    def input(self) -> str:
        if self.stdin_variable is None:
            return self.stdin or ""
        if self.stdin_variable not in os.environ:
            raise OperatorError(f"Set {self.stdin_variable}.")
        return os.environ[self.stdin_variable]


def put_secret(why: str, name: str, env: str, **source: str) -> Command:
    """Return the command that sets a worker's secret; `source` is `stdin` or `stdin_variable`."""
    return Command(why, ("wrangler", "secret", "put", name, "--env", env), **source)


def run(command: Command) -> int:
    """Run the installed wrangler and Node; return the exit code.

    Its output goes to standard error: standard output is for the command's own result.
    """
    return subprocess.run(
        command.words,
        cwd=ROOT,
        env={**os.environ, "PATH": search_path()},
        input=command.input,
        stdout=STANDARD_ERROR,
        text=True,
    ).returncode
