"""The size limit of a body, and the part of a larger one that is kept. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from shared.sanitize import printable, sanitize

# The largest valid message of most queues has about 2 kB of JSON. A larger body is not parsed,
# because a sender must not control how much time and memory parsing takes.
BODY_CHARS_MAX = 16_384
# For queues whose messages have content. A queue message has at most 128 kB, and an envelope adds a
# few to its body: https://developers.cloudflare.com/queues/platform/limits/
LARGE_BODY_CHARS_MAX = 120_000


@dataclass(frozen=True)
class Unparsed:
    """A body that stays text: the start of its JSON, and the reason why it is not parsed."""

    text: str
    problem: str


def too_large(size_chars: int, chars_max: int = BODY_CHARS_MAX) -> str:
    """The reason why a body of that size is refused."""
    return f"the body has {size_chars} characters; at most {chars_max} are read"


def kept_part(body: object, chars_max: int = BODY_CHARS_MAX) -> Any:
    """Return the part of a body that a dead letter keeps, as JSON that Postgres accepts.

    A body within the limit is kept completely, a larger one as the start of its text.

    >>> kept_part({"type": "a"}), len(kept_part({"text": "x" * 20_000}))
    ({'type': 'a'}, 16384)
    """
    if isinstance(body, Unparsed):
        return printable(body.text[:chars_max])
    if isinstance(body, str):
        return printable(body[:chars_max])
    value = sanitize(body)
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return value if len(text) <= chars_max else text[:chars_max]
