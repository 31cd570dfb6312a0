"""Find objects that adoption cannot change: it changes only plain tables of its own role."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mauntic.adopt.steps import Scene, Step
from mauntic.operations.statements import SQL
from shared.ports import Row

PLAIN = "r"
VIEW = "v"
KINDS = {
    "p": "a partitioned table",
    "f": "a foreign table",
    "v": "a view",
    "m": "a materialized view",
    "S": "a sequence",
    "c": "a type",
    "i": "an index",
    "I": "an index",
}
CREATED_VIEW = re.compile(r"CREATE VIEW (\S+) AS")


def refuse_kinds(scene: Scene) -> Iterator[Step]:
    """Yield a blocked step for each name of the schema that belongs to such an object."""
    wanted = dict.fromkeys(scene.target.columns, PLAIN)
    wanted |= {match.group(1): VIEW for match in map(CREATED_VIEW.match, scene.statements) if match}
    for row in scene.db.rows(SQL["adopt_kinds"], names=list(wanted)):
        if why := _why_not(row, wanted[row["name"]]):
            expected = "a view" if wanted[row["name"]] == VIEW else "a plain table"
            yield Step("kinds", row["name"], f"it must be {expected}", lambda: None, blocked=why)


def _why_not(row: Row, wanted: str) -> str | None:
    """Return the reason and the remedy if adoption cannot change the object in place; None if it
    can.
    """
    if wanted == VIEW:
        return None if row["kind"] == VIEW else f"it is {_kind(row)}: rename it first"
    if row["is_partition"] or row["has_parent"]:
        return f"it is a part of {row['parent']}: give it another name, or detach it first"
    if row["kind"] == PLAIN and row["has_children"]:
        return f"other tables inherit from it: {_copy(row)}"
    if row["kind"] != PLAIN:
        return f"it is {_kind(row)}: {_copy(row)}"
    if row["is_typed"]:
        return "it is a table of a type: alter table … not of, first"
    if not row["is_ours"]:
        return f"it belongs to the role {row['owner']}: adopt as that role"
    return None


def _kind(row: Row) -> str:
    return KINDS.get(row["kind"], "a table")


def _copy(row: Row) -> str:
    return f"rename it, and copy its rows into a plain table {row['name']} first"
