"""Rows in the way of a key or a check: merged by rule, set aside with a copy, or tidied."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from mauntic.adopt.catalogue import TEMPLATES, Catalogue, Index, rule, template
from mauntic.adopt.steps import Scene, Step, at_length
from shared.ports import Database

ACTIVITY = "analytics.contact_activity"
SAME_ROW = "the same row twice"
NEWEST_FIRST = ("updated_at", "created_at")


FOREIGN_KEY = re.compile(
    r"ALTER TABLE ONLY (\S+)\n.* FOREIGN KEY \(([^)]+)\) REFERENCES ([^(]+)\(([^)]+)\)"
)


@dataclass(frozen=True)
class Merge:
    """Rows that are equal in `key`: the first by `keep` stays, the others go or are changed."""

    table: str
    key: str
    keep: str
    reason: str
    predicate: str = "true"
    change: str | None = None

    def words(self) -> dict[str, str]:
        predicate = (
            f"{self.predicate} and row({self.key}) is not null"
            if self.unlike_null
            else self.predicate
        )
        return {
            "table": self.table,
            "key": self.key,
            "keep": self.keep,
            "predicate": predicate,
            "reason": self.reason,
            "change": self.change or "",
        }

    @property
    def unlike_null(self) -> bool:
        """Whether two nulls differ: in a key they do, in a comparison of whole rows they do not."""
        return self.reason != SAME_ROW


def merge(scene: Scene) -> Iterator[Step]:
    """Merge the rows that are duplicates under one of the target's keys."""
    now = scene.now()
    for table in scene.shared_tables(now):
        yield from _mixed(scene, now, table)
        earlier: list[Merge] = []
        for one in merges_of(scene.target, now, table):
            yield from _merge(scene, now, one, earlier)
            earlier.append(one)


def _mixed(scene: Scene, now: Catalogue, table: str) -> Iterator[Step]:
    """Ids of several different things, which a person has to part: other rows refer to the id."""
    other = rule("other", table)
    if other is None or not now.has(table, ["id", other]):
        return
    if found := scene.count("count_mixed", table=table, key="id", other=other):
        blocked = f"{found} ids are of several: give all but one of each an id of its own"
        yield Step("rows", table, f"one {other} an id", lambda: None, found, blocked)


def _merge(scene: Scene, now: Catalogue, one: Merge, earlier: Sequence[Merge]) -> Iterator[Step]:
    source = _merged_rows(scene, now, one, earlier)
    found = scene.count("count_duplicates", **(one.words() | {"table": source})) if source else 0
    if found:
        action = f"change to {one.change}" if one.change else "set aside"
        what = f"{one.reason}: {action} all but the first by {' '.join(one.keep.split())}"
        yield Step("rows", one.table, what, partial(take_merge, scene, one), found)


def _merged_rows(scene: Scene, now: Catalogue, one: Merge, earlier: Sequence[Merge]) -> str | None:
    """Return the rows that a merge meets, as a table expression.

    The rows that an earlier merge of the table sets aside are left out. None where the rows cannot
    be known before other steps are taken.
    """
    steps = [*(before for before in earlier if not before.change), one]
    missing = _missing_columns(
        scene, now, one.table, " ".join(map(str, (m.words() for m in steps)))
    )
    if missing is None:
        return None
    columns = "".join(f", {expression} as {name}" for name, expression in missing.items())
    source = f"(select *, ctid as ctid{columns} from {one.table}) as known"
    for before in steps[:-1]:
        kept = template("left_by_merge", **(before.words() | {"table": source}))
        source = f"({kept}) as known"
    return source


def _missing_columns(scene: Scene, now: Catalogue, table: str, text: str) -> dict[str, str] | None:
    """The columns that a rule reads and that adoption adds, each with the value that it fills in.
    None where no value is known."""
    spoken_of = set(re.findall(r"\w+", text)) & scene.target.columns[table].keys()
    filled = {}
    for name in sorted(spoken_of - now.columns[table].keys()):
        column = scene.target.columns[table][name]
        expression = rule("fill", table, name) if column.not_null else "null"
        if expression is None:
            return None
        filled[name] = f"cast({expression} as {column.type})"
    return filled


def take_merge(scene: Scene, one: Merge) -> int | None:
    if one.change:
        return at_length(scene.db, template("change_duplicates", **one.words()))
    reason: dict[str, object] = {"table_name": one.table, "reason": one.reason}
    return at_length(scene.db, (template("set_aside_duplicates", **one.words()), reason))


def merges_of(target: Catalogue, now: Catalogue, table: str) -> list[Merge]:
    """What has to be merged before the keys of a table can hold, in order: rows that are the same
    thing become one row; then different rows that still share an id get ids of their own."""
    keep = rule("keep", table) or _newest_first(now, table)
    keys = [key for key in target.unique_keys(table) if now.has(table, key.columns)]
    same = rule("same", table)
    by_id = [key for key in keys if key.keys == ("id",) and same]
    merges = _merges_of_events(keep) if table == ACTIVITY else []
    if not merges:
        merges = [_merge_of(table, key, keep) for key in keys if key not in by_id]
    if by_id and same:
        changed = Merge(table, "id", keep, "the same id", change=_plain("new_id"))
        merges = [*merges, Merge(table, same, keep, SAME_ROW), changed]
    return merges


def _merge_of(table: str, key: Index, keep: str) -> Merge:
    among = rule("among", f"{table.partition('.')[0]}.{key.name}") or key.predicate or "true"
    return Merge(table, _key(table, key), keep, f"the same {', '.join(key.keys)}", among)


def _merges_of_events(keep: str) -> list[Merge]:
    """Events are never lost: only what is one event delivered twice becomes one."""
    same, changed = (_plain(f"activity__{name}") for name in ("same_event", "no_event_id"))
    known, key = "event_id is not null", "organization_id, event_id"
    return [
        Merge(ACTIVITY, same, keep, "the same event twice", known),
        Merge(ACTIVITY, key, keep, "the same event_id", known, changed),
    ]


def _plain(name: str) -> str:
    lines = TEMPLATES[name].splitlines()
    return "\n".join(line for line in lines if not line.startswith("--")).strip()


def _key(table: str, key: Index) -> str:
    return ", ".join(rule("key", table, part) or part for part in key.keys)


def _newest_first(now: Catalogue, table: str) -> str:
    """By the time that rows carry, else by the number that they were given."""
    columns = now.columns[table]
    known = [name for name in NEWEST_FIRST if name in columns]
    if "id" in columns and columns["id"].type in ("integer", "bigint"):
        known.append("id")
    return ", ".join(f"{name} desc nulls last" for name in known) or "ctid desc"


def _is_usable(scene: Scene, now: Catalogue, table: str, text: str) -> bool:
    """Whether the columns that a rule speaks of are there yet; while planning they may not be."""
    spoken_of = set(re.findall(r"\w+", text)) & scene.target.columns[table].keys()
    return now.has(table, spoken_of)


def tidy(scene: Scene) -> Iterator[Step]:
    """Values that mean the right thing but are not written as the schema wants them."""
    now = scene.now()
    for table in scene.shared_tables(now):
        tidied = _tidied(scene, now, table)
        if not tidied:
            continue
        untidy = " or ".join(f"{name} is distinct from {text}" for name, text in tidied.items())
        change = ", ".join(f"{name} = {text}" for name, text in tidied.items())
        words = {"table": table, "untidy": untidy, "change": change}
        if found := scene.count("count_untidy", **words):
            take = partial(at_length, scene.db, template("tidy", **words))
            yield Step("rows", table, f"tidy {', '.join(tidied)}", take, found)


def _tidied(scene: Scene, now: Catalogue, table: str) -> dict[str, str]:
    """The expression for each column that has a rule, as far as the columns it reads exist yet."""
    rules = {name: rule("tidy", table, name) for name in now.columns[table]}
    return {
        name: f"({text})"
        for name, text in rules.items()
        if text and _is_usable(scene, now, table, text)
    }


def offenders(scene: Scene, now: Catalogue, table: str, condition: str) -> int:
    """Rows that break a check in their final types and that no rule will mend."""
    if not _is_usable(scene, now, table, condition):
        return 0
    tidied = _tidied(scene, now, table)
    values = ", ".join(
        f"{tidied[name]} as {name}" if name in tidied else name for name in now.columns[table]
    )
    words = {"table": table, "condition": condition, "values": values}
    return scene.count("count_offenders", **words, typed=_typed(scene, now, table))


def _typed(scene: Scene, now: Catalogue, table: str) -> str:
    """The columns, each as the type that it is to become."""
    ours = scene.target.columns[table]
    return ", ".join(
        f"cast({name} as {ours[name].type}) as {name}" if name in ours else name
        for name in now.columns[table]
    )


def orphans(scene: Scene) -> Iterator[Step]:
    """Rows that refer to a value that our lists do not have: no job can use them."""
    now = scene.now()
    for table, columns, parent, keys in _references(scene):
        if not now.has(table, columns):
            continue
        known = _keys_of(scene.target_db, parent, keys)
        if now.has(parent, keys):
            known += _keys_of(scene.db, parent, keys)
        words = {"table": table, "columns": ", ".join(columns)}
        reason = f"{' and '.join(columns)} that {parent} does not have"
        found = scene.db.rows(template("count_orphans", **words), parents=known)[0]["found"]
        if found:
            values = {"table_name": table, "reason": reason, "parents": known}
            yield Step(
                "rows", table, f"{reason}: set aside",
                partial(scene.db.execute, template("set_aside_orphans", **words), **values), found,
            )  # fmt: skip


def _references(scene: Scene) -> Iterator[tuple[str, list[str], str, list[str]]]:
    """The foreign keys to tables that the migrations fill, except those from a table to itself."""
    for statement in scene.statements:
        if match := FOREIGN_KEY.search(statement):
            table, columns, parent, keys = match.groups()
            if table != parent and _keys_of(scene.target_db, parent, keys.split(", ")):
                yield table, columns.split(", "), parent, keys.split(", ")


def _keys_of(db: Database, table: str, keys: list[str]) -> list[str]:
    return [row["key"] for row in db.rows(template("keyed_rows", table=table, key=", ".join(keys)))]
