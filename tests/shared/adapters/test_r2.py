"""The bucket over a binding that behaves like R2's."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from shared.adapters.r2 import KEYS_MAX, BoundBucket, moment_of, status_of
from shared.errors import StorageError, is_retryable
from shared.ports import StoredObject


class JsDate:
    """A JavaScript Date as Pyodide passes it."""

    def toISOString(self) -> str:
        return "2026-03-10T15:00:00.250Z"


UPLOADED = datetime(2026, 3, 10, 15, 0, 0, 250_000, tzinfo=UTC)


class Binding:
    """R2 from a worker's view: objects with attributes, errors with a code at the end."""

    def __init__(self, trouble: str | None = None) -> None:
        self.held: dict[str, str] = {}
        self.trouble = trouble

    def _trouble(self) -> None:
        if self.trouble:
            raise RuntimeError(self.trouble)

    async def get(self, key: str) -> Any:
        self._trouble()
        if key not in self.held:
            return None

        async def text() -> str:
            return self.held[key]

        return SimpleNamespace(text=text, etag=etag(self.held[key]))

    async def put(self, key: str, text: str, onlyIf: Any = None) -> Any:
        self._trouble()
        condition = onlyIf or {}
        known = self.held.get(key)
        if "etagMatches" in condition and (
            known is None or etag(known) != condition["etagMatches"]
        ):
            return None
        if condition.get("etagDoesNotMatch") == "*" and known is not None:
            return None
        self.held[key] = text
        return SimpleNamespace(etag=etag(text))

    async def list(self, prefix: str, limit: int, cursor: str | None = None) -> Any:
        self._trouble()
        keys = sorted(key for key in self.held if key.startswith(prefix) and key > (cursor or ""))
        page = [SimpleNamespace(key=key, uploaded=JsDate()) for key in keys[:limit]]
        more = len(keys) > limit
        return SimpleNamespace(objects=page, truncated=more, cursor=page[-1].key if more else None)

    async def delete(self, keys: Sequence[str]) -> None:
        self._trouble()
        for key in keys:
            self.held.pop(key, None)


def etag(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def test_objects_are_written_read_and_listed_to_the_last_page() -> None:
    async def run() -> None:
        bucket = BoundBucket(Binding())
        for n in range(KEYS_MAX + 1):
            assert await bucket.put(f"a/{n:04}", str(n))
        assert await bucket.get("a/0007") == ("7", etag("7"))
        assert await bucket.get("a/none") is None
        found, cursor = await bucket.list("a/")
        assert (len(found), cursor) == (KEYS_MAX, "a/0999")
        last = StoredObject("a/1000", UPLOADED)
        assert await bucket.list("a/", cursor) == ([last], None)
        await bucket.delete(["a/0000", "a/none"])
        assert await bucket.get("a/0000") is None

    asyncio.run(run())


def test_a_date_that_the_runtime_has_converted_is_the_same_moment() -> None:
    assert moment_of(UPLOADED) == moment_of(JsDate()) == UPLOADED


def test_a_condition_that_does_not_hold_writes_nothing() -> None:
    async def run() -> None:
        bucket = BoundBucket(Binding())
        assert await bucket.put("k", "one", if_absent=True) == etag("one")
        assert await bucket.put("k", "two", if_absent=True) is None
        assert await bucket.put("k", "two", if_etag="other") is None
        assert await bucket.put("k", "two", if_etag=etag("one")) == etag("two")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("text", "status", "retryable"),
    [
        ("put: Reduce your rate of simultaneous writes on the same object. (10058)", 429, True),
        ("get: We encountered an internal error. Please try again. (10001)", 500, True),
        ("list: Unspecified error (0)", 500, True),
        ("delete: something without a number", 500, True),
        ("put: access denied (10003)", 403, False),
        ("get: a key named (404) failed (503)", 503, True),
    ],
)
def test_an_error_gets_the_status_in_its_text(text: str, status: int, retryable: bool) -> None:
    assert status_of(text) == status
    bucket = BoundBucket(Binding(trouble=text))
    for call in (bucket.get("k"), bucket.put("k", ""), bucket.list(""), bucket.delete(["k"])):
        with pytest.raises(StorageError) as caught:
            asyncio.run(call)
        assert caught.value.status == status
        assert is_retryable(caught.value) is retryable


def test_more_keys_than_a_call_may_delete_are_a_programming_error() -> None:
    with pytest.raises(ValueError, match="1000 keys per call, not 1001"):
        asyncio.run(BoundBucket(Binding()).delete(["k"] * 1_001))
