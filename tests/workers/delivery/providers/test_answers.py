"""What holds for every adapter, whatever a provider answers."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delivery.domain.verdict import Verdict
from delivery.providers.answers import BY_STATUS, decide, parsed, safe_code, text_at
from delivery.providers.registry import ADAPTERS
from shared.ports import HttpResponse
from tests.workers.delivery.providers.support import NOW, answer, several

# The common rules of the contract.
COMMON = {
    401: "pause",
    403: "pause",
    408: "retry",
    413: "refused",
    429: "defer",
    500: "unknown",
    502: "unknown",
    503: "retry",
    504: "unknown",
}
OTHERS = [100, 204, 206, 301, 302, 307, 402, 405, 406, 418, 451, 501, 507, 520, 599]
HTTP = sorted(set(ADAPTERS) - {"cloudflare"})  # the binding has no statuses

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 999) | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["code", "error", "errors", "name", "id", "sid", "data", "status", "ErrorCode",
                 "MessageID", "MessageId", "BulkEmailEntryResults", "details", "index", "To"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)  # fmt: skip


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a": 1', b"[" * 5_000, b"\xff", b"null"])
@pytest.mark.parametrize("name", HTTP)
def test_the_common_rules_hold_for_answers_without_a_code(name: str, body: bytes) -> None:
    adapter = ADAPTERS[name]
    for count in {1, min(3, adapter.bulk_max)}:
        for status, kind in {**COMMON, **dict.fromkeys(OTHERS, "unknown")}.items():
            verdicts = adapter.verdicts(several(count), answer(status, body), NOW)
            assert [verdict.kind for verdict in verdicts] == [kind] * count, status


def test_the_table_is_the_contracts() -> None:
    assert {int(status): verdict.kind for status, verdict in BY_STATUS.items()} == COMMON


@pytest.mark.parametrize("name", sorted(ADAPTERS))
@given(status=st.integers(100, 599), body=json_values, cut=st.booleans())
@settings(max_examples=40)
def test_any_answer_has_one_verdict_a_message(name: str, status: int, body: Any, cut: bool) -> None:
    adapter = ADAPTERS[name]
    response = HttpResponse(status, {}, json.dumps(body).encode(), is_truncated=cut)
    for count in {1, min(3, adapter.bulk_max)}:
        verdicts = adapter.verdicts(several(count), response, NOW)
        assert len(verdicts) == count
        for verdict in verdicts:
            assert verdict.kind != "accepted" or 200 <= status < 300
            assert safe_code(verdict.code) == verdict.code
            assert (verdict.suppression is not None) is (verdict.kind == "suppress")


@pytest.mark.parametrize("name", sorted(ADAPTERS))
def test_a_cut_off_answer_proves_nothing(name: str) -> None:
    """But for those whose status alone is the answer."""
    adapter = ADAPTERS[name]
    body = {"id": "a", "sid": "a", "MessageID": "a", "ErrorCode": 0, "MessageId": "a"}
    body |= {"name": "a", "messageId": "a"}
    [status] = [
        status
        for status in (200, 201, 202)
        if adapter.verdicts(several(1), answer(status, body), NOW)[0].kind == "accepted"
    ]
    cut = HttpResponse(status, {}, json.dumps(body).encode(), is_truncated=True)
    kind = "accepted" if name in ("sendgrid", "webpush") else "unknown"
    assert adapter.verdicts(several(1), cut, NOW)[0].kind == kind


@pytest.mark.parametrize(
    ("code", "is_safe"),
    [
        ("E_RATE_LIMIT", True),
        ("21610", True),
        ("Sender:x.y-z", True),
        ("jane@mail.example", False),
        ("two words", False),
        ("é", False),
        ("x" * 65, False),
        ("", False),
    ],
)
def test_a_code_has_the_form_of_one(code: str, is_safe: bool) -> None:
    assert (safe_code(code) == code) is (is_safe or not code)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("a", "a"), (5, "5"), (0, "0"), (True, ""), (1.5, ""), (None, ""), ([], ""), ({}, "")],
)
def test_texts_and_whole_numbers_are_ids_and_codes(value: Any, expected: str) -> None:
    assert text_at({"a": {"b": value}}, "a", "b") == expected


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("30", timedelta(seconds=30)),
        ("1.5", timedelta(seconds=1.5)),
        ("0", timedelta(seconds=1)),
        ("100000", timedelta(hours=24)),
        ("1772368275", timedelta(seconds=60)),
        ("Sun, 01 Mar 2026 12:32:15 GMT", timedelta(minutes=2)),
        ("Sun, 01 Mar 2026 12:00:00 GMT", timedelta(seconds=1)),
        ("tomorrow", None),
        ("nan", None),
        ("-1", None),
        ("1e300", None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(text: str, wait: timedelta | None) -> None:
    assert datetime(2026, 3, 1, 12, 30, 15, tzinfo=UTC) == NOW
    found = decide(answer(429, b"", retry_after=text), NOW, {})
    assert found == Verdict("defer", "429", until=NOW + wait if wait else None)


@pytest.mark.parametrize("depth", [10, 60, 65, 900, 100_000])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_json_that_would_end_the_interpreter_is_not_parsed(depth: int, encoding: str) -> None:
    """A worker's stack is small: deep recursion ends it without an exception."""
    text = "[" * depth + "]" * depth
    found = [parsed(text), parsed(text.encode(encoding))]
    assert [own is not None for own in found] == [depth <= 64] * 2


def test_json_that_cannot_be_read_is_none() -> None:
    unreadable: list[bytes | str] = [b"", b"{", b"\xff\xfe\xfd", "\ufeff{}", "9" * 5_000]
    assert [body for body in unreadable if parsed(body) is not None] == []
    assert parsed(b"\xef\xbb\xbf{}") == {}
    assert parsed(b'"\xed\xa0\x80"') == "\ud800"
