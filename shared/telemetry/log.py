"""Log lines: a JSON object per event, with a fixed name and fields from a fixed list.

The list keeps personal data out of the logs. It contains no bodies, addresses or names, and a field
that is not on it is a programming error.
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
    "age_s", "table", "config_id", "campaign_id", "segment_id",
})  # fmt: skip

TEXT_MAX = 2_000
TRACEBACK_TEXT_MAX = 8_000


_ENCODER = json.JSONEncoder(default=str, ensure_ascii=False)


def check(event: str, fields: Mapping[str, Any]) -> None:
    """Raise ValueError if a field is not on the list."""
    if not fields.keys() <= FIELDS:
        unlisted = sorted(fields.keys() - FIELDS)
        raise ValueError(f"{event} logs fields that are not on the list: {unlisted}")


def line(event: str, *, level: Level = "info", **fields: Any) -> str:
    """Return the event as JSON.

    A text is cut to 2,000 characters, a traceback to its last 8,000. Characters that control a
    terminal are escaped, except the line feeds of a traceback.
    """
    check(event, fields)
    return checked_line(event, level, fields)


def checked_line(event: str, level: Level, fields: Mapping[str, Any]) -> str:
    """Return the event as JSON, with fields that passed `check`."""
    line = {"event": event, "level": level}
    line |= {name: value for name, value in fields.items() if value is not None}
    text = _ENCODER.encode(line)
    if len(text) <= TEXT_MAX and text.isprintable() and "\\" not in text:
        return text  # nearly every line: nothing to cut or to escape
    return _ENCODER.encode({name: _plain(name, value) for name, value in line.items()})


def _plain(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if name == "traceback":
        return "\n".join(map(visible, value[-TRACEBACK_TEXT_MAX:].split("\n")))
    return visible(value[:TEXT_MAX])[:TEXT_MAX]
