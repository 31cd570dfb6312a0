"""How requests are written: JSON, forms, addresses, headers."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from delivery.domain.outgoing import OutgoingEmail
from delivery.domain.rendered import Rendered, plain

MESSAGE_HEADER = "X-Mauntic-Message"
JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"
_SPECIAL = frozenset('()<>[]:;@\\,."')
_ANY = plain("x")
_KEPT_SIZES = 16  # of the literals in use: subject, html and text of a few templates
_WORD_BYTES = 45  # of UTF-8: 60 characters of base64, so that an encoded word has at most 75


def json_bytes(value: Any) -> bytes:
    """Return compact JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def form_bytes(fields: Sequence[tuple[str, str]]) -> bytes:
    """Return a form's body."""
    return urlencode(fields).encode()


def json_size_bytes(value: Any) -> int:
    """Return how many bytes an entry of a list adds to a JSON body."""
    return len(json_bytes(value)) + 1


def email_size_bytes(
    fields: Callable[[OutgoingEmail], Mapping[str, Any]], message: OutgoingEmail
) -> int:
    """Return how many bytes the entry of an e-mail adds at most, if its fields have each part once.

    Text between values, which most recipients share, is measured once and not for each of them.
    """
    bare = replace(message, subject=_ANY, html=_ANY, text=_ANY)
    parts = (message.subject, message.html, message.text)
    return json_size_bytes(fields(bare)) + sum(map(_rendered_size, parts))


def _rendered_size(part: Rendered) -> int:
    return _literals_size(part.literals) + sum(map(_inner_size, part.values))


@lru_cache(maxsize=_KEPT_SIZES)
def _literals_size(literals: tuple[str, ...]) -> int:
    return sum(map(_inner_size, literals))


def _inner_size(text: str) -> int:
    return len(json_bytes(text)) - len('""')


def basic(user: str, password: str) -> str:
    """Return the value of an Authorization header.

    >>> basic("api", "key")
    'Basic YXBpOmtleQ=='
    """
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def without_empty(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that have a value."""
    return {name: value for name, value in fields.items() if value not in ("", None, [], {})}


def sender(message: OutgoingEmail) -> str:
    """Return name and address, the name in UTF-8.

    >>> sender(OutgoingEmail("1", "marketing", "", "a@b.example", *[None] * 3, 'A "b", Inc.'))
    '"A \\\\"b\\\\", Inc." <a@b.example>'
    """
    return _mailbox(message.from_name, message.from_address)


def ascii_sender(message: OutgoingEmail) -> str:
    """Return name and address in ASCII: another name becomes encoded words (RFC 2047)."""
    return _ascii_mailbox(message.from_name, message.from_address)


def reply_to(message: OutgoingEmail) -> str:
    """Return name and address of whom answers go to, the name in UTF-8; '' if to the sender."""
    return _mailbox(message.reply_to_name, message.reply_to) if message.reply_to else ""


def ascii_reply_to(message: OutgoingEmail) -> str:
    """Return the same in ASCII."""
    return _ascii_mailbox(message.reply_to_name, message.reply_to) if message.reply_to else ""


def _mailbox(name: str, address: str) -> str:
    name = one_line(name)
    if not name:
        return address
    if _SPECIAL & set(name):
        name = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{name} <{address}>"


def _ascii_mailbox(name: str, address: str) -> str:
    line = one_line(name)
    if line.isascii():
        return _mailbox(name, address)
    return f"{' '.join(_encoded_words(line))} <{address}>"


def headers(message: OutgoingEmail) -> dict[str, str]:
    """Return the message's own headers, and the one with our id."""
    return {**message.headers, MESSAGE_HEADER: message.message_id}


def named_values(fields: Mapping[str, str]) -> list[dict[str, str]]:
    """Return headers as a list of objects."""
    return [{"Name": name, "Value": value} for name, value in fields.items()]


def one_line(text: str) -> str:
    """Return the text without control characters and double spaces."""
    return " ".join("".join(mark if mark.isprintable() else " " for mark in text).split())


def _encoded_words(text: str) -> list[str]:
    words, chunk = [], b""
    for mark in text:
        encoded = mark.encode()
        if len(chunk) + len(encoded) > _WORD_BYTES:
            words.append(chunk)
            chunk = b""
        chunk += encoded
    return [f"=?utf-8?b?{base64.b64encode(word).decode()}?=" for word in [*words, chunk]]
