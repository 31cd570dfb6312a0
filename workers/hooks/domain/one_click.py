"""The body of a one-click unsubscription (RFC 8058), in both forms that mail programs send."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qsl

FIELD, VALUE = "List-Unsubscribe", "One-Click"
FIELDS_MAX = 20
_BOUNDARY = re.compile(r'boundary=(?:"([^"\r\n]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
_NAME = re.compile(
    r'^content-disposition:[^\r\n]{0,200};[ \t]?name="?([\w-]{1,50})', re.IGNORECASE | re.MULTILINE
)


def is_one_click(content_type: str, body: bytes) -> bool:
    """Return whether the body has the field `List-Unsubscribe=One-Click`."""
    text = body.decode("utf-8", "replace")
    if content_type.lower().startswith("multipart/form-data"):
        return (FIELD, VALUE) in _multipart(content_type, text)
    try:
        return (FIELD, VALUE) in parse_qsl(text.strip(), max_num_fields=FIELDS_MAX)
    except ValueError:  # more fields
        return False


def _multipart(content_type: str, text: str) -> Iterator[tuple[str, str]]:
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        return
    parts = text.split(f"--{boundary[1] or boundary[2]}")
    for part in parts[1 : FIELDS_MAX + 1]:
        head, _, value = part.replace("\r\n", "\n").partition("\n\n")
        if name := _NAME.search(head):
            yield name[1], value.strip()
