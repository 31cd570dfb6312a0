"""One line an event: a JSON object with a fixed name and fields from a fixed list.

The list is what keeps personal data out of the logs: a field that is not in it is a programming
error, and bodies, addresses and names are not in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from shared.sanitize import visible

Level = Literal["info", "warning", "error"]

FIELDS = frozenset({
    "event", "level", "worker", "queue", "type", "status", "attempts", "duration_ms", "lag_ms",
    "rows_read", "rows_written", "organization_id", "error_class", "error", "trigger", "window",
    "shard", "message_id", "correlation_id", "gate", "cron", "scheduled_for", "count",
    "reason", "delay_s", "overdue_s", "traceback", "threshold", "direction", "dead_letter_id",
    "age_s", "table",
})  # fmt: skip

TEXT_MAX = 2_000
TRACEBACK_TEXT_MAX = 8_000


_ENCODER = json.JSONEncoder(default=str, ensure_ascii=False)


def check(event: str, fields: Mapping[str, Any]) -> None:
    """ValueError names the fields that are not on the list."""
    if not fields.keys() <= FIELDS:
        strangers = sorted(fields.keys() - FIELDS)
        raise ValueError(f"{event} logs fields that are not on the list: {strangers}")


def line(event: str, *, level: Level = "info", **fields: Any) -> str:
    """The event as JSON. A text is cut to 2,000 characters, a traceback to its last 8,000; what a
    terminal would obey or hide is written as its escape, but for the line feeds of a traceback."""
    check(event, fields)
    return checked_line(event, level, fields)


def checked_line(event: str, level: Level, fields: Mapping[str, Any]) -> str:
    """The same of fields that `check` has seen."""
    known = {"event": event, "level": level}
    known |= {name: value for name, value in fields.items() if value is not None}
    text = _ENCODER.encode(known)
    if len(text) <= TEXT_MAX and text.isprintable() and "\\" not in text:
        return text  # as nearly all are: nothing in it to be cut or replaced
    return _ENCODER.encode({name: _plain(name, value) for name, value in known.items()})


def _plain(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if name == "traceback":
        return "\n".join(map(visible, value[-TRACEBACK_TEXT_MAX:].split("\n")))
    return visible(value[:TEXT_MAX])[:TEXT_MAX]
