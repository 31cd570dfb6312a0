"""Which contacts satisfy criteria at a time, and when time alone can change that.

The same rules as `sql/criteria/`, one contact at a time. Tests hold both equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from journeys.domain.criteria import EventLeaf, FieldLeaf, Group, Leaf, Node, leaves
from journeys.domain.values import DAY_CHARS, DIGITS_MAX, NUMBER, instant, is_moment

# Done to the contact, and no activity of theirs.
NOT_OWN = ("_sent", "_delivered", "_bounced", "_shown")
NEVER = datetime(9000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Event:
    """An event of a contact."""

    type: str
    source: str | None
    occurred_at: datetime


@dataclass(frozen=True)
class Facts:
    """All that criteria can read of a contact. Numbers in `custom` are Decimal."""

    columns: Mapping[str, Any] = field(default_factory=dict)
    custom: Mapping[str, Any] = field(default_factory=dict)
    score: int | None = None
    grade: str | None = None
    tags: frozenset[str] = frozenset()
    segments: frozenset[str] = frozenset()
    companies: Sequence[Mapping[str, Any]] = ()
    events: Sequence[Event] = ()


def matches(node: Node, facts: Facts, t: datetime, zone: ZoneInfo) -> bool:
    """Return whether a contact satisfies the criteria at `t`."""
    if isinstance(node, Group):
        combine = all if node.operator == "and" else any
        return combine(matches(own, facts, t, zone) for own in node.nodes) != node.negated
    if isinstance(node, EventLeaf):
        count = len(_in_window(node, facts, t))
        holds = count in node.counts if node.least is None else count >= node.least
    else:
        holds = _holds(node, value_of(node, facts, t, zone), t, zone)
    return holds != node.negated


def recheck_at(node: Node, facts: Facts, t: datetime, zone: ZoneInfo) -> datetime | None:
    """Return a moment after `t` before which the answer stays, unless the contact changes."""
    moments = [moment for leaf in leaves(node) for moment in _moments(leaf, facts, t, zone)]
    earliest = min(moments, default=NEVER)
    return earliest if earliest < NEVER else None


def value_of(leaf: Leaf, facts: Facts, t: datetime, zone: ZoneInfo) -> Any:
    """Return the contact's value, as the leaf's type sees it; None if it is not set."""
    if isinstance(leaf, EventLeaf):
        return len(_in_window(leaf, facts, t))
    if leaf.field == "custom":
        return _CUSTOM[leaf.type](facts.custom.get(leaf.key), zone)
    if leaf.field == "last_activity_at":
        own = [e.occurred_at for e in facts.events if is_own(e.type) and e.occurred_at <= t]
        column = facts.columns.get(leaf.field)
        return max([*own, *([column] if column else [])], default=None)
    if leaf.field.startswith("company."):
        column = leaf.field.removeprefix("company.")
        return {company[column] for company in facts.companies if company.get(column)}
    elsewhere: dict[str, Any] = {
        "lead_score": None if facts.score is None else Decimal(facts.score),
        "lead_grade": facts.grade or None,
        "tag": facts.tags,
        "segment": facts.segments,
        "company_id": {company["id"] for company in facts.companies},
    }
    if leaf.field in elsewhere:
        return elsewhere[leaf.field]
    value = facts.columns.get(leaf.field)
    return lowered(value) if leaf.field == "email" and value else value or None


def is_own(event_type: str) -> bool:
    """Return whether an event is an activity of the contact."""
    return not event_type.endswith(NOT_OWN)


def lowered(text: str) -> str:
    """Return a text in lower case, letter by letter, as Postgres maps them."""
    return "".join("i" if letter == "İ" else letter.lower() for letter in text)


def day_start(day: date, zone: ZoneInfo) -> datetime:
    """Return the first moment of a day."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def anniversary_in(day: date, year: int) -> date:
    """Return the day on which an anniversary counts in a year."""
    try:
        return date(year, day.month, day.day)
    except ValueError:
        return date(year, 2, 28)


def _holds(leaf: FieldLeaf, x: Any, t: datetime, zone: ZoneInfo) -> bool:
    """Return whether the positive operator is true of a value."""
    if x is None or x == set():
        return False
    if leaf.operator == "is_set":
        return True
    if leaf.operator == "in":
        wanted = {_operand(leaf, value, zone) for value in leaf.values}
        return not wanted.isdisjoint(x) if leaf.type in ("texts", "ids") else x in wanted
    if leaf.operator == "anniversary":
        today = t.astimezone(zone).date()
        return anniversary_in(x.astimezone(zone).date(), today.year) == today
    if leaf.span_s:
        span = timedelta(seconds=leaf.span_s)
        if leaf.operator == "older_than":
            return bool(x <= t - span)
        return bool(t - span < x <= t if leaf.operator == "within_last" else t < x <= t + span)
    return _COMPARE[leaf.operator](x, _operand(leaf, leaf.values[0], zone))


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "gt": lambda x, value: bool(x > value),
    "gte": lambda x, value: bool(x >= value),
    "lt": lambda x, value: bool(x < value),
    "lte": lambda x, value: bool(x <= value),
    "contains": lambda x, value: lowered(value) in lowered(x),
    "starts_with": lambda x, value: lowered(x).startswith(lowered(value)),
    "ends_with": lambda x, value: lowered(x).endswith(lowered(value)),
}


def _operand(leaf: FieldLeaf, value: Any, zone: ZoneInfo) -> Any:
    """Return a value of the criteria as the contact's is seen."""
    if leaf.type == "time":
        return _moment(value, zone)
    return lowered(value) if leaf.field == "email" else value


def _moments(leaf: Leaf, facts: Facts, t: datetime, zone: ZoneInfo) -> list[datetime]:
    """Return the moments after `t` at which time can change the leaf."""
    if isinstance(leaf, EventLeaf):
        return _event_moments(leaf, facts, t)
    found: list[datetime] = []
    x = value_of(leaf, facts, t, zone)
    if leaf.field == "last_activity_at":
        found += [e.occurred_at for e in facts.events if is_own(e.type) and e.occurred_at > t]
    if x is None:
        return found
    if leaf.operator == "anniversary":
        found.append(_next_anniversary(x.astimezone(zone).date(), t, zone))
    if leaf.span_s:
        span = timedelta(seconds=leaf.span_s)
        edges = {
            "older_than": (x + span,),
            "within_last": (x, x + span),
            "within_next": (x - span, x),
        }[leaf.operator]
        found += [edge for edge in edges if edge > t][:1]
    return found


def _event_moments(leaf: EventLeaf, facts: Facts, t: datetime) -> list[datetime]:
    found = [e.occurred_at for e in facts.events if _is_meant(leaf, e) and e.occurred_at > t]
    window = _in_window(leaf, facts, t)
    if leaf.last_s and window:
        span = timedelta(seconds=leaf.last_s)
        if leaf.least is None:
            found.append(window[0] + span)
        elif 1 <= leaf.least <= len(window):
            found.append(window[-leaf.least] + span)
    return found


def _next_anniversary(day: date, t: datetime, zone: ZoneInfo) -> datetime:
    today = t.astimezone(zone).date()
    own = anniversary_in(day, today.year)
    if own == today:
        return day_start(today + timedelta(days=1), zone)
    return day_start(own if own > today else anniversary_in(day, today.year + 1), zone)


def _in_window(leaf: EventLeaf, facts: Facts, t: datetime) -> list[datetime]:
    """Return the times of the events that count at `t`, in order."""
    since = t - timedelta(seconds=leaf.last_s) if leaf.last_s else None
    return sorted(
        event.occurred_at
        for event in facts.events
        if _is_meant(leaf, event)
        and event.occurred_at <= t
        and (since is None or event.occurred_at > since)
    )


def _is_meant(leaf: EventLeaf, event: Event) -> bool:
    return event.type == leaf.event and leaf.source in (None, event.source)


def _text(value: Any, _zone: ZoneInfo | None = None) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f").removeprefix("-") if not value else format(value, "f")
    return value or None if isinstance(value, str) else None


def _number(value: Any, _zone: ZoneInfo) -> Decimal | None:
    if isinstance(value, Decimal):
        return value
    is_number = isinstance(value, str) and len(value) <= DIGITS_MAX
    return Decimal(value) if is_number and NUMBER.fullmatch(value) else None


def _boolean(value: Any, _zone: ZoneInfo) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value) if isinstance(value, str) else None


def _moment(value: Any, zone: ZoneInfo) -> datetime | None:
    if not isinstance(value, str) or not is_moment(value):
        return None
    if len(value) == DAY_CHARS:
        return day_start(date.fromisoformat(value), zone)
    return instant(value)


def _texts(value: Any, _zone: ZoneInfo) -> set[str]:
    found = [_text(own) for own in (value if isinstance(value, list) else [value])]
    return {text for text in found if text is not None}


def _any(value: Any, _zone: ZoneInfo) -> Any:
    return True if value is not None and value != "" else None


_CUSTOM: dict[str, Callable[[Any, ZoneInfo], Any]] = {
    "text": _text,
    "number": _number,
    "boolean": _boolean,
    "time": _moment,
    "texts": _texts,
    "any": _any,
}
