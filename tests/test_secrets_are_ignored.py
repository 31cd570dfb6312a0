"""Git ignores every file for secrets, with any name that the documents use."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def is_ignored(name: str) -> bool:
    command = ["git", "check-ignore", "--quiet", "--no-index", name]
    return subprocess.run(command, cwd=ROOT).returncode == 0


@pytest.mark.parametrize(
    "name",
    [
        *("staging.env", "production.env", "deploy/staging.env"),
        *(".env", ".env.local", ".env.production", ".dev.vars", ".dev.vars.staging"),
        *("workers/analytics/.dev.vars", ".local/runtime.json", "wrangler.deploy.toml"),
    ],
)
def test_a_file_with_secrets_is_ignored(name: str) -> None:
    assert is_ignored(name)


@pytest.mark.parametrize(
    "name", ["staging.env.example", "wrangler.toml", "mauntic/cli/commands/dev.py"]
)
def test_a_file_without_them_is_not(name: str) -> None:
    assert not is_ignored(name)
