"""Summarize stored metric points the way the deployed system's SQL does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from typing import Any

from mauntic.operations.system import Load
from shared.telemetry.metrics import BLOBS, DOUBLES, EVENT


def summarize(points: Iterable[Mapping[str, Any]], queue: str | None = None) -> list[Load]:
    """Return a Load per queue and type."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for point in points:
        fields = name_columns(point)
        if fields["event"] == EVENT and queue in (None, fields["queue"]):
            groups.setdefault((fields["queue"], fields["type"]), []).append(fields)
    return [_load(*key, groups[key]) for key in sorted(groups)]


def name_columns(point: Mapping[str, Any]) -> dict[str, Any]:
    """Return a point's columns by name; missing columns are empty."""
    blobs, doubles = point.get("blobs") or [], point.get("doubles") or []
    return {
        **dict.fromkeys(BLOBS, ""),
        **dict.fromkeys(DOUBLES, 0.0),
        **dict(zip(BLOBS, blobs, strict=False)),
        **dict(zip(DOUBLES, doubles, strict=False)),
    }


def quantile(sorted_values: Sequence[float], level: float) -> float | None:
    """Return the smallest value that is at least as large as the fraction `level` of all values.

    >>> quantile([1, 2, 3, 4], 0.5), quantile([1, 2, 3, 4], 0.95), quantile([], 0.5)
    (2, 4, None)
    """
    if not sorted_values:
        return None
    return sorted_values[max(0, ceil(len(sorted_values) * level) - 1)]


def _load(queue: str, job_type: str, rows: list[dict[str, Any]]) -> Load:
    ended = Counter(row["status"] for row in rows)
    durations = sorted(row["duration_ms"] for row in rows)
    return Load(
        queue=queue,
        type=job_type,
        messages=len(rows),
        done=ended["ack"],
        retries=ended["retry"],
        dead_letters=ended["dead"],
        p50_ms=quantile(durations, 0.5),
        p95_ms=quantile(durations, 0.95),
    )
