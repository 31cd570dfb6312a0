"""Commands of the vendor's tool that change the account: shown to a person, run without a shell."""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from mauntic.errors import OperatorError
from mauntic.project.programs import search_path

ROOT = Path(__file__).parents[3]
STANDARD_ERROR = 2


@dataclass(frozen=True)
class Command:
    """A program and its arguments. What is secret is named, and given on standard input.

    `says` is a text for the standard input, `says_variable` the variable that holds it. `line` is
    what a person types for the same; every word of it is quoted.
    """

    why: str
    words: tuple[str, ...]
    says: str | None = None
    says_variable: str | None = None

    @property
    def line(self) -> str:
        before = ""
        if self.says is not None:
            before = f"printf {shlex.quote(self.says)} | "
        elif self.says_variable is not None:
            before = f"printenv {shlex.quote(self.says_variable)} | "
        return before + shlex.join(self.words)

    @property
    def input(self) -> str:
        if self.says_variable is None:
            return self.says or ""
        if self.says_variable not in os.environ:
            raise OperatorError(f"Set {self.says_variable}.")
        return os.environ[self.says_variable]


def put_secret(why: str, name: str, env: str, **source: str) -> Command:
    """The secret of one worker; `source` is `says` or `says_variable`."""
    return Command(why, ("wrangler", "secret", "put", name, "--env", env), **source)


def run(command: Command) -> int:
    """Run our own wrangler, with our own Node. What it says goes to standard error: standard output
    is for the answer."""
    return subprocess.run(
        command.words,
        cwd=ROOT,
        env={**os.environ, "PATH": search_path()},
        input=command.input,
        stdout=STANDARD_ERROR,
        text=True,
    ).returncode
