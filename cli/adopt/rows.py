"""Rows in the way of a key or a check: merged by rule, set aside with a copy, or tidied."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from cli.adopt.catalogue import TEMPLATES, Catalogue, Index, rule, template
from cli.adopt.steps import Scene, Step, at_length

ACTIVITY = "analytics.contact_activity"
NEWEST_FIRST = ("updated_at", "created_at")


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
        """A key takes no two missing values for equal; whole rows are compared with them."""
        return self.reason != "the same row twice"


def merge(scene: Scene) -> Iterator[Step]:
    """Whatever stands twice under one of the target's keys."""
    now = scene.now()
    for table in scene.shared_tables(now):
        for one in merges_of(scene.target, now, table):
            yield from _merge(scene, now, one)


def _merge(scene: Scene, now: Catalogue, one: Merge) -> Iterator[Step]:
    is_countable = all(_is_usable(scene, now, one.table, text) for text in (one.key, one.keep))
    found = scene.count("count_duplicates", **one.words()) if is_countable else 0
    if found:
        action = f"change to {one.change}" if one.change else "set aside"
        what = f"{one.reason}: {action} all but the first by {' '.join(one.keep.split())}"
        yield Step("rows", one.table, what, partial(take_merge, scene, one), found)


def take_merge(scene: Scene, one: Merge) -> int | None:
    name = "change_duplicates" if one.change else "set_aside_duplicates"
    return at_length(scene.db, template(name, **one.words()))


def merges_of(target: Catalogue, now: Catalogue, table: str) -> list[Merge]:
    """What has to be merged before the keys of a table can hold, in order."""
    keep = rule("keep", table) or _newest_first(now, table)
    if table == ACTIVITY:
        return _merges_of_activity(keep)
    return [
        Merge(
            table,
            _key(table, key),
            keep,
            f"the same {', '.join(key.keys)}",
            key.predicate or "true",
        )
        for key in target.unique_keys(table)
        if now.has(table, key.columns)
    ]


def _merges_of_activity(keep: str) -> list[Merge]:
    """Events are never lost: only what is one event stored twice becomes one."""
    words = {
        name: _plain(f"activity__{name}")
        for name in ("same_row", "same_event", "new_id", "no_event_id")
    }
    known = "event_id is not null"
    return [
        Merge(ACTIVITY, words["same_row"], keep, "the same row twice"),
        Merge(ACTIVITY, "id", keep, "the same id", change=words["new_id"]),
        Merge(ACTIVITY, words["same_event"], keep, "the same event twice", known),
        Merge(
            ACTIVITY,
            "organization_id, event_id",
            keep,
            "the same event_id",
            known,
            words["no_event_id"],
        ),
    ]


def _plain(name: str) -> str:
    lines = TEMPLATES[name].splitlines()
    return "\n".join(line for line in lines if not line.startswith("--")).strip()


def _key(table: str, key: Index) -> str:
    return ", ".join(rule("key", table, part) or part for part in key.keys)


def _newest_first(now: Catalogue, table: str) -> str:
    known = [f"{name} desc nulls last" for name in NEWEST_FIRST if name in now.columns[table]]
    return ", ".join(known) or "ctid desc"


def _is_usable(scene: Scene, now: Catalogue, table: str, text: str) -> bool:
    """Whether the columns that a rule speaks of are there yet; while planning they may not be."""
    spoken_of = set(re.findall(r"\w+", text)) & scene.target.columns[table].keys()
    return now.has(table, spoken_of)


def tidy(scene: Scene) -> Iterator[Step]:
    """Values that mean the right thing and are written wrongly."""
    now = scene.now()
    for table in scene.shared_tables(now):
        untidy, change = rule("untidy", table), rule("tidy", table)
        if untidy is None or change is None or not _is_usable(scene, now, table, change):
            continue
        words = {"table": table, "untidy": untidy, "change": change}
        if found := scene.count("count_untidy", **words):
            take = partial(at_length, scene.db, template("tidy", **words))
            yield Step("rows", table, f"set {' '.join(change.split())}", take, found)


def offenders(scene: Scene, table: str, condition: str) -> int:
    """Rows that break a check and that no rule will mend."""
    untidy = rule("untidy", table)
    condition = f"({condition} or coalesce({untidy}, false))" if untidy else condition
    return scene.count("count_offenders", table=table, condition=condition)
