"""Tables are shown completely, at any width."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from mauntic.cli.ui import output
from mauntic.operations import worker_catalog
from mauntic.operations.worker_catalog import Declared
from shared.adapters.postgres.client import Postgres
from tests.mauntic.harness import HOURLY, Cli

WORDS = "DatabaseError:42P01: relation does not exist"
ROWS = [
    {"id": 2_435, "queue": "mauntic-analytics-jobs", "messages": 12_000, "error": WORDS},
    {"id": 7, "queue": "mauntic-scoring-events", "messages": None, "error": None},
]


def shown(monkeypatch: pytest.MonkeyPatch, width: int, *, terminal: bool = True) -> str:
    text = io.StringIO()
    console = Console(file=text, width=width, force_terminal=terminal, no_color=True)
    monkeypatch.setattr(output, "console", console)
    output.print_table("letters", ROWS)
    return text.getvalue()


@pytest.mark.parametrize("width", [30, 60, 80, 200])
def test_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """On a very narrow terminal a word takes several lines, with all of its letters."""
    printed = shown(monkeypatch, width)
    assert "…" not in printed
    letters = "".join(printed.split())
    words = (*WORDS.split(), "2435", "12,000", "mauntic-scoring-events")
    assert [word for word in words if word not in (letters if width == 30 else printed)] == []


def test_a_row_has_a_line_where_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(monkeypatch, 200).splitlines()
    assert len(lines) == 4  # title, head, two rows
    assert lines[2].split()[:3] == ["2435", "mauntic-analytics-jobs", "12,000"]


def test_columns_become_lines_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line.rstrip() for line in shown(monkeypatch, 40).splitlines()]
    assert any(line.endswith("mauntic-analytics-jobs") for line in lines)
    assert sum("mauntic" in line for line in lines) == 2


def test_what_is_piped_is_not_broken_into_lines(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 3_000
    piped = Console(width=output.PIPED_WIDTH, soft_wrap=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output, "console", piped)
        output.print_table("letters", [{"id": 1, "error": long}])
    assert [long in line for line in capsys.readouterr().out.splitlines()] == [False, False, True]


def test_a_column_of_nothing_is_no_column_of_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    monkeypatch.setattr(output, "console", Console(file=text, width=100))
    output.print_table("runs", [{"error text": None, "rows": None}])
    assert text.getvalue().splitlines()[2].startswith("-")


MARKUP = "RuntimeError: [/foo] x [bold]y[/]"


@pytest.fixture
def with_a_broken_worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Its error looks like Rich's markup."""
    known = Declared(worker_catalog.declared().workers, {"broken": MARKUP})
    monkeypatch.setattr(worker_catalog, "declared", lambda: known)
    worker_catalog.workers.cache_clear()
    yield
    worker_catalog.workers.cache_clear()


@pytest.mark.usefixtures("with_a_broken_worker")
def test_a_text_of_others_is_no_markup(cli: Cli, db: Postgres) -> None:
    db.execute(
        "insert into ops.schedules (job_type, paused, note, changed_at)"
        " values (:type, true, :note, now())",
        type=HOURLY, note=MARKUP,
    )  # fmt: skip
    answer = cli("jobs", "list")
    assert answer.code == 0
    assert f"warning workers/broken is left out: {MARKUP}" in answer.err
    assert MARKUP in answer.out


def test_nor_is_it_in_a_title_or_a_progress_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    terminal = Console(file=text, force_terminal=True, width=100)
    monkeypatch.setattr(output, "console", terminal)
    monkeypatch.setattr(output, "errors", terminal)
    output.print_table(MARKUP, ROWS)
    assert MARKUP in text.getvalue()
    with output.progress() as bar:
        bar.add_task(MARKUP, total=2)
    assert text.getvalue().count("[/foo]") > 1


@pytest.mark.parametrize(
    "words",
    [("[/foo]",), ("jobs", "[/foo]"), ("backfill", HOURLY, "--from", "[/foo]", "--to", "1")],
)
def test_a_usage_error_repeats_the_typed_command(cli: Cli, words: tuple[str, ...]) -> None:
    answer = cli(*words)
    assert (answer.code, "[/foo]" in answer.err) == (2, True)
