"""How tables are shown: whole, whatever the width."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from cli import output

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
    """On a very narrow terminal a word goes over several lines; its letters are all there."""
    said = shown(monkeypatch, width)
    assert "…" not in said
    letters = "".join(said.split())
    words = (*WORDS.split(), "2435", "12,000", "mauntic-scoring-events")
    assert [word for word in words if word not in (letters if width == 30 else said)] == []


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
