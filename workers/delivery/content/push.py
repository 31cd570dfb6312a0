"""Title, body and data of a push message."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from delivery.content.errors import ContentError
from delivery.content.part import parse_part
from delivery.content.render import Names, render_line, render_text, text_of
from delivery.content.template import Template

PAYLOAD_BYTES_MAX = 4_096
KEY_CHARS_MAX = 100
# Names that FCM refuses in data, and ours, by which its reports find the message.
RESERVED = frozenset({"from", "message_type", "message_id"})
RESERVED_PREFIXES = ("google.", "gcm.")


@dataclass(frozen=True, repr=False)
class PushTemplates:
    """The parsed parts of a push message."""

    title: Template
    body: Template
    data: Mapping[str, Template]


@dataclass(frozen=True, repr=False)
class PushParts:
    """The parts of one push message. `data` has text only, as FCM demands."""

    title: str
    body: str
    data: Mapping[str, str]


def parse_push(title: str, body: str, data: Mapping[str, Any] | None = None) -> PushTemplates:
    """Parse the templates. In `data` texts are templates; other values become text."""
    for key in data or {}:
        if not 0 < len(key) <= KEY_CHARS_MAX or key.lower() in RESERVED:
            raise ContentError(f"data: a key is empty, reserved, or too long: {_KEY_RULE}")
        if key.lower().startswith(RESERVED_PREFIXES):
            raise ContentError(f"data: a key is reserved: {_KEY_RULE}")
    return PushTemplates(
        parse_part("title", title),
        parse_part("body", body),
        {key: parse_part("data", _source(value)) for key, value in (data or {}).items()},
    )


_KEY_RULE = (
    f"use names of at most {KEY_CHARS_MAX} characters other than from, message_type and message_id"
    " that do not begin with google. or gcm."
)


def compose_push(templates: PushTemplates, names: Names) -> PushParts:
    """Fill the templates. ContentError if there is nothing to show, or it is too large."""
    title = str(render_line(templates.title, names)).strip()
    body = str(render_text(templates.body, names)).strip()
    data = {key: str(render_text(value, names)) for key, value in templates.data.items()}
    if not (title or body):
        raise ContentError("title and body are empty: write one of them")
    parts = {"title": title, "body": body, "data": data}
    payload = json.dumps(parts, ensure_ascii=False, separators=(",", ":")).encode()
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise ContentError(
            f"title, body and data have more than {PAYLOAD_BYTES_MAX:,} bytes: shorten them"
        )
    return PushParts(title, body, data)


def _source(value: Any) -> str:
    if isinstance(value, Mapping | list):
        return json.dumps(value, ensure_ascii=False)
    return text_of(value)
