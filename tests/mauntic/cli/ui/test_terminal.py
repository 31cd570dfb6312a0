"""No message, answer or file can control the terminal through a command."""

from __future__ import annotations

import ast
import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mauntic.cli.commands import queues
from mauntic.cli.main import show_failed_threads
from mauntic.cli.ui import output
from mauntic.cli.ui.dev_log import DevLog
from mauntic.cli.ui.terminal import terminal
from mauntic.operations.queue_tail import is_letter
from mauntic.project.printable import visible, visible_json
from shared.adapters.postgres.client import Postgres
from tests.mauntic.cli.commands.test_dlq import bury
from tests.mauntic.harness import Cli
from tests.mauntic.vendor import Vendor, failure

ROOT = Path(__file__).parents[4]
CLIPBOARD = "\x1b]52;c;ZXZpbA==\x1b\\"
HOSTILE = f"x{CLIPBOARD}\x07\x08\x9b31m\x7f\u202egpj\u2066\u200f\u2028[bold]"
# Every character that controls a terminal or hides text; the command's own styles are not included.
STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")

EVENT = {"event": "log", "worker": HOSTILE, "level": "error", "text": HOSTILE}
LINE = json.dumps({"event": HOSTILE, "level": "info", "correlationId": HOSTILE, HOSTILE: [HOSTILE]})
ANSWER = {"at": 0, "answer": "dead", "reason": HOSTILE, "error": HOSTILE, "attempts": HOSTILE}
ROWS = [{"error": HOSTILE, "body": {HOSTILE: [HOSTILE]}, "list": [HOSTILE], HOSTILE: 1}]

# Each way in which the command prints, with hostile values at every place of a value.
WAYS: dict[str, Callable[[], None]] = {
    "say": lambda: output.say(HOSTILE),
    "remark": lambda: output.remark(HOSTILE, "error", "red"),
    "warn": lambda: output.warn(HOSTILE),
    "table": lambda: output.print_table(HOSTILE, ROWS),
    "empty table": lambda: output.print_table(HOSTILE, [], empty=HOSTILE),
    "records": lambda: output.print_table(HOSTILE, [{"a": HOSTILE * 2_000, "b": HOSTILE}]),
    "json": lambda: output.print_json({HOSTILE: ROWS}),
    "json line": lambda: output.print_json_line(ROWS),
    "console": lambda: output.console.print(HOSTILE, markup=False),
    "errors": lambda: output.errors.print(HOSTILE, markup=False, style="red"),
    "a line of a library": lambda: DevLog(as_json=False).show(EVENT),
    "a line of a worker": lambda: DevLog(as_json=False).show({**EVENT, "text": LINE}),
    "a line as JSON": lambda: DevLog(as_json=True).show({**EVENT, "text": LINE}),
    "an event": lambda: DevLog(as_json=False).show({"event": HOSTILE, "text": HOSTILE}),
    "a traceback": lambda: DevLog(as_json=False).say("x", traceback=HOSTILE, why=HOSTILE),
    "a failed reload": lambda: DevLog(as_json=False).show(
        {"event": "reloaded", "workers": {HOSTILE: {"error": HOSTILE, "traceback": HOSTILE}}}
    ),
    "an answer": lambda: queues._show_answer({**ANSWER, "body": HOSTILE}, False),
    "an answer as JSON": lambda: queues._show_answer({**ANSWER, "body": HOSTILE}, True),
}


@pytest.mark.parametrize("way", WAYS)
def test_nothing_that_is_printed_steers_the_terminal(
    capsys: pytest.CaptureFixture[str], way: str
) -> None:
    WAYS[way]()
    printed = "".join(capsys.readouterr())
    assert printed
    assert STEERS.findall(printed) == []
    assert re.search(r"\\(x1b|u001b|\\u001b|\\x1b)", printed), "it is there to be read"


def test_our_own_styles_still_reach_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    console = terminal(force_terminal=True, color_system="standard")
    console.print(HOSTILE, style="bold red", markup=False)
    printed = capsys.readouterr().out
    assert printed.startswith("\x1b[1;31m")
    assert "\x1b]" not in printed


@given(st.text())
def test_json_means_the_same(text: str) -> None:
    written = visible_json(json.dumps({text: text}, ensure_ascii=False))
    assert json.loads(written) == {text: text}
    assert STEERS.findall(written) == []


@given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"])))
def test_a_plain_text_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


def test_dead_letters_are_shown_with_what_they_hold(cli: Cli, db: Postgres) -> None:
    names: dict[str, Any] = {"queue": HOSTILE, "job_type": HOSTILE, "reason": HOSTILE}
    number = bury(db, 1, body={"type": HOSTILE, "correlationId": HOSTILE}, **names)
    for command in (
        ("dlq", "list"), ("dlq", "list", "--json"), ("dlq", "show", number),
        ("dlq", "show", number, "--json"), ("dlq", "discard", number, "--note", "x", "--dry-run"),
        ("redrive", number, "--dry-run"),
    ):  # fmt: skip
        answer = cli(*command)
        assert answer.code == 0
        assert STEERS.findall(answer.out + answer.err) == [], command
        assert "x1b" in answer.out or "u001b" in answer.out, command


@pytest.mark.usefixtures("db")
def test_what_the_vendor_says_is_shown_as_text(cli: Cli, vendor: Vendor) -> None:
    vendor.failures = [failure(400, 1, HOSTILE)] * 3
    answer = cli("queues", "status", "--remote")
    assert STEERS.findall(answer.out + answer.err) == []
    assert "x1b]52" in answer.err


def test_an_unexpected_error_is_shown_as_text(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError(HOSTILE + "\x9b")

    monkeypatch.setattr("mauntic.operations.ledger_queries.dead_letters", broken)
    answer = cli("dlq", "list")
    assert (answer.code, "KeyError" in answer.err) == (1, True)
    assert STEERS.findall(answer.err) == []


class Rude(Exception):
    """Its text is not escaped, unlike a KeyError's."""


def test_a_thread_s_words_are_shown_as_any_other(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def work() -> None:
        raise Rude(HOSTILE)

    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)
    show_failed_threads()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    printed = capsys.readouterr().err
    assert "x1b]52" in printed
    assert STEERS.findall(printed) == []


@pytest.mark.parametrize(
    "line", ['{"event": 5, "level": []}', '{"event": ["\x1b"]}', "[" * 100_000, "[]", "5", "null"]
)
def test_a_line_of_any_form_is_shown(capsys: pytest.CaptureFixture[str], line: str) -> None:
    """Whatever a library prints: otherwise the reading thread would end, and the runtime would wait
    for it.
    """
    DevLog(as_json=False).show({**EVENT, "text": line})
    printed = capsys.readouterr().out
    assert STEERS.findall(printed) == []
    assert printed


@pytest.mark.parametrize("letter", [5, None, [], {}, {"attempts": 1}, "deadLetter"])
def test_what_only_looks_like_a_letter_is_no_death(letter: Any) -> None:
    assert not is_letter({"answer": "ack", "body": {"deadLetter": letter}})


# Modules that write to a stream directly: they print texts of this project.
PAST_IT = {
    "mauntic/docs_gen/catalogue.py",
    "mauntic/cli/ui/options.py",
    "mauntic/database/migrations.py",
}


@pytest.mark.parametrize(
    "path",
    sorted(p for p in (ROOT / "mauntic").rglob("*.py") if "in_python" not in p.parts),
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_every_print_goes_through_one_function(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    calls = [
        node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
    ]
    written = {ast.unparse(call) for call in calls} & {
        *("print", "typer.echo", "typer.secho", "click.echo", "Console", "rich.print"),
        *("sys.stdout.write", "sys.stderr.write"),
    }
    allowed = {
        "mauntic/cli/ui/output.py": {"sys.stdout.write"},
        "mauntic/cli/ui/terminal.py": {"Console"},
    }
    assert name in PAST_IT or written <= allowed.get(name, set())
