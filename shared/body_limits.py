"""How large a body may be, and what is kept of one that is larger. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from shared.sanitize import printable, sanitize

# The largest message that a job of ours can mean is some 2 kB of JSON. What is larger than this is
# not parsed: parsing costs time and memory that a sender must not decide over.
BODY_CHARS_MAX = 16_384


@dataclass(frozen=True)
class Unparsed:
    """A body that was left as text: the beginning of its JSON, and why it is not parsed."""

    text: str
    problem: str


def too_large(size_chars: int) -> str:
    """The reason why a body of that size is refused."""
    return f"the body has {size_chars} characters; at most {BODY_CHARS_MAX} are read"


def kept(body: object) -> Any:
    """Return the part of a body that a dead letter keeps, as JSON that Postgres takes.

    A body within the limit is kept whole, a larger one as the beginning of its text.

    >>> kept({"type": "a"}), len(kept({"text": "x" * 20_000}))
    ({'type': 'a'}, 16384)
    """
    if isinstance(body, Unparsed):
        return printable(body.text[:BODY_CHARS_MAX])
    if isinstance(body, str):
        return printable(body[:BODY_CHARS_MAX])
    value = sanitize(body)
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return value if len(text) <= BODY_CHARS_MAX else text[:BODY_CHARS_MAX]
