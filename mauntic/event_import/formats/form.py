"""What a format declares."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mauntic.event_import.event import RawEvent, Refused
from mauntic.event_import.times import ISO

Found = Iterator[RawEvent | Refused]


@dataclass(frozen=True)
class Format:
    """How to find the events of a record, and what their types mean.

    `system` is a part of the ids of events and campaigns. `types` maps the system's types to those
    of this project. The types in `left_out` are no event of a contact. Other types are refused, or
    stored unchanged if `keeps_types`. `time` is a form of `times.read_time`. `columns` are the
    columns that a CSV header must have; without them the format is JSON.
    """

    system: str
    events: Callable[[Any], Found]
    types: Mapping[str, str]
    left_out: frozenset[str] = frozenset()
    keeps_types: bool = False
    time: str = ISO
    columns: tuple[str, ...] = field(default=())


def with_values(**data: Any) -> dict[str, Any]:
    """Return the named values that are not empty."""
    return {name: value for name, value in data.items() if value}
