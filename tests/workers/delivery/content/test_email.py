"""The parts of an e-mail."""

from __future__ import annotations

from email.headerregistry import HeaderRegistry
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.content import email as composer
from delivery.content.email import Unsubscribe, compose_email, parse_email
from delivery.content.errors import ContentError
from delivery.content.html_text import html_to_text
from tests.workers.delivery.content.templates import names, sources

URL = "https://hooks.example/u/TOKEN"
MARKETING = Unsubscribe(URL, "Acme & Co\n 1 Main St \r\n\nTown")
NAMES = {"contact": {"first": "<Zoë>", "html": "<p>raw &amp; </p>"}}


def test_a_transactional_email_has_no_footer_and_no_headers() -> None:
    parts = compose_email(
        parse_email("Hi {{contact.first}}", "<p>Dear {{contact.first}}</p>", None), NAMES, None
    )
    assert str(parts.subject) == "Hi <Zoë>"
    assert str(parts.html) == "<p>Dear &lt;Zoë&gt;</p>"
    assert str(parts.text) == "Dear <Zoë>"
    assert parts.headers == {}


def test_a_marketing_email_gets_a_footer_in_both_parts() -> None:
    templates = parse_email("s", "<html><body>a {{contact.first}}</BODY></html>", "b")
    parts = compose_email(templates, NAMES, MARKETING)
    assert str(parts.html) == (
        '<html><body>a &lt;Zoë&gt;<p style="font-size:12px;color:#666666;text-align:center">'
        "Acme &amp; Co<br>1 Main St<br>Town<br>"
        f'<a href="{URL}">Unsubscribe</a></p></BODY></html>'
    )
    assert str(parts.text) == f"b\n\n--\nAcme & Co\n1 Main St\nTown\nUnsubscribe: {URL}\n"
    assert parts.headers == {
        "List-Unsubscribe": f"<{URL}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def test_a_footer_is_before_the_last_end_of_the_body_and_has_no_control_characters() -> None:
    sender = Unsubscribe(URL, "Acme\x1b\x07Co")
    templates = parse_email("s", "a {{contact.none}} </body> b </body> {{contact.none}}", "t")
    parts = compose_email(templates, NAMES, sender)
    before, _, after = str(parts.html).partition("Acme Co<br>")
    assert before.startswith("a  </body> b <p ")
    assert after.endswith("</p></body> ")
    assert "--\nAcme Co\n" in str(parts.text)


def test_a_text_that_is_made_from_html_has_the_footer_once() -> None:
    parts = compose_email(parse_email("s", "<p>a</p>", None), NAMES, MARKETING)
    assert str(parts.text) == f"a\n\nAcme & Co\n1 Main St\nTown\nUnsubscribe ({URL})"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ('<a href="{{unsubscribe_url}}">no more</a>', None),
        ('<a href="{{{unsubscribe_url}}}">no more</a>', "stop: {{unsubscribe_url}}"),
        (None, "stop: {{unsubscribe_url}}"),
        ("{{#if contact.first}}{{unsubscribe_url}}{{/if}}", None),
    ],
)
def test_a_content_with_the_link_gets_no_footer(html: str | None, text: str | None) -> None:
    parts = compose_email(parse_email("s", html, text), NAMES, Unsubscribe(URL, ""))
    for part in (parts.html, parts.text):
        assert "Acme" not in str(part)
        assert str(part).count(URL) == (1 if str(part) else 0)


def test_a_link_that_a_condition_leaves_out_is_in_the_footer() -> None:
    templates = parse_email("s", "a{{#if contact.none}}{{unsubscribe_url}}{{/if}}", None)
    assert URL in str(compose_email(templates, NAMES, MARKETING).html)


def test_a_part_without_the_link_gets_it_even_without_an_address() -> None:
    parts = compose_email(
        parse_email("s", "{{unsubscribe_url}}", "b"), NAMES, Unsubscribe(URL, " \n")
    )
    assert str(parts.html) == URL
    assert str(parts.text) == f"b\n\n--\nUnsubscribe: {URL}\n"


def test_marketing_without_link_and_address_is_refused() -> None:
    with pytest.raises(ContentError, match="no postal address: set `postal_address` in"):
        compose_email(parse_email("s", "a", "b"), NAMES, Unsubscribe(URL, " \n"))


def test_a_recipient_cannot_replace_the_link() -> None:
    given_names = {**NAMES, "unsubscribe_url": "https://evil.example"}
    parts = compose_email(parse_email("s", "{{unsubscribe_url}}", None), given_names, MARKETING)
    assert str(parts.html) == URL


@given(sources, names, names)
def test_recipients_with_equal_literals_of_html_share_those_of_the_text(
    source: str, first: dict[str, Any], second: dict[str, Any]
) -> None:
    templates = parse_email("s", f"<p>{source}</p>", None)
    a, b = (compose_email(templates, given_names, MARKETING) for given_names in (first, second))
    if a.html.literals == b.html.literals:
        assert a.text.literals == b.text.literals


words = st.text("ab&<é", min_size=1, max_size=4)


@given(st.lists(words, min_size=3, max_size=3))
def test_a_text_with_values_is_that_of_the_whole_html(values: list[str]) -> None:
    """Converting the literals once for all gives what converting each e-mail would give."""
    a, b, c = values
    source = (
        '<h1>{{contact.a}}</h1><p>x <b>{{contact.b}}</b> y</p><a href="https://x/{{contact.c}}">'
        "{{contact.a}}</a><ul><li>{{contact.b}}</ul><style>{{contact.c}}</style>"
    )
    given_names = {"contact": {"a": a, "b": b, "c": c}}
    parts = compose_email(parse_email("s", source, None), given_names, None)
    assert str(parts.text) == html_to_text(str(parts.html))


def test_the_html_of_a_template_is_converted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counting(html: str) -> str:
        calls.append(html)
        return html_to_text(html)

    monkeypatch.setattr(composer, "html_to_text", counting)
    templates = parse_email("s", "<p>once {{contact.first}}</p>", None)
    for number in range(100):
        compose_email(templates, {"contact": {"first": number}}, None)
    assert len(calls) == 1


def test_a_raw_value_is_converted_alone() -> None:
    parts = compose_email(parse_email("s", "<b>{{{contact.html}}}</b>", None), NAMES, None)
    assert str(parts.html) == "<b><p>raw &amp; </p></b>"
    assert str(parts.text) == "raw &"


def test_an_email_of_text_has_its_lines_as_html() -> None:
    parts = compose_email(parse_email("s", None, "<a>\n{{contact.first}}\n"), NAMES, None)
    assert str(parts.text) == "<a>\n<Zoë>\n"
    assert str(parts.html) == "&lt;a&gt;<br>\n&lt;Zoë&gt;<br>\n"
    assert html_to_text(str(parts.html)) == str(parts.text).strip()


@given(st.text(st.sampled_from("a \r\n\x00\x0b\x85\u2028:é"), max_size=12))
def test_a_subject_is_a_header_of_one_line(value: str) -> None:
    """By the standard library, which refuses a header with a line break."""
    templates = parse_email("\r\n x {{contact.a}}\nBcc: {{{contact.a}}} ", "a", None)
    subject = str(compose_email(templates, {"contact": {"a": value}}, None).subject)
    assert subject.startswith("x ")
    assert len(subject.splitlines()) == 1
    assert HeaderRegistry()("Subject", subject).defects == ()


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        (("s", None, None), "the e-mail has neither html nor text: write one of them"),
        (("s", "", ""), "the e-mail has neither html nor text: write one of them"),
        (("{{", "a", None), "subject: line 1, column 1: `{{` is not closed: add `}}`"),
        (("s", "\n{{", None), "html: line 2, column 1: `{{` is not closed: add `}}`"),
        (("s", None, "a{{"), "text: line 1, column 2: `{{` is not closed: add `}}`"),
        ((" {{contact.none}}\n", "a", None), "subject: it is empty: write a subject"),
        (("a" * 901, "a", None), "subject: it has more than 900 characters: shorten it"),
    ],
)
def test_a_problem_names_the_part(parts: tuple[str, str | None, str | None], problem: str) -> None:
    with pytest.raises(ContentError) as raised:
        compose_email(parse_email(*parts), NAMES, None)
    assert str(raised.value) == problem


def test_no_representation_has_content() -> None:
    templates = parse_email("secret", "secret", None)
    assert "secret" not in f"{templates!r} {MARKETING!r}"
    assert "secret" not in repr(compose_email(templates, NAMES, MARKETING).headers)
