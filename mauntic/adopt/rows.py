"""Rows that violate a key or a check: merged by rule, set aside with a copy, or corrected."""

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
    """Rows that are equal in `key`: the first by `keep` stays, the others are removed or
    changed.
    """

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
        """True if two nulls differ: they do in a key, but not in a comparison of whole rows."""
        return self.reason != SAME_ROW


def merge(scene: Scene) -> Iterator[Step]:
    """Yield steps that merge duplicate rows of the target's keys."""
    now = scene.now()
    for table in scene.shared_tables(now):
        yield from _shared_ids(scene, now, table)
        earlier: list[Merge] = []
        for merge in merges_of(scene.target, now, table):
            yield from _merge(scene, now, merge, earlier)
            earlier.append(merge)


def _shared_ids(scene: Scene, now: Catalogue, table: str) -> Iterator[Step]:
    """Yield blocked steps for ids of several different things: a person must separate them, because
    other rows refer to the id.
    """
    other = rule("other", table)
    if other is None or not now.has(table, ["id", other]):
        return
    if found := scene.count("count_mixed", table=table, key="id", other=other):
        blocked = f"{found} ids have rows with different {other}: give all but one of each a new id"
        yield Step("rows", table, f"one {other} per id", lambda: None, found, blocked)


def _merge(scene: Scene, now: Catalogue, merge: Merge, earlier: Sequence[Merge]) -> Iterator[Step]:
    source = _merged_rows(scene, now, merge, earlier)
    found = scene.count("count_duplicates", **(merge.words() | {"table": source})) if source else 0
    if found:
        action = f"change to {merge.change}" if merge.change else "set aside"
        step_text = f"{merge.reason}: {action} all but the first by {' '.join(merge.keep.split())}"
        yield Step("rows", merge.table, step_text, partial(take_merge, scene, merge), found)


def _merged_rows(
    scene: Scene, now: Catalogue, merge: Merge, earlier: Sequence[Merge]
) -> str | None:
    """Return the rows that a merge reads, as a table expression.

    It excludes rows that an earlier merge of the table sets aside. None if the rows are unknown
    until other steps were executed.
    """
    steps = [*(before for before in earlier if not before.change), merge]
    missing = _missing_columns(
        scene, now, merge.table, " ".join(map(str, (m.words() for m in steps)))
    )
    if missing is None:
        return None
    columns = "".join(f", {expression} as {name}" for name, expression in missing.items())
    source = f"(select *, ctid as ctid{columns} from {merge.table}) as known"
    for before in steps[:-1]:
        kept = template("left_by_merge", **(before.words() | {"table": source}))
        source = f"({kept}) as known"
    return source


def _missing_columns(scene: Scene, now: Catalogue, table: str, text: str) -> dict[str, str] | None:
    """Return the columns that a rule reads and that adoption adds, each with the value that it will
    have. None if the value is unknown.
    """
    spoken_of = set(re.findall(r"\w+", text)) & scene.target.columns[table].keys()
    filled = {}
    for name in sorted(spoken_of - now.columns[table].keys()):
        column = scene.target.columns[table][name]
        expression = rule("fill", table, name) if column.not_null else "null"
        if expression is None:
            return None
        filled[name] = f"cast({expression} as {column.type})"
    return filled


def take_merge(scene: Scene, merge: Merge) -> int | None:
    if merge.change:
        return at_length(scene.db, template("change_duplicates", **merge.words()))
    reason: dict[str, object] = {"table_name": merge.table, "reason": merge.reason}
    return at_length(scene.db, (template("set_aside_duplicates", **merge.words()), reason))


def merges_of(target: Catalogue, now: Catalogue, table: str) -> list[Merge]:
    """Return the merges that the keys of a table need, in order: first rows that are the same thing
    become one row, then different rows with the same id get new ids.
    """
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
    """Return the merges of events. No event is lost: only two deliveries of one event become one
    row.
    """
    same, changed = (_plain(f"activity__{name}") for name in ("same_event", "no_event_id"))
    has_event_id, key = "event_id is not null", "organization_id, event_id"
    return [
        Merge(ACTIVITY, same, keep, "the same event twice", has_event_id),
        Merge(ACTIVITY, key, keep, "the same event_id", has_event_id, changed),
    ]


def _plain(name: str) -> str:
    lines = TEMPLATES[name].splitlines()
    return "\n".join(line for line in lines if not line.startswith("--")).strip()


def _key(table: str, key: Index) -> str:
    return ", ".join(rule("key", table, part) or part for part in key.keys)


def _newest_first(now: Catalogue, table: str) -> str:
    """Return the order by the time of the rows, else by their numeric id."""
    columns = now.columns[table]
    order = [name for name in NEWEST_FIRST if name in columns]
    if "id" in columns and columns["id"].type in ("integer", "bigint"):
        order.append("id")
    return ", ".join(f"{name} desc nulls last" for name in order) or "ctid desc"


def _is_usable(scene: Scene, now: Catalogue, table: str, text: str) -> bool:
    """Return whether the columns of a rule exist; during planning they may be missing."""
    spoken_of = set(re.findall(r"\w+", text)) & scene.target.columns[table].keys()
    return now.has(table, spoken_of)


def tidy(scene: Scene) -> Iterator[Step]:
    """Yield steps that correct values with the right meaning and the wrong spelling."""
    now = scene.now()
    for table in scene.shared_tables(now):
        corrections = _corrections(scene, now, table)
        if not corrections:
            continue
        untidy = " or ".join(
            f"{name} is distinct from {text}" for name, text in corrections.items()
        )
        change = ", ".join(f"{name} = {text}" for name, text in corrections.items())
        words = {"table": table, "untidy": untidy, "change": change}
        if found := scene.count("count_untidy", **words):
            take = partial(at_length, scene.db, template("tidy", **words))
            yield Step("rows", table, f"correct {', '.join(corrections)}", take, found)


def _corrections(scene: Scene, now: Catalogue, table: str) -> dict[str, str]:
    """Return the expression for each column with a rule whose columns exist."""
    rules = {name: rule("tidy", table, name) for name in now.columns[table]}
    return {
        name: f"({text})"
        for name, text in rules.items()
        if text and _is_usable(scene, now, table, text)
    }


def offenders(scene: Scene, now: Catalogue, table: str, condition: str) -> int:
    """Count the rows that break a check in their final types and that no rule corrects."""
    if not _is_usable(scene, now, table, condition):
        return 0
    corrections = _corrections(scene, now, table)
    values = ", ".join(
        f"{corrections[name]} as {name}" if name in corrections else name
        for name in now.columns[table]
    )
    words = {"table": table, "condition": condition, "values": values}
    return scene.count("count_offenders", **words, typed=_cast_columns(scene, now, table))


def _cast_columns(scene: Scene, now: Catalogue, table: str) -> str:
    """Return the columns, each cast to its final type."""
    ours = scene.target.columns[table]
    return ", ".join(
        f"cast({name} as {ours[name].type}) as {name}" if name in ours else name
        for name in now.columns[table]
    )


def orphans(scene: Scene) -> Iterator[Step]:
    """Yield steps for rows that refer to a value outside the project's lists: no job can use
    them.
    """
    now = scene.now()
    for table, columns, parent, keys in _references(scene):
        if not now.has(table, columns):
            continue
        parents = _keys_of(scene.target_db, parent, keys)
        if now.has(parent, keys):
            parents += _keys_of(scene.db, parent, keys)
        words = {"table": table, "columns": ", ".join(columns)}
        reason = f"{' and '.join(columns)} that {parent} does not have"
        found = scene.db.rows(template("count_orphans", **words), parents=parents)[0]["found"]
        if found:
            values = {"table_name": table, "reason": reason, "parents": parents}
            yield Step(
                "rows", table, f"{reason}: set aside",
                partial(scene.db.execute, template("set_aside_orphans", **words), **values), found,
            )  # fmt: skip


def _references(scene: Scene) -> Iterator[tuple[str, list[str], str, list[str]]]:
    """Yield the foreign keys to tables that the migrations fill, except those to the same table."""
    for statement in scene.statements:
        if match := FOREIGN_KEY.search(statement):
            table, columns, parent, keys = match.groups()
            if table != parent and _keys_of(scene.target_db, parent, keys.split(", ")):
                yield table, columns.split(", "), parent, keys.split(", ")


def _keys_of(db: Database, table: str, keys: list[str]) -> list[str]:
    return [row["key"] for row in db.rows(template("keyed_rows", table=table, key=", ".join(keys)))]
