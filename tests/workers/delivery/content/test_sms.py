"""Texts and their segments, against Twilio's calculator."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from delivery.content.errors import ContentError
from delivery.content.sms import (
    GSM_BASIC,
    GSM_EXTENSION,
    compose_sms,
    count_segments,
    encoding_of,
    parse_sms,
)
from tests.workers.delivery.conftest import Oracle

GSM = "".join(sorted(GSM_BASIC | GSM_EXTENSION - {"\f"})).replace("\r", "")
texts = st.one_of(
    st.text(st.sampled_from(GSM), min_size=1, max_size=400),
    st.text(st.sampled_from(GSM + "ç€日ñ😀`"), min_size=1, max_size=250),
    st.builds(
        lambda a, n, b: a * n + b,
        st.sampled_from("a€日😀"), st.integers(60, 320), st.text("a€日😀", max_size=3),
    ),
)  # fmt: skip


@given(text=texts)
@example(text="a" * 152 + "€" + "b" * 10)
@example(text="日" * 66 + "😀" + "b" * 10)
def test_segments_are_those_of_twilio(oracle: Oracle, text: str) -> None:
    encoding = encoding_of(text)
    assert [encoding, count_segments(text, encoding)] == oracle.ask("segments", text=text)


def test_the_alphabet_has_its_size() -> None:
    """128 codes, one of which escapes to the extension of ten."""
    assert len(GSM_BASIC) == 127
    assert len(GSM_EXTENSION) == 10
    assert not GSM_BASIC & GSM_EXTENSION


@pytest.mark.parametrize(
    ("text", "encoding", "segments"),
    [
        ("a" * 160, "GSM-7", 1), ("a" * 161, "GSM-7", 2), ("a" * 306, "GSM-7", 2),
        ("a" * 307, "GSM-7", 3), ("€" * 80, "GSM-7", 1), ("€" * 81, "GSM-7", 2),
        ("€" * 153, "GSM-7", 3),  # 76 fit in a segment, whose last place stays free
        ("日" * 70, "UCS-2", 1), ("日" * 71, "UCS-2", 2), ("日" * 134, "UCS-2", 2),
        ("😀" * 35, "UCS-2", 1), ("😀" * 36, "UCS-2", 2), ("😀" * 67, "UCS-2", 3),
        ("ç", "UCS-2", 1), ("Ç", "GSM-7", 1), ("`", "UCS-2", 1),
    ],
)  # fmt: skip
def test_lengths_of_segments(text: str, encoding: str, segments: int) -> None:
    assert (encoding_of(text), count_segments(text, encoding_of(text))) == (encoding, segments)


def test_a_text_is_filled_and_counted() -> None:
    parts = compose_sms(
        parse_sms("Hi {{contact.a}}\r\n\x00<b>\t!"), {"contact": {"a": "Zoë & <co>"}}
    )
    assert (parts.text, parts.encoding, parts.segments) == (
        "Hi Zoë & <co>\n<b> !",
        "UCS-2",
        1,
    )
    assert "Zoë" not in repr(parts)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("", "text: it is empty: write a text"),
        (" \n{{contact.none}}", "text: it is empty: write a text"),
        ("a" * 1_601, "text: it has more than 1,600 characters: shorten it"),
    ],
)
def test_a_text_is_neither_empty_nor_long(source: str, problem: str) -> None:
    with pytest.raises(ContentError) as raised:
        compose_sms(parse_sms(source), {})
    assert str(raised.value) == problem


def test_the_longest_text() -> None:
    assert compose_sms(parse_sms("a" * 1_600), {}).segments == 11


def test_an_error_of_a_template_names_the_part() -> None:
    with pytest.raises(
        ContentError, match=r"^text: line 1, column 3: `{{` is not closed: add `}}`"
    ):
        parse_sms("a {{b")
