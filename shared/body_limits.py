"""The size limit of a body, and the part of a larger one that is kept. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from shared.sanitize import printable, sanitize

# The largest valid message has about 2 kB of JSON. A larger body is not parsed, because a sender
# must not control how much time and memory parsing takes.
BODY_CHARS_MAX = 16_384


@dataclass(frozen=True)
class Unparsed:
    """A body that stays text: the start of its JSON, and the reason why it is not parsed."""

    text: str
    problem: str


def too_large(size_chars: int) -> str:
    """The reason why a body of that size is refused."""
    return f"the body has {size_chars} characters; at most {BODY_CHARS_MAX} are read"


def kept_part(body: object) -> Any:
    """Return the part of a body that a dead letter keeps, as JSON that Postgres accepts.

    A body within the limit is kept completely, a larger one as the start of its text.

    >>> kept_part({"type": "a"}), len(kept_part({"text": "x" * 20_000}))
    ({'type': 'a'}, 16384)
    """
    if isinstance(body, Unparsed):
        return printable(body.text[:BODY_CHARS_MAX])
    if isinstance(body, str):
        return printable(body[:BODY_CHARS_MAX])
    value = sanitize(body)
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return value if len(text) <= BODY_CHARS_MAX else text[:BODY_CHARS_MAX]
