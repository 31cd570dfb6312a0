"""Text for people: counts with their noun, and foreign text with its control characters visible.

Standard library only: the tools print the output of other programs, too.
"""

import re

# C0 but tab and line feed, delete, C1; marks of direction; separators that no editor shows; halves
# of a character. https://www.unicode.org/reports/tr36/ names what may mislead.
STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    r"""The text as a terminal may have it: an escape is shown as `\x1b`.

    >>> print(visible("a\x1b]52;c;x\x07 b\u202e"))
    a\x1b]52;c;x\x07 b\u202e
    """
    return STEERING.sub(_escape, text)


def visible_json(text: str) -> str:
    r"""JSON with those characters as escapes, which mean the same to whoever reads it.

    >>> print(visible_json('"a\u202eb\x7f\U000e0001"'))
    "a\u202eb\u007f\udb40\udc01"
    """
    return STEERING.sub(_json_escape, text)


def count_of(count: int, noun: str) -> str:
    """The number with its noun.

    >>> count_of(1, "window"), count_of(2_000, "window")
    ('1 window', '2,000 windows')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def is_readable(text: str) -> bool:
    """Whether it was decoded whole: other bytes are lone surrogates in the text (PEP 383)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _json_escape(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be", "surrogatepass")
    pairs = zip(units[::2], units[1::2], strict=True)
    return "".join(f"\\u{high:02x}{low:02x}" for high, low in pairs)
