"""Columns: missing ones, other types, empty values, defaults."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Any

from mauntic.adopt.catalogue import Catalogue, Column, Index, rule, template
from mauntic.adopt.steps import Scene, Step, at_length, shortly, walk
from mauntic.errors import OperatorError
from mauntic.operations.statements import SQL

VARYING = re.compile(r"character varying(?:\((\d+)\))?$")
# A name in Postgres' notation: plain, or quoted with its own quotes doubled.
NAME = r"(?:[^\s\".]+|\"(?:[^\"]|\"\")+\")"
INDEX_ON = re.compile(
    rf"CREATE (?:UNIQUE )?INDEX (?P<name>{NAME}) ON (?:ONLY )?(?P<schema>{NAME})\.{NAME} "
)
UNBOUNDED = 10**9
# Types with values that another type may refuse.
FREE = ("text", "character", "json", "numeric", "double")


def add_columns(scene: Scene) -> Iterator[Step]:
    """Add the columns that the platform did not have."""
    now = scene.now()
    for table in scene.shared_tables(now):
        for column in scene.target.columns[table].values():
            if column.name not in now.columns[table] and not column.is_made:
                yield _add_column(scene, column)


def _add_column(scene: Scene, column: Column) -> Step:
    words = {"table": column.table_name, "column": column.name, "type": column.type}
    return Step(
        "columns", column.table_name, f"add {column.name} {column.type}",
        partial(shortly, scene.db, template("add_column", **words)),
    )  # fmt: skip


def set_defaults(scene: Scene) -> Iterator[Step]:
    """Set the values that a new row gets if its writer sends none."""
    now = scene.now()
    for table in scene.shared_tables(now):
        for wanted in scene.target.columns[table].values():
            have = now.columns[table].get(wanted.name)
            default = wanted.default_value
            if default is None or wanted.is_made or (have and have.default_value == default):
                continue
            words = {"table": table, "column": wanted.name, "expression": default}
            yield Step(
                "defaults", table, f"{wanted.name} defaults to {default}",
                partial(shortly, scene.db, template("set_default", **words)),
            )  # fmt: skip


def retype(scene: Scene) -> Iterator[Step]:
    """Change types: the cheap changes of a table together, the expensive ones one by one."""
    now = scene.now()
    changes = [
        (have, wanted)
        for table in scene.shared_tables(now)
        for wanted in scene.target.columns[table].values()
        if (have := now.columns[table].get(wanted.name)) and have.type != wanted.type
    ]
    for table, pairs in groupby(changes, key=lambda pair: pair[0].table_name):
        of_table = list(pairs)
        yield from _free_indexes(scene, now, table, {have.name for have, _ in of_table})
        cheap = [pair for pair in of_table if is_cheap(pair[0].type, pair[1].type)]
        if cheap:
            yield _retype_in_place(scene, table, cheap)
        for have, wanted in of_table:
            if (have, wanted) not in cheap:
                yield _retype_by_copy(scene, have, wanted)


def is_cheap(old: str, new: str) -> bool:
    """Return whether Postgres changes the type in its catalog only, without rewriting the table.

    >>> is_cheap("timestamp without time zone", "timestamp with time zone")
    True
    >>> is_cheap("character varying(100)", "character varying(50)"), is_cheap("integer", "bigint")
    (False, False)
    """
    if old == new.replace("with time zone", "without time zone"):
        return True  # in a session at UTC, since PostgreSQL 12
    before, after = VARYING.match(old), VARYING.match(new)
    if (before or old == "text") and new == "text":
        return True
    limits = [int(match.group(1) or UNBOUNDED) if match else UNBOUNDED for match in (before, after)]
    return bool(after) and (bool(before) or old == "text") and limits[0] <= limits[1]


def _free_indexes(scene: Scene, now: Catalogue, table: str, columns: set[str]) -> Iterator[Step]:
    """Drop indexes over a column that changes, because Postgres would rebuild them under its
    lock.
    """
    for index in now.indexes.get(table, []):
        if index.columns & columns and not index.is_constraint:
            yield Step(
                "indexes", table, f"drop {index.name} while its column changes, and restore it",
                partial(_keep_and_drop, scene, index),
            )  # fmt: skip


def _keep_and_drop(scene: Scene, index: Index) -> None:
    kept: dict[str, object] = {
        "name": index.name,
        "full_name": index.full_name,
        "definition": index.definition,
    }
    shortly(scene.db, (template("keep_index"), kept))
    at_length(scene.db, template("drop_index", index=index.full_name))


def _retype_in_place(scene: Scene, table: str, pairs: list[tuple[Column, Column]]) -> Step:
    parts = [template("retype_one", column=new.name, type=new.type) for _, new in pairs]
    names = ", ".join(f"{new.name} to {new.type}" for _, new in pairs)
    change = template("retype", table=table, changes=", ".join(parts))
    views = {view for old, _ in pairs for view in _views(scene, old)}
    return Step(
        "types", table, f"{names}, in the catalog only",
        partial(shortly, scene.db, change), blocked=_in_the_way(views),
    )  # fmt: skip


def _retype_by_copy(scene: Scene, old: Column, new: Column) -> Step:
    is_code = new.type.startswith("character(")
    words = {
        "table": old.table_name,
        "column": old.name,
        "type": new.type,
        "copy_column": f"adopted_{old.name.strip(chr(34))}",
        # A code of fixed length is truncated, as by a cast; any other text that is too long is
        # refused.
        "value": f"cast(new.{old.name} as {new.type})" if is_code else f"new.{old.name}",
        "function": re.sub(r"\W", "_", f"keep_{old.table_name}_{old.name}"),
    }
    return Step(
        "types", old.table_name, f"{old.name} to {new.type}, through a second column",
        partial(_copy_and_swap, scene, words),
        blocked=_in_the_way(_views(scene, old))
        or _too_long(scene, old, new)
        or _unreadable(scene, old, new),
    )  # fmt: skip


def _copy_and_swap(scene: Scene, words: dict[str, str]) -> int:
    shortly(scene.db, template("add_copy_column", **words))
    rest = {name: text for name, text in words.items() if name != "table"}
    copied = walk(scene.db, words["table"], "fill_copy_column", **rest)
    if left := scene.count("count_uncopied", **words):
        raise OperatorError(
            f"{left} rows of {words['table']} were written in between: apply again."
        )
    shortly(scene.db, template("swap_column", **words))
    return copied


def _views(scene: Scene, column: Column) -> set[str]:
    words = {"table_name": column.table_name, "column_name": column.name}
    return {row["view_name"] for row in scene.db.rows(SQL["adopt_views"], **words)}


def _in_the_way(views: set[str]) -> str | None:
    return (
        f"drop {', '.join(sorted(views))} first, and create it again afterwards" if views else None
    )


def _too_long(scene: Scene, old: Column, new: Column) -> str | None:
    limit = VARYING.match(new.type)
    if limit is None or limit.group(1) is None:
        return None
    words = {"table": old.table_name, "column": old.name}
    rows = scene.count("count_too_long", {"length": int(limit.group(1))}, **words)
    return f"{rows} rows are longer: shorten them first" if rows else None


def _unreadable(scene: Scene, old: Column, new: Column) -> str | None:
    """Return the reason if the new type refuses values: a number may be too large, a text may be
    anything.
    """
    is_open = old.type.startswith(FREE) and (
        not old.type.startswith("numeric") or new.type.startswith("numeric")
    )
    if not is_open or VARYING.match(new.type) or new.type.startswith("character("):
        return None
    if not scene.db.rows(SQL["adopt_can_try"])[0]["can_try"]:
        return None
    words = {"table": old.table_name, "column": old.name}
    rows = scene.count("count_unreadable", {"type": new.type}, **words)
    return f"{rows} rows cannot be read as {new.type}: correct them first" if rows else None


def fill_nulls(scene: Scene) -> Iterator[Step]:
    """Fill nulls that the schema does not allow, by rule or default; set other such rows aside."""
    now = scene.now()
    for table in scene.shared_tables(now):
        for wanted in scene.target.columns[table].values():
            have = now.columns[table].get(wanted.name)
            if not wanted.not_null or (have and have.not_null):
                continue
            rows = scene.count("count_null", table=table, column=wanted.name) if have else None
            if rows != 0:
                yield _fill(scene, replace(wanted, table_name=table), rows)


def _fill(scene: Scene, column: Column, rows: int | None) -> Step:
    table = column.table_name
    words = {"table": table, "column": column.name}
    expression = rule("fill", table, column.name) or column.default_value
    if expression in (None, "null"):
        action = f"set rows without {column.name} aside"
        return Step("rows", table, action, partial(_set_aside, scene, words), rows)
    return Step(
        "rows", table, f"fill {column.name} with {expression}",
        partial(_fill_or_set_aside, scene, words, str(expression)), rows,
    )  # fmt: skip


def _fill_or_set_aside(scene: Scene, words: dict[str, str], expression: str) -> int:
    """Fill by the rule; it can return null too, as for an event without any time."""
    filled = walk(
        scene.db, words["table"], "fill_null", column=words["column"], expression=expression
    )
    return filled + (_set_aside(scene, words) or 0)


def _set_aside(scene: Scene, words: dict[str, str]) -> int | None:
    reason: dict[str, object] = {
        "table_name": words["table"],
        "reason": f"no {words['column']}",
    }
    return at_length(scene.db, (template("set_aside_null", **words), reason))


def restore_indexes(scene: Scene) -> Iterator[Step]:
    """Restore the indexes that were dropped, unless one of the schema's is equivalent."""
    if not scene.db.rows(SQL["adopt_has_table"], table_name="adoption.indexes")[0]["is_there"]:
        return
    now = scene.now()
    existing = defaultdict(list)
    for index in now.all_indexes():
        if index.is_valid:
            existing[bare(index.definition)].append(index.name)
    for row in scene.db.rows(template("kept_indexes")):
        equivalent = existing[bare(row["definition"])]
        action = (
            f"{row['name']} is replaced by {equivalent[0]}"
            if equivalent
            else f"restore {row['name']}"
        )
        yield Step(
            "indexes", "", action,
            partial(_put_back, scene, row, bool(equivalent)),
        )  # fmt: skip


def _put_back(scene: Scene, row: dict[str, Any], is_there: bool) -> None:
    if not is_there:
        at_length(scene.db, template("drop_index", index=_full_name(row)))
        at_length(scene.db, concurrently(row["definition"]))
    shortly(scene.db, (template("forget_index"), {"name": row["name"]}))


def _full_name(row: dict[str, Any]) -> str:
    """Return the qualified name of a dropped index. An earlier version recorded only the
    definition.
    """
    if full_name := row["full_name"]:
        return str(full_name)
    match = INDEX_ON.match(row["definition"])
    if match is None or match["name"] != row["name"]:
        raise OperatorError(f"adoption.indexes has an invalid definition: {row['definition']}")
    return f"{match['schema']}.{match['name']}"


def suffixed(name: str, suffix: str) -> str:
    """Return another name, quoted like the first.

    >>> suffixed("contacts_pkey", "_before"), suffixed('"Contacts"', "_before")
    ('contacts_pkey_before', '"Contacts_before"')
    """
    return f'{name[:-1]}{suffix}"' if name.endswith('"') else f"{name}{suffix}"


def bare(definition: str) -> str:
    """Return an index definition without the name.

    >>> bare('CREATE INDEX "a ON b" ON c.d USING btree (e)')
    'CREATE INDEX ON c.d USING btree (e)'
    """
    return re.sub(rf"INDEX {NAME} ON", "INDEX ON", definition, count=1)


def concurrently(statement: str) -> str:
    """Return the statement that builds the index concurrently."""
    return re.sub(r"^CREATE (UNIQUE )?INDEX ", r"CREATE \1INDEX CONCURRENTLY ", statement)
