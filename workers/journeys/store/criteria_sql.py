"""Criteria as SQL: fragments of `sql/criteria/`, chosen by their names, and parameters.

The text depends on the shape of the criteria, the fields' names and the operators alone, all from
closed lists. Keys of custom fields, types of events and values are parameters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from journeys.domain.criteria import EventLeaf, Group, Leaf, Node
from shared.sql.blocks import SqlBlocks

FRAGMENTS = SqlBlocks(Path(__file__).parent.parent / "sql" / "criteria")
# Parameters of a leaf, which get its number.
_OWN = re.compile(r":(key|value|span_s|source|least)\b")
_COMMENT = re.compile(r"^--[^\n]*\n", re.MULTILINE)
_HOLE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Compiled:
    """A condition on the row `contact`, the next moment at which time can change it, and their
    parameters except `t` and `zone`. `value` is what the first leaf reads.
    """

    matches: str
    recheck_at: str
    value: str
    parameters: dict[str, Any]

    def statement(self, name: str, chosen: str = "") -> str:
        """Return a statement of `statements.sql` with these criteria on the `chosen` contacts."""
        texts = {"matches": self.matches, "recheck_at": self.recheck_at, "value": self.value}
        if chosen:
            texts["chosen"] = FRAGMENTS[chosen]
        return _HOLE.sub(lambda hole: texts[hole[1]], FRAGMENTS[name])


def compile_criteria(criteria: Node) -> Compiled:
    """Return the criteria, or a part of them, as SQL."""
    compiler = _Compiler()
    matches = compiler.node(criteria)
    moments = ", ".join(["cast(null as timestamptz)", *compiler.moments])
    recheck_at = f"crm.finite(least({moments}))"
    return Compiled(matches, recheck_at, compiler.values[0], compiler.parameters)


class _Compiler:
    """Numbers the leaves, and collects their values, moments and parameters."""

    def __init__(self) -> None:
        self.count = 0
        self.values: list[str] = []
        self.moments: list[str] = []
        self.parameters: dict[str, Any] = {}

    def node(self, node: Node) -> str:
        if isinstance(node, Group):
            text = f" {node.operator} ".join(self.node(inner) for inner in node.nodes)
        else:
            text = self._leaf(node)
        return f"(not ({text}))" if node.negated else f"({text})"

    def _leaf(self, leaf: Leaf) -> str:
        self.count += 1
        field = _field(leaf)
        self.values.append(self._own("{x}", field))
        condition = self._own(_fragment(_condition(leaf)), field)
        self.moments += [self._own(_fragment(name), field) for name in _moments(leaf)]
        own = _parameters(leaf)
        self.parameters |= {f"{name}_{self.count}": value for name, value in own.items()}
        return f"coalesce({condition}, false)"

    def _own(self, fragment: str, field: str) -> str:
        text = _HOLE.sub(lambda _: f"({_fragment(field)})", fragment)
        return _OWN.sub(lambda parameter: f"{parameter[0]}_{self.count}", text)


def _field(leaf: Leaf) -> str:
    """Return the name of the fragment that reads the contact's value."""
    if isinstance(leaf, EventLeaf):
        return "count_of_events"
    return f"custom_{leaf.type}" if leaf.field == "custom" else leaf.field.replace(".", "_")


def _condition(leaf: Leaf) -> str:
    """Return the name of the fragment that holds the operator."""
    if isinstance(leaf, EventLeaf):
        return "events_in" if leaf.least is None else "events_least"
    if leaf.operator == "is_set":
        return "list_is_set" if leaf.type in ("texts", "ids") else "is_set"
    if leaf.field == "email" and leaf.operator == "in":
        return "email_in"
    return f"{leaf.type}_{leaf.operator}"


def _moments(leaf: Leaf) -> Iterator[str]:
    """Yield the names of the fragments with the moments at which time can change the leaf."""
    if isinstance(leaf, EventLeaf):
        yield "next_event"
        if leaf.last_s and leaf.least is None:
            yield "oldest_event_leaves"
        elif leaf.last_s and leaf.least:
            yield "deciding_event_leaves"
        return
    if leaf.operator in ("older_than", "within_last", "within_next", "anniversary"):
        yield leaf.operator
    if leaf.field == "last_activity_at":
        yield "next_activity"


def _parameters(leaf: Leaf) -> dict[str, Any]:
    if isinstance(leaf, EventLeaf):
        return {
            "key": leaf.event,
            "source": leaf.source,
            "span_s": leaf.last_s,
            "least": leaf.least,
            "value": [format(count, "f") for count in leaf.counts],
        }
    values = [
        value if isinstance(value, str | bool) else format(value, "f") for value in leaf.values
    ]
    return {"key": leaf.key, "value": values, "span_s": leaf.span_s}


@cache
def _fragment(name: str) -> str:
    return _COMMENT.sub("", FRAGMENTS[name]).strip()
