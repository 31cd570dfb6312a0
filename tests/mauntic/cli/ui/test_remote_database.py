"""A local command changes no database on another machine without a confirmation."""

from __future__ import annotations

import pytest

import mauntic.cli.commands.demo
import mauntic.cli.commands.dev
from mauntic.cli.commands.dev import _pair
from mauntic.cli.ui.remote_database import confirm_elsewhere
from mauntic.errors import OperatorError
from tests.mauntic.harness import Cli

ELSEWHERE = "postgresql://owner:secret@db.example:6543/shop?sslmode=verify-full"
HERE = [
    "postgresql://u:p@127.0.0.1:5432/d",
    "postgresql://u@localhost/d",
    "postgresql:///mauntic_demo",
    "",
]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the databases that a command has begun to use."""
    used: list[str] = []

    def open_database(environment: dict[str, str]) -> None:
        used.append(environment["DATABASE_URL"])
        raise OperatorError("begun")

    for module in (mauntic.cli.commands.dev, mauntic.cli.commands.demo):
        monkeypatch.setattr(module, "open_database", open_database)
    monkeypatch.setattr(mauntic.cli.commands.dev, "refuse_second", lambda: None)
    return used


@pytest.mark.parametrize("command", ["dev", "demo"])
def test_an_exported_url_of_another_machine_is_asked_about(
    cli: Cli, opened: list[str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """Set the variables as `. ./production.env` does."""
    monkeypatch.setenv("DATABASE_URL", ELSEWHERE)
    answer = cli(command)
    assert (answer.code, opened) == (1, [])
    assert "db.example:6543/shop, on another machine" in answer.err
    assert "pass --yes" in answer.err
    assert "secret" not in answer.err
    assert cli(command, stdin="n\n").code == 1
    assert opened == []
    assert "begun" in cli(command, "--yes").err
    assert "begun" in cli(command, stdin="y\n").err
    assert opened == [ELSEWHERE] * 2


@pytest.mark.parametrize("url", HERE)
def test_a_database_of_this_machine_is_not(url: str) -> None:
    confirm_elsewhere({"DATABASE_URL": url}, "use it", yes=False)


def test_a_secret_is_taken_from_the_environment(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALERT_WEBHOOK_URL", "https://hooks.example/a=b")
    assert _pair("ALERT_WEBHOOK_URL") == ("ALERT_WEBHOOK_URL", "https://hooks.example/a=b")
    assert _pair("GATE=false") == ("GATE", "false")
    answer = cli("dev", "--var", "NOT_THERE")
    assert (answer.code, "takes the value from the environment" in answer.err) == (2, True)
