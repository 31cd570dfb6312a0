"""The text of an SMS, and how many segments it is billed as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from delivery.content.errors import ContentError
from delivery.content.part import parse_part
from delivery.content.render import Names, render_text
from delivery.content.template import Template

CHARS_MAX = 1_600
Encoding = Literal["GSM-7", "UCS-2"]

# The default alphabet of 3GPP TS 23.038, and its extension, of which a character takes two places.
GSM_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_EXTENSION = frozenset("\f^{}\\[~]|€")
# Places of a text in one segment; places per segment where the text needs several.
PLACES: dict[Encoding, tuple[int, int]] = {"GSM-7": (160, 153), "UCS-2": (70, 67)}


@dataclass(frozen=True, repr=False)
class SmsParts:
    """The text of a message, and the segments that the operator bills."""

    text: str
    encoding: Encoding
    segments: int


def parse_sms(text: str) -> Template:
    """Parse the template of the text."""
    return parse_part("text", text)


def compose_sms(template: Template, names: Names) -> SmsParts:
    """Fill the template. ContentError if the text is empty or too long."""
    text = _cleaned(str(render_text(template, names)))
    if not text.strip():
        raise ContentError("text: it is empty: write a text")
    if len(text) > CHARS_MAX:
        raise ContentError(f"text: it has more than {CHARS_MAX:,} characters: shorten it")
    encoding = encoding_of(text)
    return SmsParts(text, encoding, count_segments(text, encoding))


def encoding_of(text: str) -> Encoding:
    """Return UCS-2 if a character is not in the GSM alphabet: then a segment is half as long."""
    return "GSM-7" if GSM_BASIC.union(GSM_EXTENSION).issuperset(text) else "UCS-2"


def count_segments(text: str, encoding: Encoding) -> int:
    """Return the number of segments. A character is never divided between two.

    >>> count_segments("a" * 160, "GSM-7"), count_segments("a" * 161, "GSM-7")
    (1, 2)
    """
    widths = [_places(character, encoding) for character in text]
    alone, joined = PLACES[encoding]
    if sum(widths) <= alone:
        return 1
    segments, free = 0, 0
    for width in widths:
        if width > free:
            segments, free = segments + 1, joined
        free -= width
    return segments


def _places(character: str, encoding: Encoding) -> int:
    if encoding == "GSM-7":
        return 2 if character in GSM_EXTENSION else 1
    return 2 if ord(character) > 0xFFFF else 1


def _cleaned(text: str) -> str:
    """Write line breaks as one character, tabs as spaces, and drop other control characters."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    return "".join(c for c in lines if c == "\n" or not (c < " " or "\x7f" <= c <= "\x9f"))
