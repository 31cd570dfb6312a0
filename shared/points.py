"""The limits of an Analytics Engine point: beyond them the platform drops it in silence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# https://developers.cloudflare.com/analytics/analytics-engine/limits/
INDEX_BYTES_MAX = 96
BLOBS_MAX = 20
BLOBS_BYTES_MAX = 16 * 1024
DOUBLES_MAX = 20


def checked_point(index: str, blobs: Sequence[str], doubles: Sequence[float]) -> dict[str, Any]:
    """The point as `writeDataPoint` takes it. ValueError names the limit that it breaks."""
    blobs_bytes = len("".join(blobs).encode())
    for what, size, limit in (
        ("bytes of index", len(index.encode()), INDEX_BYTES_MAX),
        ("blobs", len(blobs), BLOBS_MAX),
        ("bytes of blobs", blobs_bytes, BLOBS_BYTES_MAX),
        ("doubles", len(doubles), DOUBLES_MAX),
    ):
        if size > limit:
            raise ValueError(f"a point may have {limit} {what}, not {size}")
    return {"indexes": [index], "blobs": list(blobs), "doubles": list(doubles)}
