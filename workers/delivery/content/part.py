"""Parse a part of a message: its errors name the part."""

from __future__ import annotations

from delivery.content.errors import ContentError
from delivery.content.template import Template, parse


def parse_part(part: str, source: str) -> Template:
    """Return the template. ContentError has the name of the part, for example `subject`."""
    try:
        return parse(source)
    except ContentError as error:
        raise ContentError(f"{part}: {error}") from None
