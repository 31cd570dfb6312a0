"""Understand a criteria document, or say in sentences what cannot be understood.

A document that is not understood makes its segment invalid; no part of it is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from journeys.domain.criteria import (
    COMPARISONS,
    DEPTH_MAX,
    LAST_S_MAX,
    LEAVES_MAX,
    MATCHES,
    NEGATIVE,
    OPERATORS,
    OTHER_NAMES,
    SPAN_S_MAX,
    SPANS,
    TYPES_OF_CUSTOM,
    TYPES_OF_FIELDS,
    EventLeaf,
    FieldLeaf,
    Group,
    Node,
    Type,
)
from journeys.domain.values import (
    boolean_of,
    id_of,
    is_moment,
    moment_of,
    number_of,
    require_storable,
    span_of,
    text_of,
)

CHARS_MAX = 200_000
NESTING_MAX = 3 * DEPTH_MAX
NAME_CHARS_MAX = 255
COUNT_MAX = 1_000_000_000
PROBLEMS_MAX = 3
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)

_VALUE_OF: dict[Type, Callable[[Any], str | Decimal | bool]] = {
    "text": text_of,
    "texts": text_of,
    "number": number_of,
    "boolean": boolean_of,
    "time": moment_of,
    "ids": id_of,
}


@dataclass(frozen=True)
class Catalog:
    """What an organization has defined: the types of its custom fields, its tags, its segments."""

    field_types: Mapping[str, str] = field(default_factory=dict)
    tags: frozenset[str] = frozenset()
    segments: frozenset[str] = frozenset()


class NotUnderstood(Exception):
    """A document that cannot be understood. Its text is sentences for the segment's owner."""

    def __init__(self, problems: list[str]) -> None:
        more = len(problems) - PROBLEMS_MAX
        rest = [f"There are {more} more problems."] if more > 0 else []
        super().__init__(" ".join([*problems[:PROBLEMS_MAX], *rest]))
        self.problems = problems


def parse(document: str | None, catalog: Catalog) -> Group:
    """Return the criteria of a JSON text. Raises NotUnderstood."""
    reader = _Reader(catalog)
    found = reader.group(_load(document), "", 1)
    if not reader.problems and reader.leaf_count > LEAVES_MAX:
        reader.problems.append(
            f"The criteria have {reader.leaf_count} conditions, at most {LEAVES_MAX} are allowed."
        )
    if reader.problems or found is None:
        raise NotUnderstood(reader.problems)
    return found


def _load(document: str | None) -> Any:
    """Return the JSON value. Refuse early what is too large or too deep to read."""
    if document is None:
        raise NotUnderstood(["The segment has no criteria."])
    if len(document) > CHARS_MAX:
        raise NotUnderstood(
            [f"The criteria have {len(document):,} characters, at most {CHARS_MAX:,} are allowed."]
        )
    depth = 0
    for token in _STRING_OR_BRACKET.findall(document):
        depth += (token in "[{") - (token in "]}")
        if depth > NESTING_MAX:
            raise NotUnderstood([f"Groups are nested deeper than {DEPTH_MAX} levels."])
    try:
        return json.loads(document, parse_float=Decimal, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise NotUnderstood(["The criteria are not JSON."]) from None


def _refuse(name: str) -> None:
    raise ValueError(name)


class _Reader:
    """Reads the nodes of one document and collects problems."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.problems: list[str] = []
        self.leaf_count = 0

    def group(self, given: Any, place: str, depth: int) -> Group | None:
        """Return a group, or None with a problem."""
        try:
            operator, nodes, negated = _parts_of_group(given, depth)
        except ValueError as error:
            self.problems.append(f"{f'Group {place}' if place else 'The criteria'} {error}.")
            return None
        found = [self._node(n, f"{place}.{i}".lstrip("."), depth) for i, n in enumerate(nodes, 1)]
        return Group(operator, tuple(node for node in found if node), negated)

    def _node(self, given: Any, place: str, depth: int) -> Node | None:
        if isinstance(given, dict) and "conditions" in given:
            return self.group(given, place, depth + 1)
        self.leaf_count += 1
        try:
            return self._leaf(given)
        except ValueError as error:
            self.problems.append(f"Condition {place}{_described(given)} {error}.")
            return None

    def _leaf(self, given: Any) -> Node:
        if not isinstance(given, dict):
            raise ValueError("is not an object with `field` or `event`")
        is_event = "event" in given
        allowed = {"event", "source", "last"} if is_event else {"field"}
        if unknown := sorted(set(given) - allowed - {"operator", "value"}):
            raise ValueError(f"may not have {_quoted(unknown)}")
        if not isinstance(given.get("operator"), str):
            raise ValueError("has no operator")
        return _event(given) if is_event else self._field(given)

    def _field(self, given: dict[str, Any]) -> FieldLeaf:
        name, key = _field_name(given.get("field"))
        operator = NEGATIVE.get(given["operator"], given["operator"])
        value = given.get("value")
        type_ = TYPES_OF_FIELDS.get(name) or self._custom_type(key, operator, value)
        if operator not in OPERATORS[type_]:
            raise ValueError(f"has an operator that does not fit a field of the type {type_}")
        if name == "segment" and operator == "is_set":
            raise ValueError("must name segments")
        found, span_s = _operand(operator, type_, value)
        self._require_known(name, found)
        return FieldLeaf(
            field=name,
            type=type_,
            operator="in" if operator == "eq" else operator,
            negated=given["operator"] in NEGATIVE,
            key=key,
            values=found,
            span_s=span_s,
        )

    def _custom_type(self, key: str, operator: str, value: Any) -> Type:
        declared = self.catalog.field_types.get(key)
        if declared is not None:
            return TYPES_OF_CUSTOM[declared]
        return _type_of(operator, value)

    def _require_known(self, name: str, found: tuple[str | Decimal | bool, ...]) -> None:
        known_ids = {"tag": self.catalog.tags, "segment": self.catalog.segments}.get(name)
        if known_ids is not None and any(value not in known_ids for value in found):
            raise ValueError(f"names a {name} that does not exist")


def _parts_of_group(given: Any, depth: int) -> tuple[Any, list[Any], bool]:
    """Return the operator, the nodes and the negation of a group."""
    if not isinstance(given, dict) or "conditions" not in given:
        raise ValueError("must be an object with `operator` and `conditions`")
    if unknown := sorted(set(given) - {"operator", "conditions", "negate"}):
        raise ValueError(f"may not have {_quoted(unknown)}")
    operator, nodes, negated = given.get("operator"), given["conditions"], given.get("negate")
    if operator not in ("and", "or"):
        raise ValueError("must have the operator `and` or `or`")
    if not (negated is None or isinstance(negated, bool)):
        raise ValueError("must have true or false as `negate`")
    if not isinstance(nodes, list) or not nodes:
        raise ValueError("must have at least one condition")
    if depth > DEPTH_MAX:
        raise ValueError(f"is nested deeper than {DEPTH_MAX} levels")
    return operator, nodes, bool(negated)


def _field_name(given: Any) -> tuple[str, str]:
    """Return the field's name, and the key of a custom field."""
    if not isinstance(given, str) or not given:
        raise ValueError("has no field")
    if len(given) > NAME_CHARS_MAX:
        raise ValueError(f"has a field of more than {NAME_CHARS_MAX} characters")
    require_storable(given)
    name = OTHER_NAMES.get(given, given)
    if name in TYPES_OF_FIELDS:
        return name, ""
    if name.startswith("company."):
        raise ValueError("is not a field of companies: they have name, domain, industry and size")
    key = name.removeprefix("custom.")
    if not key:
        raise ValueError("names no custom field")
    return "custom", key


def _type_of(operator: str, value: Any) -> Type:
    """Return the type of a custom field without a declared type."""
    if operator in MATCHES:
        return "text"
    if operator in (*SPANS, "anniversary"):
        return "time"
    if operator in COMPARISONS:
        return "time" if isinstance(value, str) and is_moment(value) else "number"
    if operator == "is_set":
        return "any"
    given = value if isinstance(value, list) else [value]
    if all(isinstance(own, bool) for own in given):
        return "boolean"
    if all(isinstance(own, int | Decimal) and not isinstance(own, bool) for own in given):
        return "number"
    return "text"


def _operand(
    operator: str, type_: Type, value: Any
) -> tuple[tuple[str | Decimal | bool, ...], int]:
    """Return the values, and the seconds of a duration."""
    if operator in ("is_set", "anniversary"):
        if value not in (None, ""):
            raise ValueError("may not have a value")
        return (), 0
    try:
        if operator in SPANS:
            return (), span_of(value, SPAN_S_MAX)
        if operator == "in":
            return _list(value, _VALUE_OF[type_]), 0
        return (_VALUE_OF[type_](value),), 0
    except ValueError as error:
        raise ValueError(f"has a value that {error}") from None


def _list(value: Any, one_of: Callable[[Any], Any]) -> tuple[Any, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError("is not a list with at least one element")
    return tuple(dict.fromkeys(one_of(own) for own in value))


def _event(given: dict[str, Any]) -> EventLeaf:
    """Return a condition on a number of events; comparisons become `at least`."""
    event, source, written = given["event"], given.get("source"), given["operator"]
    for text, limit in ((event, 100), (source, 100)):
        if text is not None and (not isinstance(text, str) or not 1 <= len(text) <= limit):
            raise ValueError(f"must have a type and a source of events of 1 to {limit} letters")
        require_storable(text or "")
    if not isinstance(event, str):
        raise ValueError("has no type of event")
    operator = NEGATIVE.get(written, written)
    if operator not in ("eq", "in", *COMPARISONS):
        raise ValueError("has an operator that does not fit a number of events")
    try:
        last_s = span_of(given["last"], LAST_S_MAX) if given.get("last") is not None else 0
    except ValueError as error:
        raise ValueError(f"has a `last` that {error}") from None
    counts, _ = _operand(operator, "number", given.get("value"))
    negated = written in NEGATIVE or operator in ("lt", "lte")
    numbers = tuple(Decimal(count) for count in counts)
    if operator in ("eq", "in"):
        return EventLeaf(event, source, last_s, negated, None, numbers)
    return EventLeaf(event, source, last_s, negated, _least(operator, numbers[0]))


def _least(operator: str, n: Decimal) -> int:
    """Return the smallest count for which `gt n` or `gte n` holds; `lt` and `lte` deny those."""
    if operator in ("gte", "lt"):
        least = n.to_integral_value(ROUND_CEILING)
    else:
        least = n.to_integral_value(ROUND_FLOOR) + 1
    return int(min(max(least, Decimal(0)), Decimal(COUNT_MAX)))


def _described(given: Any) -> str:
    """Return the field and the operator of a leaf, shortened, for a sentence."""
    if not isinstance(given, dict):
        return ""
    name = given.get("field", given.get("event"))
    words = [str(word)[:60] for word in (name, given.get("operator")) if isinstance(word, str)]
    return f" ({' '.join(words)})" if words else ""


def _quoted(names: list[str]) -> str:
    return ", ".join(f"`{name[:60]}`" for name in names)
