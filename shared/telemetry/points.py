"""Limits of an Analytics Engine point. The platform drops a larger one without an error."""

from __future__ import annotations

from collections.abc import Sequence
from operator import le
from typing import Any

# https://developers.cloudflare.com/analytics/analytics-engine/limits/
NAMES = ("bytes of index", "blobs", "bytes of blobs", "doubles")
LIMITS = (96, 20, 16 * 1024, 20)


def checked_point(index: str, blobs: Sequence[str], doubles: Sequence[float]) -> dict[str, Any]:
    """Return the point for `writeDataPoint`. ValueError names the limit that it exceeds."""
    sizes = len(index.encode()), len(blobs), len("".join(blobs).encode()), len(doubles)
    if not all(map(le, sizes, LIMITS)):
        found = zip(NAMES, sizes, LIMITS, strict=True)
        parts, size, limit = next(part for part in found if part[1] > part[2])
        raise ValueError(f"a point may have {limit} {parts}, not {size}")
    return {"indexes": [index], "blobs": list(blobs), "doubles": list(doubles)}
