"""What a provider's response means, as far as it means the same for every provider.

An adapter has a table of its codes. What is in neither table is `unknown`: the provider may have
the message.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from delivery.domain.verdict import Verdict
from shared.ports import HttpResponse
from shared.sanitize import is_json_too_deep

Codes = Mapping[str, Verdict]

REFUSED = Verdict("refused")
DEFER = Verdict("defer")
RETRY = Verdict("retry")
PAUSE = Verdict("pause")
UNKNOWN = Verdict("unknown")
INVALID = Verdict("suppress", suppression="invalid")
GONE = Verdict("suppress", suppression="device_gone")

BY_STATUS: Codes = {
    "401": PAUSE,
    "403": PAUSE,
    "408": RETRY,
    "413": REFUSED,
    "429": DEFER,
    "500": UNKNOWN,
    "502": UNKNOWN,
    "503": RETRY,
    "504": UNKNOWN,
}
LONGEST_WAIT = timedelta(hours=24)
CODE_CHARS_MAX = 64
_EPOCH_FROM = 1_000_000_000  # a larger number in a header is a time, a smaller one a duration


def decide(
    response: HttpResponse,
    now: datetime,
    codes: Codes,
    code: str = "",
    reset_headers: Sequence[str] = (),
) -> Verdict:
    """Return the verdict for the provider's `code`, otherwise for the HTTP status.

    A deferral lasts until the time that Retry-After or a reset header names.
    """
    name = code if code in codes else str(response.status)
    found = codes.get(name) or BY_STATUS.get(name) or UNKNOWN
    until = found.until
    if found.kind == "defer" and until is None:
        until = named_time(response, now, reset_headers)
    return replace(found, code=safe_code(code) or str(response.status), until=until)


def accepted(provider_message_id: str | None = None, code: str = "") -> Verdict:
    """Return the verdict of a message that the provider has."""
    return Verdict("accepted", code, provider_message_id=provider_message_id)


def named_time(
    response: HttpResponse, now: datetime, reset_headers: Sequence[str] = ()
) -> datetime | None:
    """Return when the provider accepts calls again, at most 24 hours from now."""
    for name in ("retry-after", *reset_headers):
        wait = _wait(response.headers.get(name, "").strip(), now)
        if wait is not None:
            return now + min(max(wait, timedelta(seconds=1)), LONGEST_WAIT)
    return None


def _wait(text: str, now: datetime) -> timedelta | None:
    """Return the duration that a header names: seconds, seconds since 1970, or an HTTP date."""
    try:
        number = float(text)
    except ValueError:
        try:
            named = datetime.strptime(text, "%a, %d %b %Y %H:%M:%S GMT")
        except ValueError:
            return None
        return named.replace(tzinfo=UTC) - now
    if not 0 <= number < 1e11:  # neither NaN nor infinity
        return None
    seconds = number - now.timestamp() if number >= _EPOCH_FROM else number
    return timedelta(seconds=seconds)


def json_of(response: HttpResponse) -> Any:
    """Return the body as JSON; None if it cannot be read."""
    if response.is_truncated:
        return None
    return parsed(response.body)


def parsed(body: bytes | str) -> Any:
    """Return JSON; None if it cannot be read, or is nested too deeply to be parsed in a worker."""
    try:
        text = body if isinstance(body, str) else _decoded(body)
        return None if is_json_too_deep(text) else json.loads(text)
    except ValueError:
        return None


def _decoded(body: bytes) -> str:
    return body.decode(json.detect_encoding(body), "surrogatepass")


def at(value: Any, *path: str) -> Any:
    """Return what is at a path of names in nested objects; None if it is not there.

    >>> at({"a": {"b": 1}}, "a", "b"), at({"a": []}, "a", "b")
    (1, None)
    """
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def text_at(value: Any, *path: str) -> str:
    """Return the text, or the number as text, at a path; '' if there is none."""
    found = at(value, *path)
    if isinstance(found, bool) or not isinstance(found, str | int):
        return ""
    return str(found)


def list_at(value: Any, *path: str) -> list[Any]:
    """Return the list at a path; empty if there is none."""
    found = at(value, *path) if path else value
    return found if isinstance(found, list) else []


def safe_code(code: str) -> str:
    """Return the code if it has the form of one: other texts may contain an address."""
    is_code = 0 < len(code) <= CODE_CHARS_MAX and code.isascii()
    return code if is_code and all(mark.isalnum() or mark in "_-.:" for mark in code) else ""


def same_for_all(verdict: Verdict, messages: Sequence[Any]) -> list[Verdict]:
    """Return the verdict once for each message."""
    return [verdict] * len(messages)
