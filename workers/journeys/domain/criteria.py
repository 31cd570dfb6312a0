"""Criteria that are understood: groups and leaves. `parse.py` makes them from a document.

A leaf has a positive operator and `negated`: `neq` is `in` with one value, negated. So a negative
operator is true exactly when its positive one is false.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

DEPTH_MAX = 5
LEAVES_MAX = 100
UNIT_S = {"minute": 60, "hour": 3_600, "day": 86_400, "week": 604_800}
SPAN_S_MAX = 36_525 * UNIT_S["day"]
LAST_S_MAX = 400 * UNIT_S["day"]

# What a field's value is. `any`: only whether it is set.
Type = Literal["text", "number", "boolean", "time", "texts", "ids", "any"]
TYPES_OF_FIELDS: dict[str, Type] = {
    "email": "text",
    "first_name": "text",
    "last_name": "text",
    "phone": "text",
    "status": "text",
    "stage": "text",
    "created_at": "time",
    "updated_at": "time",
    "last_activity_at": "time",
    "lead_score": "number",
    "lead_grade": "text",
    "tag": "ids",
    "segment": "ids",
    "company_id": "ids",
    "company.name": "texts",
    "company.domain": "texts",
    "company.industry": "texts",
    "company.size": "texts",
}
OTHER_NAMES = {
    "firstName": "first_name",
    "lastName": "last_name",
    "createdAt": "created_at",
    "updatedAt": "updated_at",
    "lastActivityAt": "last_activity_at",
    "leadScore": "lead_score",
    "leadGrade": "lead_grade",
    "companyId": "company_id",
}
# The types of `crm.fields`.
TYPES_OF_CUSTOM: dict[str, Type] = {
    "text": "text",
    "select": "text",
    "number": "number",
    "date": "time",
    "multiselect": "texts",
}
NEGATIVE = {"neq": "eq", "not_in": "in", "not_contains": "contains", "is_not_set": "is_set"}
COMPARISONS = ("gt", "gte", "lt", "lte")
MATCHES = ("contains", "starts_with", "ends_with")
SPANS = ("older_than", "within_last", "within_next")
OPERATORS: dict[Type, tuple[str, ...]] = {
    "text": ("eq", "in", *MATCHES, "is_set"),
    "number": ("eq", "in", *COMPARISONS, "is_set"),
    "boolean": ("eq", "in", "is_set"),
    "time": ("eq", "in", *COMPARISONS, *SPANS, "anniversary", "is_set"),
    "texts": ("eq", "in", "is_set"),
    "ids": ("eq", "in", "is_set"),
    "any": ("is_set",),
}


@dataclass(frozen=True)
class FieldLeaf:
    """A condition on a field. `field` is a name of TYPES_OF_FIELDS, or `custom` with a `key`.

    `values` has the values of `in`, and the single one of a comparison: texts, numbers, truth
    values, ids, or times as texts in ISO 8601. `span_s` is a duration in seconds.
    """

    field: str
    type: Type
    operator: str
    negated: bool = False
    key: str = ""
    values: tuple[str | Decimal | bool, ...] = ()
    span_s: int = 0


@dataclass(frozen=True)
class EventLeaf:
    """A condition on the number of a contact's events: at least `least`, or one of `counts`.

    `last_s` is the length of the window that ends at the time of evaluation; 0: all events.
    """

    event: str
    source: str | None
    last_s: int
    negated: bool
    least: int | None
    counts: tuple[Decimal, ...] = ()


@dataclass(frozen=True)
class Group:
    """Conditions of which all (`and`) or at least one (`or`) must hold."""

    operator: Literal["and", "or"]
    nodes: tuple[Node, ...]
    negated: bool = False


Leaf = FieldLeaf | EventLeaf
Node = Group | FieldLeaf | EventLeaf


def leaves(node: Node) -> Iterator[Leaf]:
    """Yield the leaves in the order of the document."""
    if isinstance(node, Group):
        for inner in node.nodes:
            yield from leaves(inner)
    else:
        yield node


def segments_of(node: Node) -> frozenset[str]:
    """Return the ids of the segments that the criteria read."""
    return frozenset(
        str(value)
        for leaf in leaves(node)
        if isinstance(leaf, FieldLeaf) and leaf.field == "segment"
        for value in leaf.values
    )


def dependencies(node: Node) -> frozenset[tuple[str, str]]:
    """Return what the criteria read, as sources and names of `crm.segment_dependencies`."""
    return frozenset(pair for leaf in leaves(node) for pair in _reads(leaf))


def _reads(leaf: Leaf) -> Iterator[tuple[str, str]]:
    if isinstance(leaf, EventLeaf):
        yield "event", leaf.event
        return
    if leaf.field == "custom":
        yield "custom", leaf.key
    elif leaf.field == "segment":
        yield from (("segment", str(value)) for value in leaf.values)
    elif leaf.field.startswith("lead_"):
        yield "score", ""
    elif leaf.field.startswith("company"):
        yield "company", ""
    elif leaf.field == "tag":
        yield "tag", ""
    else:
        yield "contact", leaf.field
    if leaf.field == "last_activity_at":
        yield "event", "*"
    if _uses_zone(leaf):
        yield "config", "time_zone"


def _uses_zone(leaf: FieldLeaf) -> bool:
    """Return whether a day without a time, or today, decides: in the value or in the field."""
    is_custom_time = leaf.field == "custom" and leaf.type == "time"
    has_day = leaf.type == "time" and any(len(str(value)) == 10 for value in leaf.values)
    return is_custom_time or has_day or leaf.operator == "anniversary"
