"""Title, body and data of a push message."""

from __future__ import annotations

import json
from typing import Any

import pytest

from delivery.content.errors import ContentError
from delivery.content.push import PAYLOAD_BYTES_MAX, compose_push, parse_push

NAMES = {"contact": {"a": 'Zoë\n"<&'}}


def test_parts_are_filled_and_data_is_text() -> None:
    templates = parse_push(
        "Hi {{contact.a}}",
        " {{contact.a}}\nmore ",
        {"name": "{{contact.a}}", "n": 1, "f": 2.0, "b": True, "none": None, "o": {"a": [1]}},
    )
    parts = compose_push(templates, NAMES)
    assert parts.title == 'Hi Zoë "<&'
    assert parts.body == 'Zoë\n"<&\nmore'
    assert parts.data == {
        "name": 'Zoë\n"<&', "n": "1", "f": "2", "b": "true", "none": "", "o": '{"a": [1]}',
    }  # fmt: skip
    assert "Zoë" not in repr(parts) + repr(templates)


def test_one_of_title_and_body_is_needed() -> None:
    assert compose_push(parse_push("a", ""), {}).body == ""
    assert compose_push(parse_push("", "a"), {}).title == ""
    with pytest.raises(ContentError, match="title and body are empty: write one of them"):
        compose_push(parse_push(" ", "{{contact.none}}"), {})


def test_a_message_has_at_most_four_kilobytes() -> None:
    """Counted as JSON in UTF-8, as the services do."""
    frame = len(json.dumps({"title": "", "body": "", "data": {}}, separators=(",", ":")))
    room = PAYLOAD_BYTES_MAX - frame
    compose_push(parse_push("a" * room, ""), {})
    compose_push(parse_push("", "é" * (room // 2)), {})
    for title, body, data in (
        ("a" * (room + 1), "", {}),
        ("", "é" * (room // 2 + 1), {}),
        ("a", "", {"k": "a" * room}),
        ("a" * room, "", {"k": ""}),
    ):
        with pytest.raises(ContentError, match="more than 4,096 bytes: shorten them"):
            compose_push(parse_push(title, body, data), {})


@pytest.mark.parametrize(
    "key", ["", "from", "From", "message_type", "message_id", "google.a", "gcm.x", "a" * 101]
)
def test_a_reserved_key_is_refused(key: str) -> None:
    with pytest.raises(ContentError, match=r"^data: a key is .*: use names of at most 100"):
        parse_push("a", "b", {key: "x"})


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        (("{{", "", {}), "title: line 1, column 1: `{{` is not closed"),
        (("", "\n{{", {}), "body: line 2, column 1: `{{` is not closed"),
        (("", "", {"a": "{{"}), "data: line 1, column 1: `{{` is not closed"),
    ],
)
def test_an_error_of_a_template_names_the_part(
    parts: tuple[str, str, dict[str, Any]], problem: str
) -> None:
    with pytest.raises(ContentError) as raised:
        parse_push(*parts)
    assert str(raised.value).startswith(problem)
