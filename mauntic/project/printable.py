"""Text for people: counts with a noun, and foreign text with visible control characters.

Standard library only, because the tools print the output of other programs too.
"""

import re

# C0 except tab and line feed, delete, C1, direction marks, separators that no editor shows, lone
# surrogates. https://www.unicode.org/reports/tr36/ lists misleading characters.
STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    r"""Escape everything that controls a terminal.

    >>> print(visible("a\x1b]52;c;x\x07 b\u202e"))
    a\x1b]52;c;x\x07 b\u202e
    """
    return STEERING.sub(_escape, text)


def visible_json(text: str) -> str:
    r"""Replace these characters in JSON by escapes with the same meaning.

    >>> print(visible_json('"a\u202eb\x7f\U000e0001"'))
    "a\u202eb\u007f\udb40\udc01"
    """
    return STEERING.sub(_json_escape, text)


def count_of(count: int, noun: str, plural: str = "") -> str:
    """Return the number with its noun.

    >>> count_of(1, "window"), count_of(2_000, "window")
    ('1 window', '2,000 windows')
    >>> count_of(2, "address", "addresses")
    '2 addresses'
    """
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def is_readable(text: str) -> bool:
    """Return whether the text was decoded completely: invalid bytes become lone surrogates (PEP
    383).
    """
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
