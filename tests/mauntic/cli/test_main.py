"""The command itself: its list, its speed, its help, and how it ends."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mauntic.cli.main import COMMANDS, load
from tests.mauntic.harness import Cli

ROOT = Path(__file__).parents[3]


def leaves(command: Any, name: str) -> list[tuple[str, Any]]:
    """Every command below, by its words."""
    below = getattr(command, "commands", None)
    if not below:
        return [(name, command)]
    return [leaf for sub in below for leaf in leaves(below[sub], f"{name} {sub}")]


EVERY = [leaf for name in COMMANDS for leaf in leaves(load(name), name)]
every = pytest.mark.parametrize(("name", "command"), EVERY, ids=[name for name, _ in EVERY])


@every
def test_every_command_has_examples(name: str, command: Any) -> None:
    words = name.split()
    assert "Example" in command.help
    called = {" ".join(words), " ".join(words[1:])}
    assert any(
        f"mauntic {one} " in command.help or f"mauntic {one}\n" in command.help + "\n"
        for one in called
    )


@pytest.mark.parametrize(
    "name", ["", *(name for name in COMMANDS if hasattr(load(name), "commands"))]
)
def test_every_group_has_examples(cli: Cli, name: str) -> None:
    output = cli(*name.split(), "--help").out
    _help, _, examples = output.partition("Examples:")
    lines = [line.strip() for line in examples.partition("Options")[0].splitlines()]
    assert any(f"mauntic {name}".strip() in line for line in lines)


@every
def test_every_command_speaks_json(name: str, command: Any) -> None:
    assert any("--json" in option.opts for option in command.params)


def test_the_list_is_shown_without_importing_the_commands() -> None:
    """The slow modules belong to single commands: HTTP, Postgres, the workers."""
    code = (
        "import sys, runpy; sys.argv = ['mauntic', '--help']\n"
        "from mauntic.cli.main import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print([m for m in ('httpx', 'pg8000', 'pydantic', 'watchfiles') if m in sys.modules])"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.rstrip().endswith("[]"), done.stdout + done.stderr
    assert all(name in done.stdout for name in COMMANDS)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime - before.ru_utime < 3  # of the processor: others may be busy


def test_wrong_usage_ends_with_2(cli: Cli) -> None:
    assert cli("jbos").code == 2
    assert "Did you mean" in cli("jbos").err
    assert cli("jobs", "run").code == 2
    assert cli("jobs", "list", "--colour").code == 2


def test_errors_go_to_standard_error_alone(cli: Cli) -> None:
    answer = cli("jobs", "pause", "analytics.nothing", "--json")
    assert (answer.code, answer.out) == (1, "")
    assert "analytics.nothing" in answer.err


def test_a_database_that_lacks_the_schema_is_one_sentence(
    cli: Cli, postgres: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", postgres.url)
    answer = cli("jobs", "list")
    assert (answer.code, "Traceback" in answer.err, "42P01" in answer.err) == (1, False, True)
    assert "`mauntic db migrate`" in answer.err


def test_json_is_nothing_but_json(cli: Cli) -> None:
    for words in (["jobs", "list"], ["runs", "list"], ["dlq", "list"], ["db", "status"]):
        answer = cli(*words, "--json")
        assert (json.loads(answer.out) is not None, answer.code) == (True, 0)
    assert "\x1b[" not in cli("jobs", "list").out


def test_help_of_a_group_offers_what_the_group_does_alone(cli: Cli) -> None:
    """Completion is installed for the whole command."""
    assert "completion" in cli("--help").out
    assert "completion" not in cli("jobs", "--help").out


def test_a_paragraph_of_help_is_broken_by_the_terminal_alone(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERMINAL_WIDTH", "400")
    output = cli("backfill", "--help").out
    assert "were skipped or were abandoned. `failed` selects windows that died" in output


def test_without_a_terminal_only_the_result_is_printed(cli: Cli, vendor: Any) -> None:
    """No bar, no blank line, no color."""
    body = json.dumps({"type": "analytics.aggregate-hourly"})
    answer = cli("enqueue", "mauntic-analytics-jobs", body, "--remote")
    assert answer.out.startswith("1 sent to mauntic-analytics-jobs: analytics.aggregate-hourly ")
    assert answer.err == ""
