"""Create keys, checks, indexes and other missing objects without long locks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from mauntic.adopt.catalogue import Catalogue, Check, Index, template
from mauntic.adopt.rows import merges_of, offenders, take_merge
from mauntic.adopt.shape import bare, concurrently, suffixed
from mauntic.adopt.steps import Scene, Step, at_length, shortly
from mauntic.database.migrations import dump_schema
from mauntic.errors import OperatorError
from shared.errors import DatabaseError

UNIQUE_VIOLATION = "23505"
UNCASTABLE = ("22", "42846")  # a value that a type refuses; a type without a cast to another
BUILD_TRIES = 5  # until the key exists, writers may store duplicates again

# The tables that the jobs insert into: columns that the jobs do not know must be nullable.
WRITTEN = ("analytics.event_aggregates", "analytics.campaign_daily_stats", "scoring.")

CREATE_TABLE = re.compile(r"CREATE TABLE (\S+) \(")
CONSTRAINT = re.compile(
    r"ALTER TABLE ONLY (\S+)\n    ADD CONSTRAINT (\S+) (PRIMARY KEY|UNIQUE|FOREIGN KEY)"
)
INDEX = re.compile(r"CREATE (?:UNIQUE )?INDEX (\S+) ON (?:ONLY )?(\S+)")
BODIED = re.compile(r"CREATE (FUNCTION|PROCEDURE) ", re.IGNORECASE)
REPLACEABLE = re.compile(r"^CREATE (VIEW|FUNCTION|TRIGGER|PROCEDURE) ")


def refuse_nulls(scene: Scene) -> Iterator[Step]:
    """Make columns `not null`."""
    now = scene.now()
    for table in scene.shared_tables(now):
        for wanted in scene.target.columns[table].values():
            have = now.columns[table].get(wanted.name)
            if wanted.not_null and not (have and have.not_null):
                name = f"adopted_{wanted.name.strip(chr(34))}_not_null"
                words = {"table": table, "column": wanted.name, "name": name}
                yield Step(
                    "keys", table, f"{wanted.name} is not null", partial(_refuse_null, scene, words)
                )


def _refuse_null(scene: Scene, words: dict[str, str]) -> None:
    shortly(scene.db, template("refuse_null", **words))
    at_length(scene.db, template("validate", **words))
    shortly(scene.db, template("set_not_null", **words))


def allow_nulls(scene: Scene) -> Iterator[Step]:
    """Make the platform's additional columns nullable if they would refuse the jobs' rows."""
    now = scene.now()
    for table in scene.shared_tables(now):
        if not table.startswith(WRITTEN):
            continue
        for have in now.columns[table].values():
            is_ours = have.name in scene.target.columns[table]
            if have.not_null and have.default_value is None and not have.is_made and not is_ours:
                words = {"table": table, "column": have.name}
                yield Step(
                    "keys", table, f"make {have.name} nullable: the jobs do not write it",
                    partial(shortly, scene.db, template("allow_null", **words)),
                )  # fmt: skip


def add_checks(scene: Scene) -> Iterator[Step]:
    """Add checks: they apply to new rows at once, and old rows are validated without blocking
    writers.
    """
    now = scene.now()
    for table in scene.shared_tables(now):
        have = {check.definition: check for check in now.checks.get(table, [])}
        for wanted in scene.target.checks.get(table, []):
            existing = have.get(wanted.definition)
            if existing is None or not existing.is_valid:
                yield _add_check(scene, now, wanted, existing)


def _add_check(scene: Scene, now: Catalogue, wanted: Check, existing: Check | None) -> Step:
    words = {"table": wanted.table_name, "name": wanted.name, "definition": wanted.definition}
    condition = wanted.definition.removeprefix("CHECK ")
    return Step(
        "keys", wanted.table_name, f"{wanted.name}: {condition}",
        partial(_take_check, scene, words, existing is not None),
        blocked=_broken(scene, now, wanted.table_name, condition),
    )  # fmt: skip


def _broken(scene: Scene, now: Catalogue, table: str, condition: str) -> str | None:
    """Return the number of rows that break a check. If a value cannot be cast to the column's new
    type, the change of type would fail midway; before version 16 Postgres cannot detect this in
    advance.
    """
    try:
        rows = offenders(scene, now, table, condition)
    except DatabaseError as error:
        if not error.sqlstate.startswith(UNCASTABLE):
            raise
        return f"rows do not fit the new types of their columns ({error}): correct them first"
    return f"{rows} rows break it: correct them first" if rows else None


def _take_check(scene: Scene, words: dict[str, str], is_there: bool) -> None:
    if not is_there:
        shortly(scene.db, template("drop_constraint", **words), template("add_check", **words))
    at_length(scene.db, template("validate", **words))


def complete(scene: Scene) -> Iterator[Step]:
    """Yield every statement of the target that the database lacks, in the target's order."""
    now = scene.now()
    for statement in _missing(scene):
        created = CREATE_TABLE.match(statement)
        if not (created and created.group(1) in now.columns) and not _is_link(statement):
            yield _complete(scene, statement)


def link(scene: Scene) -> Iterator[Step]:
    """Yield the missing foreign keys, after the tables that they refer to exist and have rows."""
    for statement in filter(_is_link, _missing(scene)):
        yield _complete(scene, statement)


def _missing(scene: Scene) -> list[str]:
    existing = set(statements(dump_schema(scene.url)))
    return [statement for statement in scene.statements if statement not in existing]


def _is_link(statement: str) -> bool:
    match = CONSTRAINT.match(statement)
    return match is not None and match.group(3) == "FOREIGN KEY"


def statements(dump: str) -> list[str]:
    """Split a normalized dump into statements, which are separated by empty lines; function bodies
    stay complete.

    >>> statements("create a;\\n\\ncreate function b() as $$\\n\\nend $$;\\n")
    ['create a;', 'create function b() as $$\\n\\nend $$;']
    """
    parts: list[str] = []
    for part in dump.strip().split("\n\n"):
        if parts and (not parts[-1].endswith(";") or _is_open(parts[-1])):
            parts[-1] += f"\n\n{part}"
        else:
            parts.append(part)
    return parts


def _is_open(statement: str) -> bool:
    """Return whether a function body is open at the end of the text. Outside a function, `$$` is
    part of a name.
    """
    return bool(BODIED.match(statement)) and statement.count("$$") % 2 == 1


def _complete(scene: Scene, statement: str) -> Step:
    first_line = " ".join(statement.replace("\n   ", "").partition("\n")[0].split())
    if match := CONSTRAINT.match(statement):
        table, name, constraint = match.groups()
        if constraint == "FOREIGN KEY":
            return Step(
                "keys", table, first_line, partial(_add_foreign_key, scene, table, name, statement)
            )
        return Step("keys", table, first_line, partial(_add_key, scene, table, name))
    if match := INDEX.match(statement):
        name, table = match.groups()
        return Step(
            "indexes", table, first_line, partial(_add_index, scene, table, name, statement)
        )
    return Step("rest", "", first_line[:100], partial(shortly, scene.db, replaceable(statement)))


def replaceable(statement: str) -> str:
    """Return a statement that may replace an older version of its object.

    >>> replaceable("CREATE VIEW a AS"), replaceable("CREATE SCHEMA a;")
    ('CREATE OR REPLACE VIEW a AS', 'CREATE SCHEMA IF NOT EXISTS a;')
    """
    statement = re.sub(r"^CREATE SCHEMA ", "CREATE SCHEMA IF NOT EXISTS ", statement)
    return REPLACEABLE.sub(r"CREATE OR REPLACE \1 ", statement)


def _add_foreign_key(scene: Scene, table: str, name: str, statement: str) -> None:
    shortly(
        scene.db,
        template("drop_constraint", table=table, name=name),
        statement.removesuffix(";") + " NOT VALID",
    )
    at_length(scene.db, template("validate", table=table, name=name))


def _add_key(scene: Scene, table: str, name: str) -> None:
    """Declare a primary key or unique constraint over an index that was built concurrently."""
    wanted = next(index for index in scene.target.indexes[table] if index.name == name)
    same = _same_key(scene.indexes_now(table), wanted)
    if same:
        shortly(scene.db, template("rename_constraint", table=table, old=same.name, name=name))
        return
    built = f"adopted_{name}"
    _build_unique(scene, wanted, built)
    changes = [*_make_way(scene, wanted), template(
        "use_index", table=table, name=name, index=built,
        kind="primary key" if wanted.is_primary else "unique",
    )]  # fmt: skip
    shortly(scene.db, *changes)


def _same_key(indexes: list[Index], wanted: Index) -> Index | None:
    """Rename the same key."""
    return next(
        (
            index
            for index in indexes
            if index.is_constraint
            and (index.is_primary, index.keys, index.nulls)
            == (wanted.is_primary, wanted.keys, wanted.nulls)
        ),
        None,
    )


def _make_way(scene: Scene, wanted: Index) -> list[str]:
    """Replace the primary key: a table has only one, so the old one is dropped and a unique index
    takes its place.
    """
    changes = []
    for index in scene.indexes_now(wanted.table_name):
        words = {"table": wanted.table_name, "name": index.name, "index": index.full_name}
        if wanted.is_primary and index.is_primary:
            _build_unique(scene, index, suffixed(index.name, "_before"))
            changes.append(template("drop_constraint", **words))
        elif index.name == wanted.name:
            name = suffixed(index.name, "_before")
            changes.append(template("rename_index", index=index.full_name, name=name))
    return changes


def _build_unique(scene: Scene, wanted: Index, name: str) -> None:
    """Build the index; if writers add duplicates in the meantime, merge them and try again."""
    table = wanted.table_name
    full_name = f"{table.partition('.')[0]}.{name}"
    words = {"name": name, "table": table, "columns": ", ".join(wanted.keys)}
    build = template("build_unique", **words, nulls=wanted.nulls)
    for _ in range(BUILD_TRIES):
        at_length(scene.db, template("drop_index", index=full_name))  # left by an earlier try
        try:
            at_length(scene.db, build)
            return
        except DatabaseError as error:
            if error.sqlstate != UNIQUE_VIOLATION:
                raise
        for merge in merges_of(scene.target, scene.now(), table):
            take_merge(scene, merge)
    raise OperatorError(
        f"{table} gets duplicates faster than they are merged: stop its old writer and apply again."
    )


def _add_index(scene: Scene, table: str, name: str, statement: str) -> None:
    for index in scene.indexes_now(table):
        if index.is_valid and bare(index.definition) == bare(statement.removesuffix(";")):
            shortly(scene.db, template("rename_index", index=index.full_name, name=name))
            return
        if index.name == name and index.is_valid:
            before = suffixed(name, "_before")
            shortly(scene.db, template("rename_index", index=index.full_name, name=before))
    for attempt in range(1, BUILD_TRIES + 1):
        at_length(scene.db, template("drop_index", index=f"{table.partition('.')[0]}.{name}"))
        try:
            at_length(scene.db, concurrently(statement))
            return
        except DatabaseError as error:
            if error.sqlstate != UNIQUE_VIOLATION or attempt == BUILD_TRIES:
                raise
        for merge in merges_of(scene.target, scene.now(), table):
            take_merge(scene, merge)
