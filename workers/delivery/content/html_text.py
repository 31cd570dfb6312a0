"""Make the text part of an e-mail from its HTML.

With the standard library's parser, because no package fits: html2text writes Markdown, with its
escapes, and is under the GPL; inscriptis and selectolax need compiled code that Pyodide has not;
BeautifulSoup's text has neither links nor lists. In Python 3.14, which workers have, the parser
takes linear time; in older versions it does not for broken HTML.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from html.parser import HTMLParser

from delivery.content.errors import ContentError

# Between two of them stands the number of a value. They are no characters: no text has them.
OPENING, CLOSING = "\ufdd0", "\ufdd1"
LISTS_MAX = 20  # deeper lists are not indented further

_SPACES = re.compile(r"[ \t\n\r\f\v\xa0\u200b-\u200d\ufeff]+")
_HIDDEN = re.compile(r"display\s{0,9}:\s{0,9}none", re.IGNORECASE)

VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
)
INVISIBLE = frozenset({"noscript", "script", "style", "template", "title"})
# Blocks that start on a line of their own; those of APART have an empty line around them.
BLOCKS = frozenset(
    {
        "address", "article", "aside", "body", "caption", "center", "dd", "details", "div", "dl",
        "dt", "fieldset", "figcaption", "figure", "footer", "form", "header", "html", "legend",
        "li", "main", "nav", "section", "summary", "tbody", "tfoot", "thead", "tr",
    }
)  # fmt: skip
APART = frozenset(
    {"blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "ol", "p", "pre", "table", "ul"}
)
CELLS = frozenset({"td", "th"})


def html_to_text(html: str) -> str:
    """Return the visible text, with links as `text (address)` and lists with dashes or numbers.

    >>> html_to_text('<p>Hi <b>Zoë</b>,</p><ul><li><a href="https://a.example">one</a></ul>')
    'Hi Zoë,\\n\\n- one (https://a.example)'
    """
    parser = _Parser()
    try:
        parser.feed(html)
        parser.close()
    except (AssertionError, ValueError):  # of a declaration; of a number with thousands of digits
        raise ContentError(
            "html: no text can be made of it: correct what follows `<![` and `&#`, or write a text"
        ) from None
    return parser.lines.text()


class _Lines:
    """Lines of text with collapsed spaces, and at most one empty line between two."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._line: list[str] = []
        self._prefix = ""
        self._needs_space = False
        self._is_apart = False

    def add(self, text: str) -> None:
        """Add text of a line."""
        words = _SPACES.sub(" ", text)
        if not words.strip(" "):
            self._needs_space = self._needs_space or bool(words)
            return
        if self._line and (self._needs_space or words[0] == " "):
            self._line.append(" ")
        elif self._prefix and not self._line:
            self._line.append(self._prefix)
        self._prefix = ""
        self._line.append(words.strip(" "))
        self._needs_space = words[-1] == " "

    def add_verbatim(self, text: str) -> None:
        """Add preformatted text."""
        first, *rest = text.split("\n")
        self._line.append(first)
        for line in rest:
            self.end_line()
            self._line.append(line)

    def end_line(self, *, always: bool = False) -> None:
        """End the line; without `always` only if it has text."""
        if not (self._line or always):
            return
        if self._is_apart and self._lines and self._lines[-1]:
            self._lines.append("")
        self._is_apart = False
        line = "".join(self._line).rstrip()
        if line or (self._lines and self._lines[-1]):
            self._lines.append(line)
        self._line, self._needs_space = [], False

    def begin_block(self, *, is_apart: bool) -> None:
        """End the line; with `is_apart` an empty line comes before the next one."""
        self.end_line()
        self._is_apart = self._is_apart or is_apart

    def begin_item(self, prefix: str) -> None:
        """Begin the next line with a dash or a number."""
        self.end_line()
        self._prefix = prefix

    def end_item(self) -> None:
        """An item without text has no dash."""
        self.end_line()
        self._prefix = ""

    def text(self) -> str:
        """Return everything that was added."""
        self.end_line()
        return "\n".join(self._lines).strip("\n")


@dataclass
class _List:
    is_ordered: bool
    number: int = 0


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.lines = _Lines()
        self._lists: list[_List] = []
        self._links: list[tuple[str, list[str]]] = []
        self._hidden: list[str] = []  # the tag that hides, and open tags of its name in it
        self._pre = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._hidden:
            if tag == self._hidden[0]:
                self._hidden.append(tag)
            return
        attributes = {name: value or "" for name, value in attrs}
        if tag not in VOID and (tag in INVISIBLE or _is_hidden(attributes)):
            self._hidden = [tag]
            return
        self._begin(tag, attributes)

    def _begin(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "br":
            self.lines.end_line(always=True)
        elif tag == "img":
            self._add(f" {attributes.get('alt', '')} ")
        elif tag == "a":
            self._links.append((attributes.get("href", "").strip(), []))
        elif tag in CELLS:
            self.lines.add(" ")
        elif tag in BLOCKS or tag in APART:
            self._begin_block(tag)

    def _begin_block(self, tag: str) -> None:
        is_nested = tag in ("ul", "ol") and bool(self._lists)
        self.lines.begin_block(is_apart=tag in APART and not is_nested)
        if tag == "hr":
            self.lines.add("---")
            self.lines.begin_block(is_apart=True)
        elif tag in ("ul", "ol"):
            self._lists.append(_List(tag == "ol"))
        elif tag == "li":
            self.lines.begin_item(self._bullet())
        elif tag == "pre":
            self._pre += 1

    def _bullet(self) -> str:
        if not self._lists:
            return "- "
        self._lists[-1].number += 1
        indent = "  " * (min(len(self._lists), LISTS_MAX) - 1)
        return (
            f"{indent}{self._lists[-1].number}. " if self._lists[-1].is_ordered else f"{indent}- "
        )

    def handle_endtag(self, tag: str) -> None:
        if self._hidden:
            if tag == self._hidden[0]:
                self._hidden.pop()
            return
        if tag == "a" and self._links:
            self._end_link(*self._links.pop())
        elif tag in CELLS:
            self.lines.add(" ")
        elif tag in BLOCKS or tag in APART:
            self._end_block(tag)

    def _end_block(self, tag: str) -> None:
        if tag in ("ul", "ol") and self._lists:
            self._lists.pop()
        if tag == "pre" and self._pre:
            self._pre -= 1
        if tag == "li":
            self.lines.end_item()
        is_nested = tag in ("ul", "ol") and bool(self._lists)
        self.lines.begin_block(is_apart=tag in APART and not is_nested)

    def _end_link(self, address: str, texts: list[str]) -> None:
        text = "".join(texts).strip()
        is_shown = text in (address, address.removeprefix("mailto:"), address.removeprefix("tel:"))
        if address and not is_shown and not address.startswith("#"):
            self.lines.add(f" ({address})" if text else address)

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._add(data)

    def _add(self, text: str) -> None:
        if self._links:
            self._links[-1][1].append(text)
        if self._pre:
            self.lines.add_verbatim(text)
        else:
            self.lines.add(text)


def _is_hidden(attributes: dict[str, str]) -> bool:
    """Return True for preview text, which is not meant to be read in the message."""
    return "hidden" in attributes or _HIDDEN.search(attributes.get("style", "")) is not None


def with_places(literals: Iterable[str]) -> str:
    """Join the literals of HTML, with the number of a value between two of them."""
    first, *rest = (literal.replace(OPENING, "").replace(CLOSING, "") for literal in literals)
    return first + "".join(f"{OPENING}{n}{CLOSING}{text}" for n, text in enumerate(rest))


_PLACE = re.compile(f"{OPENING}([0-9]{{1,7}}){CLOSING}")


def split_at_places(text: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the literals of a text that `with_places` began, and the numbers of its values."""
    parts = _PLACE.split(text)
    literals = tuple(part.replace(OPENING, "").replace(CLOSING, "") for part in parts[::2])
    return literals, tuple(int(number) for number in parts[1::2])
