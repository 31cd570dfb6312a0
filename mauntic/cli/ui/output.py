"""Print results: tables and colors on a terminal, plain text or JSON elsewhere."""

from __future__ import annotations

import codecs
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import date, datetime
from typing import Any

from rich.console import JustifyMethod
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.status import Status
from rich.table import Column, Table

from mauntic.cli.ui.terminal import terminal
from mauntic.project.printable import visible, visible_json

PIPED_WIDTH = 10_000  # files and programs get whole values, however long the line
GAP = 2  # between two columns
NAME_MAX = 25  # characters: times and schedules contain blanks and are not wrapped
NAMING = ("id", "redriven_from", "fencing_token")  # columns whose numbers are identifiers

console = (
    terminal()
    if sys.stdout and sys.stdout.isatty()
    else terminal(width=PIPED_WIDTH, soft_wrap=True)
)
errors = terminal(stderr=True)

Rows = Sequence[Mapping[str, Any]]


def say(sentence: str) -> None:
    """Print the sentence on standard output, without interpreting markup."""
    console.print(sentence, markup=False, highlight=False)


def remark(sentence: str, mark: str = "", style: str = "") -> None:
    """Print the sentence on standard error without markup, after a styled mark if given."""
    if mark:
        errors.print(mark, style=style, end=" ", markup=False, highlight=False)
    errors.print(sentence, markup=False, highlight=False, soft_wrap=True)


def warn(sentence: str) -> None:
    """Print the sentence on standard error as a warning."""
    remark(sentence, "warning", "yellow")


def print_json(value: Any) -> None:
    """Print the value as JSON on standard output, times in ISO 8601."""
    sys.stdout.write(_json(value, indent=2) + "\n")


def print_json_line(value: Any) -> None:
    """Print the value as one line of JSON and flush, for consumers of a stream."""
    sys.stdout.write(_json(value) + "\n")
    sys.stdout.flush()


def _json(value: Any, indent: int | None = None) -> str:
    """Format as JSON; escape everything but ASCII if the output is not UTF-8."""
    is_utf_8 = codecs.lookup(sys.stdout.encoding).name == "utf-8"
    text = json.dumps(value, default=plain, ensure_ascii=not is_utf_8, indent=indent)
    return visible_json(text)


def print_table(title: str, rows: Rows, *, empty: str = "nothing") -> None:
    """Print the rows as a table with the first row's keys as columns.

    If the table is too wide for the terminal, print one record below the other. Values are never
    truncated, so they can be copied into other commands.
    """
    if not rows:
        console.print(f"{title}: {empty}", markup=False)
        return
    table = Table(
        title=escape(title), title_justify="left", header_style="bold", box=None, pad_edge=False
    )
    least_width = -GAP
    for name in rows[0]:
        texts = [cell(row[name], name) for row in rows]
        is_prose = any(" " in text and len(text) > NAME_MAX for text in texts)
        justify: JustifyMethod = "right" if _is_number(rows, name) else "left"
        table.add_column(_words(name), justify=justify, no_wrap=not is_prose)
        least_width += GAP + _least_width(_words(name), texts, is_prose=is_prose)
    for row in rows:
        table.add_row(*(escape(cell(value, name)) for name, value in row.items()))
    if least_width <= console.width:
        console.print(table)
        return
    console.print(title, style="italic", markup=False)
    for row in rows:
        console.print(_record(row))


def _least_width(head: str, texts: Sequence[str], *, is_prose: bool) -> int:
    """Return a column's minimum width. Prose wraps between words; names do not."""
    pieces = [word for text in (head, *texts) for word in text.split()] if is_prose else texts
    return max(map(len, (*pieces, *(head.split() if is_prose else [head]))))


def _record(row: Mapping[str, Any]) -> Table:
    """Return one row as a grid with a line for each column."""
    table = Table.grid(Column(overflow="fold"), Column(overflow="fold"), padding=(0, 2, 0, 0))
    for name, value in row.items():
        table.add_row(f"[bold]{_words(name)}[/]", escape(cell(value, name)))
    table.add_row("", "")
    return table


def _words(name: str) -> str:
    return name.replace("_", " ")


def cell(value: Any, name: str = "") -> str:
    """Format the value for people: times in UTC to the second, identifiers without separators.

    Control characters are escaped.

    >>> cell("a\\x1b[2J"), cell(["\\x9b"])
    ('a\\\\x1b[2J', '\\\\x9b')
    >>> cell(2_435, "messages"), cell(2_435, "id"), cell(["a", "b"]), cell([]), cell(None)
    ('2,435', '2435', 'a, b', '-', '-')
    """
    return visible(_cell(value, name))


def _cell(value: Any, name: str) -> str:
    if value is None or value == []:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%SZ" if value.second else "%Y-%m-%d %H:%MZ")
    if isinstance(value, int):
        return str(value) if name in NAMING else f"{value:,}"
    if isinstance(value, list) and all(isinstance(item, int | str) for item in value):
        return ", ".join(str(item) for item in value)
    if isinstance(value, dict | list):
        return json.dumps(value, default=plain, ensure_ascii=False)
    return str(value)


def plain(value: Any) -> Any:
    """Convert a value that JSON cannot represent to text."""
    return value.isoformat() if isinstance(value, datetime | date) else str(value)


def progress() -> Progress:
    """Return a transient progress bar; without a terminal it prints nothing."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal)


def busy(text: str) -> AbstractContextManager[Status | None]:
    """Show a spinner with the text; the context is None without a terminal."""
    return errors.status(text) if errors.is_terminal else nullcontext()


def _is_number(rows: Rows, name: str) -> bool:
    values = [row[name] for row in rows if row[name] is not None]
    return bool(values) and all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in values
    )
