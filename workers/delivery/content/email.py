"""The parts of an e-mail: subject, HTML, text and headers."""

from __future__ import annotations

import html as markup
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from delivery.content.errors import ContentError
from delivery.content.html_text import html_to_text, split_at_places, with_places
from delivery.content.part import parse_part
from delivery.content.render import (
    Filled,
    FilledValue,
    Names,
    as_html,
    fill,
    render_line,
    single_line,
)
from delivery.content.template import Template
from delivery.content.unsubscribe import unsubscribe_headers
from delivery.domain.rendered import Rendered, plain

SUBJECT_CHARS_MAX = 900  # with its name less than the 998 of a line
KEPT_TEXTS = 4  # of the templates in use; one is at most some megabytes
_BODY_END = re.compile(r"</body", re.IGNORECASE)


@dataclass(frozen=True, repr=False)
class EmailTemplates:
    """The parsed parts of an e-mail. It has HTML, text or both."""

    subject: Template
    html: Template | None
    text: Template | None


@dataclass(frozen=True, repr=False)
class Unsubscribe:
    """What every marketing e-mail shows: a link and the sender's postal address."""

    url: str
    postal_address: str


@dataclass(frozen=True, repr=False)
class EmailParts:
    """The parts of one e-mail. A missing part is made from the other one."""

    subject: Rendered
    html: Rendered
    text: Rendered
    headers: Mapping[str, str] = field(default_factory=dict)


def parse_email(subject: str, html: str | None, text: str | None) -> EmailTemplates:
    """Parse the templates. ContentError names the part that has an error."""
    if not (html or text):
        raise ContentError("the e-mail has neither html nor text: write one of them")
    return EmailTemplates(
        parse_part("subject", subject),
        parse_part("html", html) if html else None,
        parse_part("text", text) if text else None,
    )


def compose_email(
    templates: EmailTemplates, names: Names, unsubscribe: Unsubscribe | None
) -> EmailParts:
    """Fill the templates. `unsubscribe` is given for marketing, and for it alone."""
    if unsubscribe:
        names = {**names, "unsubscribe_url": unsubscribe.url}
    html = fill(templates.html, names) if templates.html else None
    text = fill(templates.text, names) if templates.text else None
    if unsubscribe:
        html, text = _with_footers(html, text, unsubscribe)
    return EmailParts(
        subject=_subject(templates.subject, names),
        html=as_html(html) if html else html_of_text(text),
        text=_as_text(text) if text else text_of_html(html),
        headers=unsubscribe_headers(unsubscribe.url) if unsubscribe else {},
    )


def _subject(template: Template, names: Names) -> Rendered:
    subject = render_line(template, names)
    text = str(subject)
    if not text.strip():
        raise ContentError("subject: it is empty: write a subject")
    if len(text) > SUBJECT_CHARS_MAX:
        raise ContentError(f"subject: it has more than {SUBJECT_CHARS_MAX} characters: shorten it")
    first, *rest = subject.literals
    literals = [first.lstrip(), *rest]
    literals[-1] = literals[-1].rstrip()
    return Rendered(tuple(literals), subject.values)


def _as_text(filled: Filled) -> Rendered:
    return Rendered(filled.literals, tuple(value.text for value in filled.values))


def html_of_text(text: Filled | None) -> Rendered:
    """Return HTML with the lines of the text: some providers refuse an e-mail without HTML."""
    if text is None:
        return plain("")
    literals = [_html_lines(literal) for literal in text.literals]
    return Rendered(tuple(literals), tuple(_html_lines(value.text) for value in text.values))


def _html_lines(text: str) -> str:
    return markup.escape(text).replace("\n", "<br>\n")


def text_of_html(html: Filled | None) -> Rendered:
    """Return the text of HTML. Recipients with the same literals share those of the text too."""
    if html is None:
        return plain("")
    literals, numbers = _text_literals(html.literals)
    values = (html.values[number] for number in numbers)
    texts = (html_to_text(value.text) if value.is_raw else value.text for value in values)
    return Rendered(literals, tuple(texts))


@lru_cache(maxsize=KEPT_TEXTS)
def _text_literals(literals: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Convert once for all recipients who have these literals."""
    return split_at_places(html_to_text(with_places(literals)))


def _with_footers(
    html: Filled | None, text: Filled | None, unsubscribe: Unsubscribe
) -> tuple[Filled | None, Filled | None]:
    """Add a footer to each part without the link. If no part has it, the address is required."""
    linked = [part is not None and _has_link(part, unsubscribe) for part in (html, text)]
    lines = _address_lines(unsubscribe)
    if not (lines or any(linked)):
        raise ContentError(
            "the organization has no postal address: set `postal_address` in"
            " delivery.organization_settings, or put {{unsubscribe_url}} into the content"
        )
    if html and not linked[0]:
        html = _with_html_footer(html, unsubscribe.url, lines)
    if text and not linked[1]:
        text = _with_text_footer(text, unsubscribe.url, lines)
    return html, text


def _has_link(part: Filled, unsubscribe: Unsubscribe) -> bool:
    return any(value.text == unsubscribe.url for value in part.values)


def _with_html_footer(html: Filled, url: str, lines: list[str]) -> Filled:
    before = (
        '<p style="font-size:12px;color:#666666;text-align:center">'
        + "".join(f"{markup.escape(line)}<br>" for line in lines)
        + '<a href="'
    )
    return _with_link(html, url, before, '">Unsubscribe</a></p>')


def _with_text_footer(text: Filled, url: str, lines: list[str]) -> Filled:
    before = "\n\n--\n" + "".join(f"{line}\n" for line in lines) + "Unsubscribe: "
    return _with_link(text, url, before, "\n")


def _with_link(part: Filled, url: str, before: str, after: str) -> Filled:
    """Insert `before`, the link and `after` where the body ends."""
    index, literals = _split_at_body_end(part.literals, before, after)
    link = FilledValue(url, is_raw=False)
    return replace(
        part, literals=literals, values=(*part.values[:index], link, *part.values[index:])
    )


@lru_cache(maxsize=KEPT_TEXTS)
def _split_at_body_end(
    literals: tuple[str, ...], before: str, after: str
) -> tuple[int, tuple[str, ...]]:
    """Return the literal where the body ends, and the literals with it divided there: once for all
    recipients who have them."""
    index, place = _body_end(literals)
    literal = literals[index]
    divided = (literal[:place] + before, after + literal[place:])
    return index, (*literals[:index], *divided, *literals[index + 1 :])


def _body_end(literals: tuple[str, ...]) -> tuple[int, int]:
    """Return where `</body` stands last: the literal and the place in it; else the end."""
    for index in range(len(literals) - 1, -1, -1):
        places = [match.start() for match in _BODY_END.finditer(literals[index])]
        if places:
            return index, places[-1]
    return len(literals) - 1, len(literals[-1])


def _address_lines(unsubscribe: Unsubscribe) -> list[str]:
    lines = [single_line(line).strip() for line in unsubscribe.postal_address.splitlines()]
    return [line for line in lines if line]
