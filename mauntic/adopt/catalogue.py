"""The columns, indexes and checks of a database, by table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mauntic.operations.statements import SQL
from shared.ports import Database
from shared.sql.blocks import SqlBlocks

TEMPLATES = SqlBlocks(Path(__file__).parent / "templates")

WORD = re.compile(r"\{(\w+)\}")
LEDGER_OF_MIGRATIONS = "ops.schema_migrations"  # the migration tool's table
OWN_SCHEMA = "adoption."


@dataclass(frozen=True)
class Column:
    """`type` is in Postgres' notation; `is_made` means identity or generated."""

    table_name: str
    name: str
    type: str
    not_null: bool
    default_value: str | None
    is_made: bool


@dataclass(frozen=True)
class Index:
    """`keys` are columns or expressions in order; `columns` are all columns that it depends on."""

    table_name: str
    name: str
    full_name: str
    definition: str
    is_unique: bool
    is_primary: bool
    is_valid: bool
    is_constraint: bool
    predicate: str | None
    keys: tuple[str, ...]
    columns: frozenset[str]

    @property
    def nulls(self) -> str:
        """Return the clause of a unique index in which two nulls are equal; empty for others."""
        return " nulls not distinct" if "NULLS NOT DISTINCT" in self.definition else ""


@dataclass(frozen=True)
class Check:
    """A check constraint. `is_valid` is False until Postgres has checked every old row."""

    table_name: str
    name: str
    definition: str
    is_valid: bool


@dataclass(frozen=True)
class Catalogue:
    """Columns, indexes and checks by table, in the order of the database's catalog."""

    columns: dict[str, dict[str, Column]]
    indexes: dict[str, list[Index]]
    checks: dict[str, list[Check]]

    def has(self, table: str, names: Iterable[str]) -> bool:
        """Return whether the table exists with all of these columns."""
        return set(names) <= self.columns.get(table, {}).keys()

    def all_indexes(self) -> list[Index]:
        return [index for indexes in self.indexes.values() for index in indexes]

    def unique_keys(self, table: str) -> list[Index]:
        return [index for index in self.indexes.get(table, []) if index.is_unique]


Known = TypeVar("Known", Index, Check)


def read_catalogue(db: Database) -> Catalogue:
    """Read the current catalog, without adoption's own tables and the migration tool's table."""
    columns: dict[str, dict[str, Column]] = {}
    for row in db.rows(SQL["adopt_columns"]):
        if _is_relevant(row):
            column = Column(**row)
            columns.setdefault(column.table_name, {})[column.name] = column
    return Catalogue(
        columns,
        _by_table(db.rows(SQL["adopt_indexes"], table_name=None), _index),
        _by_table(db.rows(SQL["adopt_checks"]), lambda row: Check(**row)),
    )


def read_indexes(db: Database, table: str) -> list[Index]:
    """Read the indexes of one table."""
    return [_index(row) for row in db.rows(SQL["adopt_indexes"], table_name=table)]


def _index(row: dict[str, Any]) -> Index:
    return Index(**{**row, "keys": tuple(row["keys"]), "columns": frozenset(row["columns"])})


def _by_table(
    rows: list[dict[str, Any]], make: Callable[[dict[str, Any]], Known]
) -> dict[str, list[Known]]:
    tables: dict[str, list[Known]] = {}
    for row in filter(_is_relevant, rows):
        tables.setdefault(row["table_name"], []).append(make(row))
    return tables


def _is_relevant(row: dict[str, Any]) -> bool:
    table: str = row["table_name"]
    return table != LEDGER_OF_MIGRATIONS and not table.startswith(OWN_SCHEMA)


def template(block: str, /, **words: object) -> str:
    """Return a statement of `templates/` with its placeholders replaced by SQL or quoted names,
    never by values. Replacements are not searched for placeholders.
    """

    def filled(word: re.Match[str]) -> str:
        return str(words[word[1]]) if word[1] in words else word[0]

    return WORD.sub(filled, TEMPLATES[block])


def rule(rule_type: str, table: str, column: str | None = None) -> str | None:
    """Return the rule of rules.sql, or None if there is none."""
    name = "__".join([rule_type, *table.split("."), *([column] if column else [])])
    text = TEMPLATES.blocks.get(name)
    if text is None:
        return None
    return "\n".join(line for line in text.splitlines() if not line.startswith("--")).strip()
