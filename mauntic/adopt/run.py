"""Plan or execute an adoption from start to end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial

from mauntic.adopt import keys, kinds, rows, shape
from mauntic.adopt.catalogue import LEDGER_OF_MIGRATIONS, Index, read_catalogue, template
from mauntic.adopt.direct import Direct
from mauntic.adopt.steps import Scene, Step, at_length, shortly
from mauntic.database.embedded.server import temporary_server
from mauntic.database.migrations import DIRECTORY, dump_schema, migrate
from mauntic.errors import OperatorError
from mauntic.operations.statements import SQL
from shared.ports import Database, Row


def know_migrations(scene: Scene) -> Iterator[Step]:
    """Record the migrations as applied, because their objects exist."""
    applied: set[str] = set()
    if _has_table(scene.db, LEDGER_OF_MIGRATIONS):
        applied = {row["version"] for row in scene.db.rows(template("known_migrations"))}
    versions = sorted(file.name.partition("_")[0] for file in DIRECTORY.glob("*.sql"))
    missing = [version for version in versions if version not in applied]
    if missing:
        made = template("make_migrations")
        known_now = (template("know_migrations"), {"versions": missing})
        yield Step(
            "migrations", LEDGER_OF_MIGRATIONS, f"note {', '.join(missing)} as applied",
            partial(shortly, scene.db, made, known_now),
        )  # fmt: skip


def seed(scene: Scene) -> Iterator[Step]:
    """Insert the rows that the migrations insert, such as a list of allowed values."""
    now = scene.now()
    for table, indexes in scene.target.indexes.items():
        primary = next((index for index in indexes if index.is_primary), None)
        if primary is None or not (wanted := _rows_with_keys(scene.target_db, table, primary)):
            continue
        is_there = now.has(table, primary.columns)
        have = (
            {row["key"] for row in _rows_with_keys(scene.db, table, primary)} if is_there else set()
        )
        missing = [row for row in wanted if row["key"] not in have]
        if missing:
            contents = json.dumps([row["content"] for row in missing])
            take = partial(scene.db.execute, template("insert_rows", table=table), rows=contents)
            yield Step("rows", table, "insert the rows that every database has", take, len(missing))


def ask_for_scores(scene: Scene) -> Iterator[Step]:
    """Request the first scores of each organization that has contacts without a score."""
    tables = (
        "crm.contact_changes",
        "scoring.recompute_backlog",
        "scoring.lead_scores",
        "crm.contacts",
    )
    if not all(_has_table(scene.db, table) for table in tables):
        return
    if found := scene.count("count_unscored"):
        take = partial(at_length, scene.db, template("ask_for_scores"))
        yield Step("rows", tables[0], "request the first score of every contact", take, found)


def declare_retention(scene: Scene) -> Iterator[Step]:
    """Declare, once, the retained period of each organization: since the day of its oldest
    event.
    """
    tables = ("ops.retention", "analytics.contact_activity", "analytics.event_aggregates")
    if not all(_has_table(scene.db, table) for table in tables):
        return
    if found := scene.count("count_undeclared"):
        take = partial(at_length, scene.db, template("declare_retention"))
        action = "declare the day since which the events of an organization are complete"
        yield Step("rows", tables[0], action, take, found)


def _rows_with_keys(db: Database, table: str, primary: Index) -> Sequence[Row]:
    return db.rows(template("keyed_rows", table=table, key=", ".join(primary.keys)))


# If one of these phases has a blocked step, later phases cannot be planned.
DECISIVE = (kinds.refuse_kinds, shape.retype)
# Each phase reads the database when it starts. Rows follow types, so values are compared in their
# final types; keys follow rows; old indexes are restored last, unless one of the schema's replaces
# them.
PHASES: tuple[Callable[[Scene], Iterator[Step]], ...] = (
    kinds.refuse_kinds,
    shape.add_columns,
    shape.retype,
    shape.set_defaults,
    shape.fill_nulls,
    rows.merge,
    rows.tidy,
    keys.add_checks,
    keys.refuse_nulls,
    keys.complete,
    keys.allow_nulls,
    seed,
    rows.orphans,
    keys.link,
    ask_for_scores,
    declare_retention,
    shape.restore_indexes,
    know_migrations,
)


@contextmanager
def open_target() -> Iterator[str]:
    """Yield the URL of an empty database with every migration applied, for comparison."""
    with temporary_server() as server:
        migrate(server.url)
        yield server.url


@contextmanager
def open_scene(url: str, target_url: str) -> Iterator[Scene]:
    """Yield the database to adopt, together with the target."""
    with (
        closing(Direct(url)) as db,
        closing(Direct(target_url)) as target,
    ):
        wanted = keys.statements(dump_schema(target_url))
        yield Scene(db, url, target, read_catalogue(target), wanted)


def plan(scene: Scene) -> list[Step]:
    """Return every step for the current state. Counting reads whole tables; nothing is written.

    The plan ends at a table that cannot be changed in place or a type that refuses a value, because
    the later steps cannot be counted.
    """
    steps: list[Step] = []
    for phase in PHASES:
        steps += phase(scene)
        if phase in DECISIVE and any(step.blocked for step in steps):
            break
    return steps


def apply(scene: Scene, tell: Callable[[Step, int | None], None]) -> int:
    """Execute every step and return the number of steps. Raise OperatorError if a person must
    decide first.
    """
    steps = plan(scene)
    if not steps:
        return 0
    _refuse_blocked(steps)
    shortly(scene.db, template("make_room"))
    taken = 0
    for phase in PHASES:
        todo = list(phase(scene))
        _refuse_blocked(todo)
        for step in todo:
            done = _rows_changed(step)
            _report(scene.db, step, done)
            tell(step, done)
            taken += 1
    left = plan(scene)
    if left:
        raise OperatorError(
            f"{len(left)} steps are left. The first is {left[0].action}. Apply again."
        )
    return taken


def _refuse_blocked(steps: list[Step]) -> None:
    blocked = [f"{step.table}: {step.action}: {step.blocked}" for step in steps if step.blocked]
    if blocked:
        raise OperatorError("A person must decide first. " + "; ".join(blocked) + ".")


def _report(db: Database, step: Step, done: int | None) -> None:
    words = {"phase": step.phase, "table_name": step.table, "what": step.action}
    db.execute(template("report"), found=step.found, done=done, **words)


def _rows_changed(step: Step) -> int | None:
    """Return the number of changed rows if the step changes rows."""
    changed = step.take()
    return changed if step.phase == "rows" else None


def days_to_recompute(scene: Scene) -> Sequence[Row]:
    """Return the days with duplicate rollups: one of the two was kept, so they should be
    backfilled.
    """
    if not _has_table(scene.db, "adoption.set_aside"):
        return []
    return scene.db.rows(template("days_to_recompute"))


def _has_table(db: Database, name: str) -> bool:
    return bool(db.rows(SQL["adopt_has_table"], table_name=name)[0]["is_there"])
