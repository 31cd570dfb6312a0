"""The table whose rows the first statement of a new job counts: a source of its worker."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mauntic.operations.grants import WORKERS as GRANTED

TABLE = re.compile(r"^CREATE TABLE (\w+\.\w+) \(\n(.*?)^\);", re.MULTILINE | re.DOTALL)
COLUMN = re.compile(r"^    (?!CONSTRAINT\b)(\w+) (.+?),?$", re.MULTILINE)
CHANGE = {"update", "delete"}  # of whole rows; a right to update single columns names them
APPENDED = re.compile(r"\binto (\w+\.\w+)")
TIME = "timestamp with time zone"
# How the example's test fills a column; a table that needs a column of another type is not used.
VALUES = {"uuid": "uuid4()", "text": '"example"', "character varying": '"example"'}
COMMON = "crm.contacts"  # every worker may read it


@dataclass(frozen=True)
class ExampleTable:
    """A table, its column of time, and a Python expression for each other required column."""

    name: str
    moment: str
    required: dict[str, str]


def example_table(worker: str, root: Path) -> ExampleTable:
    """A table that the worker only reads: of its own schema, or else the contacts."""
    found = {table.name: table for table in _sources(root)}
    statements = "\n".join(
        path.read_text(encoding="utf-8") for path in (root / "workers" / worker).rglob("*.sql")
    )
    filled = set(APPENDED.findall(statements))
    own = (name for name in sorted(found.keys() - filled) if name.startswith(f"{worker}."))
    return found[next(own, COMMON)]


def _sources(root: Path) -> Iterator[ExampleTable]:
    """The tables of schema.sql whose rows no worker deletes or changes as a whole, with a time and
    columns that are easy to fill. One worker may append to the source of another.
    """
    for name, body in TABLE.findall((root / "schema.sql").read_text(encoding="utf-8")):
        columns = dict(COLUMN.findall(body))
        needed = {
            column: definition.removesuffix(" NOT NULL")
            for column, definition in columns.items()
            if definition.endswith(" NOT NULL") and " DEFAULT " not in definition
        }
        moment = next(
            (column for column, text in columns.items() if re.match(f"{TIME}.* NOT NULL", text)), ""
        )
        values = {c: VALUES.get(t.partition("(")[0], "") for c, t in needed.items() if c != moment}
        rights = GRANTED.get(name, ())
        if moment and all(values.values()) and rights and not CHANGE & set(rights):
            yield ExampleTable(name, moment, values)
