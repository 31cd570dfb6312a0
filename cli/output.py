"""How the command speaks: tables and colours on a terminal, plain text or JSON elsewhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

PIPED_WIDTH = 250  # a file or another program wants whole values, however long the line

console = Console() if sys.stdout.isatty() else Console(width=PIPED_WIDTH, soft_wrap=True)
errors = Console(stderr=True)

Rows = Sequence[Mapping[str, Any]]


class Refusal(Exception):
    """The command cannot do that; the text is one sentence with the cause and the remedy."""


def print_json(value: Any) -> None:
    """The value as JSON on standard output; moments as ISO 8601."""
    sys.stdout.write(json.dumps(value, default=plain, ensure_ascii=False, indent=2) + "\n")


def print_table(title: str, rows: Rows, *, empty: str = "nothing") -> None:
    """The rows as a table whose columns are the first row's keys."""
    if not rows:
        console.print(f"{title}: {empty}", markup=False)
        return
    table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for name in rows[0]:
        table.add_column(
            name.replace("_", " "), justify="right" if _is_number(rows, name) else "left"
        )
    for row in rows:
        table.add_row(*(escape(cell(value)) for value in row.values()))
    console.print(table)


def cell(value: Any) -> str:
    """The value as a person reads it; moments to the second, in UTC."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%SZ" if value.second else "%Y-%m-%d %H:%MZ")
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, dict | list):
        return json.dumps(value, default=plain, ensure_ascii=False)
    return str(value)


def plain(value: Any) -> Any:
    """What JSON has no word for, as text."""
    return value.isoformat() if isinstance(value, datetime | date) else str(value)


def _is_number(rows: Rows, name: str) -> bool:
    return all(
        isinstance(row[name], int | float | None) and not isinstance(row[name], bool)
        for row in rows
    )
