"""Senders: the standard library's parser reads name and address back."""

from __future__ import annotations

from email import message_from_string
from email.policy import SMTP, SMTPUTF8
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from delivery.providers.bodies import (
    ascii_reply_to,
    ascii_sender,
    json_bytes,
    json_size_bytes,
    reply_to,
    sender,
)
from tests.workers.delivery.providers.support import email, names


def parsed(text: str, policy: Any) -> tuple[str, str]:
    found = message_from_string(f"From: {text}\n\n", policy=policy)["From"]
    [address] = found.addresses
    return address.display_name, address.addr_spec


def one_line(name: str) -> str:
    """What the name becomes: without control characters and double spaces."""
    return " ".join("".join(mark if mark.isprintable() else " " for mark in name).split())


@given(names | st.text(max_size=80))
def test_a_name_in_ascii_is_read_back(name: str) -> None:
    text = ascii_sender(email(from_name=name))
    assert text.isascii()
    assert "\n" not in text
    assert all(len(word) <= 75 for word in text.split(" ") if word.startswith("=?"))
    if not one_line(name).startswith("=?"):
        assert parsed(text, SMTP) == (one_line(name), "shop@acme.example")


@given(st.text("ab \"\\,.;:()<>@[]'é–字", max_size=20))
def test_a_name_in_utf_8_is_read_back(name: str) -> None:
    text = sender(email(from_name=name))
    assert parsed(text, SMTPUTF8) == (one_line(name), "shop@acme.example")


def test_whom_answers_go_to_has_a_name() -> None:
    message = email(reply_to="help@acme.example", reply_to_name="Zoë, Acme")
    assert reply_to(message) == '"Zoë, Acme" <help@acme.example>'
    assert parsed(ascii_reply_to(message), SMTP) == ("Zoë, Acme", "help@acme.example")
    assert reply_to(email(reply_to="help@acme.example")) == "help@acme.example"
    assert reply_to(email()) == ascii_reply_to(email()) == ""


@given(st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=9)), min_size=1, max_size=4))
def test_the_size_of_entries_bounds_their_list(entries: list[dict[str, str]]) -> None:
    assert len(json_bytes(entries)) == sum(map(json_size_bytes, entries)) + 1
