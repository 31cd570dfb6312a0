"""A Bucket over an R2 binding."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from shared.errors import StorageError
from shared.ports import StoredObject

KEYS_MAX = 1_000  # per list or delete: https://developers.cloudflare.com/r2/platform/limits/

_STATUS = re.compile(r"\((\d+)\)")
# Error codes of R2 (https://developers.cloudflare.com/r2/api/error-codes/), which the binding puts
# at the end of its message, and their HTTP status.
_HTTP_STATUS = {10058: 429, 10001: 500, 10043: 503, 10002: 401, 10003: 403, 10006: 404, 10007: 404}


class BoundBucket:
    """One R2 bucket. The binding's plain errors become StorageError with a status."""

    def __init__(self, binding: Any) -> None:
        self._binding = binding

    async def get(self, key: str) -> tuple[str, str] | None:
        with _translate_errors():
            found = await self._binding.get(key)
            return (str(await found.text()), str(found.etag)) if found is not None else None

    async def put(
        self, key: str, text: str, *, if_etag: str | None = None, if_absent: bool = False
    ) -> str | None:
        condition: dict[str, Any] = {}
        if if_etag:
            condition = {"onlyIf": {"etagMatches": if_etag}}
        elif if_absent:
            condition = {"onlyIf": {"etagDoesNotMatch": "*"}}
        with _translate_errors():
            written = await self._binding.put(key, text, **condition)
            return str(written.etag) if written is not None else None

    async def list(
        self, prefix: str, cursor: str | None = None
    ) -> tuple[list[StoredObject], str | None]:
        with _translate_errors():
            options = {"prefix": prefix, "limit": KEYS_MAX} | ({"cursor": cursor} if cursor else {})
            page = await self._binding.list(**options)
            found = [StoredObject(str(o.key), moment_of(o.uploaded)) for o in page.objects]
            return found, str(page.cursor) if page.truncated else None

    async def delete(self, keys: Sequence[str]) -> None:
        if len(keys) > KEYS_MAX:
            raise ValueError(f"R2 deletes {KEYS_MAX} keys per call, not {len(keys)}")
        with _translate_errors():
            await self._binding.delete(list(keys))


@contextmanager
def _translate_errors() -> Any:
    try:
        yield
    except StorageError:
        raise
    except Exception as error:  # a JsException, whose class the host does not have
        raise StorageError(status_of(str(error)), str(error)) from error


def moment_of(date: Any) -> datetime:
    """Return the time of a JavaScript Date, or of a datetime that the runtime converted."""
    if isinstance(date, datetime):
        return date.astimezone(UTC)
    return datetime.fromisoformat(str(date.toISOString())).astimezone(UTC)


def status_of(text: str) -> int:
    """Return the HTTP status of an R2 error's text; 500 if it contains none.

    >>> status_of("put: Reduce your rate of simultaneous writes on the same object. (10058)")
    429
    """
    # A key may also contain a number in parentheses; the code is last.
    codes = _STATUS.findall(text)
    code = int(codes[-1]) if codes else 500
    return code if 400 <= code < 600 else _HTTP_STATUS.get(code, 500)
