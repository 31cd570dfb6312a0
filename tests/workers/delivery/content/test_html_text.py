"""Text from HTML: hand values, and properties against the standard library's tree of XML."""

from __future__ import annotations

import re
import sys
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.content.errors import ContentError
from delivery.content.html_text import html_to_text, split_at_places, with_places
from tests.processor_time import own_time

LINEAR = sys.version_info >= (3, 14)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("", ""),
        ("a &amp; b &lt;c&gt; &euro;&#8364;&#x20AC;&nbsp;d", "a & b <c> €€€ d"),
        ("  a \n  b\t c ", "a b c"),
        ("a<b>b</b>c <i> d </i> e", "abc d e"),
        ("a<br>b<br/>c<br><br><br>d", "a\nb\nc\n\nd"),
        ("<p>a</p><p>b</p>", "a\n\nb"),
        ("<div>a<div>b</div></div><div>c</div>", "a\nb\nc"),
        ("<h1>a</h1>b<h2>c</h2>", "a\n\nb\n\nc"),
        ("a<hr>b", "a\n\n---\n\nb"),
        ("<ul><li>a</li><li>b</li></ul>c", "- a\n- b\n\nc"),
        ("<ol><li>a<li>b</ol>", "1. a\n2. b"),
        ("<ul><li>a<ol><li>b</li><li>c</li></ol></li><li>d</li></ul>", "- a\n  1. b\n  2. c\n- d"),
        ("<ul><li></li></ul><p>a</p>", "a"),
        ("<li>a", "- a"),
        ('<a href="https://a.example/?b&amp;c">d</a>', "d (https://a.example/?b&c)"),
        ('<a href="https://a.example">https://a.example</a>', "https://a.example"),
        ('<a href="mailto:a@b.example">a@b.example</a> <a href="tel:+1">+1</a>', "a@b.example +1"),
        ('<a href="#top">a</a> <a name="b">b</a> <a href="">c</a>', "a b c"),
        ('<a href="https://a.example"><img src="x" alt="Shop"></a>', "Shop (https://a.example)"),
        ('<a href="https://a.example"><img src="x"></a>', "https://a.example"),
        ('a<img alt="Logo">b<img>', "a Logo b"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><th>c</th><td>d</td></tr></table>", "a b\nc d"),
        ("<pre>a\n  b\n\n c</pre>d", "a\n  b\n\n c\n\nd"),
        ("<style>a</style><script>if (a < b) {}</script><title>t</title>b<!-- c -->", "b"),
        ("<html><head><title>t<body>", ""),
        ("<html><head><meta charset=utf-8></head><body>a</body></html>", "a"),
        ('<div style="display: none">a<div>b</div></div>c<p hidden>d</p>e', "ce"),
        ('<span style="DISPLAY:NONE">a</span>b', "b"),
        ("<div hidden>a<div>b</div>c</div>d", "d"),
        ("<!--[if mso]><p>a</p><![endif]-->b<![if !mso]>c<![endif]>", "bc"),
        ("a < b and c > d", "a < b and c > d"),
        ("</p></ul></a></pre></li>a", "a"),
        ("<p>a<p>b", "a\n\nb"),
        ("a\u200b\u200d\ufeffb", "a b"),
    ],
)
def test_html_as_text(html: str, text: str) -> None:
    assert html_to_text(html) == text


INLINE = ["b", "i", "span", "em"]
BLOCK = ["p", "div", "h1", "blockquote", "section"]
words = st.text('abc&<>"é ', min_size=1, max_size=6)


def element(tags: list[str]) -> st.SearchStrategy[ElementTree.Element]:
    @st.composite
    def build(draw: st.DrawFn, depth: int = 3) -> ElementTree.Element:
        node = ElementTree.Element(draw(st.sampled_from(tags)))
        node.text = draw(words)
        for _ in range(draw(st.integers(0, 2)) if depth else 0):
            child = draw(build(depth - 1))
            child.tail = draw(words)
            node.append(child)
        return node

    return build()


@given(element(INLINE))
def test_inline_elements_are_their_text(node: ElementTree.Element) -> None:
    text = "".join(node.itertext())
    assert html_to_text(ElementTree.tostring(node, "unicode")) == " ".join(text.split())


@given(element([*INLINE, *BLOCK]))
def test_no_word_is_lost_or_added(node: ElementTree.Element) -> None:
    text = html_to_text(ElementTree.tostring(node, "unicode"))
    assert "".join(text.split()) == "".join("".join(node.itertext()).split())
    assert "\n\n\n" not in text
    assert all(line == line.strip() for line in text.split("\n"))


MARKUP = ["<p>", "</p>", "<a href='", "'>", "</a>", "<!--", "-->", "<ul>", "<li>", "</li>", "<pre>"]
MARKUP += ["&", "&#", "<", ">", "text", " ", "\n", "<br>", "<td>", "<p hidden>", "<style>", "</"]
MARKUP += ["\ufdd0", "\ufdd01\ufdd1", "<script>", "<img alt=x>", "]]>", "<![", "<?", "&amp;"]


@given(st.lists(st.sampled_from(MARKUP), max_size=25).map("".join))
def test_any_html_has_a_text_or_an_error_with_a_remedy(html: str) -> None:
    try:
        html_to_text(html)
    except ContentError:
        assert "<![" in html


def test_an_endless_character_reference_is_an_error_with_a_remedy() -> None:
    with pytest.raises(
        ContentError, match="correct what follows `<!\\[` and `&#`, or write a text"
    ):
        html_to_text("&#" + "9" * 5_000 + ";")


@given(st.lists(st.text("a1\ufdd0\ufdd1", max_size=5), min_size=1, max_size=5))
def test_places_of_values_survive(literals: list[str]) -> None:
    """Characters that mark a place are no text, and are dropped from a template."""
    cleaned = [re.sub("[\ufdd0\ufdd1]", "", literal) for literal in literals]
    found, numbers = split_at_places(with_places(literals))
    assert found == tuple(cleaned)
    assert numbers == tuple(range(len(literals) - 1))


@pytest.mark.parametrize(
    "piece", ["<p>a</p>", "a ", "&amp;", "<a href=x>", "<ul>", "<ul><li>", "<pre>\n", "<p hidden>",
              "<td>", "</p>", "<br>", "\ufdd0", "<img alt=x>", "<!-- a -->", "&"]
)  # fmt: skip
def test_a_large_html_takes_linear_time(piece: str) -> None:
    html = piece * (500_000 // len(piece))
    with own_time() as seconds:
        html_to_text(html)
        assert seconds() < 10


@pytest.mark.skipif(
    not LINEAR, reason="the parser of an older Python is quadratic; workers' is not"
)
@pytest.mark.parametrize("piece", ["<a", "<!--", "<a href='", "<a b=c ", "<script>", "</a ", "<!"])
def test_a_large_broken_html_takes_linear_time(piece: str) -> None:
    test_a_large_html_takes_linear_time(piece)
