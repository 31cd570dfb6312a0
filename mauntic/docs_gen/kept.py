"""What follows from the list of kept tables: the statements that delete and report, and a table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from shared.sql.blocks import SqlBlocks
from shared.tick.retention import KEPT, Kept, parameter

TEMPLATES = SqlBlocks(Path(__file__).parent / "templates")
NOTE = "-- Made by `make catalogue` from the list of shared/tick/retention.py: change it there."
PLAIN_NAME = re.compile(r"[a-z][a-z0-9_]*")


def deletion(kept: Sequence[Kept] = KEPT) -> str:
    """shared/sql/retention.sql: one statement for all tables."""
    gone = ",\n".join(_filled("gone_days" if one.turns else "gone", one) for one in kept)
    counts = ",\n    ".join(_filled("gone_count", one) for one in kept)
    return _file("delete_by_age", gone=gone, counts=counts)


def report(kept: Sequence[Kept] = KEPT) -> str:
    """mauntic/operations/sql/retention.sql: one statement for all tables."""
    return _file("retention_report", report="\nunion all\n".join(_report(one) for one in kept))


def page(kept: Sequence[Kept] = KEPT) -> str:
    """The table of docs/operations.md."""
    rows = [f"| `{one.table}` | {one.days} days | {one.since} | `{one.setting}` |" for one in kept]
    return "\n".join(["| table | period | counted from | variable |", "|---|---|---|---|", *rows])


def _file(block: str, **parts: str) -> str:
    return f"-- name: {block}\n{NOTE}\n{TEMPLATES[block].format(**parts)}\n"


def _filled(block: str, kept: Kept) -> str:
    return TEMPLATES[block].format(
        table=_checked(kept.table),
        name=_checked(kept.name),
        column=_checked(kept.table).replace(".", "__"),
        turns=_checked(kept.turns) if kept.turns else "",
        is_due=_first_by_id(kept) if kept.is_feed else _is_due(kept),
        order="id" if kept.is_feed else _age(kept),
    )


def _report(kept: Kept) -> str:
    words = {"table": _checked(kept.table), "age": _age(kept), "is_due": _is_due(kept)}
    return TEMPLATES["report"].format(**words)


def _is_due(kept: Kept) -> str:
    bound = "bound_of_day" if kept.is_day else "bound"
    is_old = f"{_age(kept)} < {TEMPLATES[bound].format(bound=parameter(kept))}"
    return f"{is_old} and {kept.only}" if kept.only else is_old


def _first_by_id(kept: Kept) -> str:
    return TEMPLATES["first_by_id"].format(table=_checked(kept.table), is_due=_is_due(kept))


def _age(kept: Kept) -> str:
    columns = [_checked(column) for column in kept.at]
    return columns[0] if len(columns) == 1 else f"coalesce({', '.join(columns)})"


def _checked(name: str) -> str:
    """A plain name, or a schema's and a table's: it needs no quotes. ValueError for another."""
    if not all(map(PLAIN_NAME.fullmatch, name.split("."))):
        raise ValueError(f"{name!r} is no plain name: a-z, 0-9 and _ alone")
    return name
