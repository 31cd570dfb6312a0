"""Summarize stored metric points the way the deployed system's SQL does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import ceil
from typing import Any

from mauntic.operations.system import GaugeValue, Load, Verdicts
from shared.telemetry.delivery_metrics import (
    GAUGE_BLOBS,
    GAUGE_DOUBLES,
    GAUGE_EVENT,
    VERDICT_BLOBS,
    VERDICT_DOUBLES,
    VERDICT_EVENT,
)
from shared.telemetry.metrics import BLOBS, DOUBLES, EVENT


def summarize(points: Iterable[Mapping[str, Any]], queue: str | None = None) -> list[Load]:
    """Return a Load per queue and type."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for fields in _named(points, EVENT, BLOBS, DOUBLES):
        if queue in (None, fields["queue"]):
            groups.setdefault((fields["queue"], fields["type"]), []).append(fields)
    return [_load(*key, groups[key]) for key in sorted(groups)]


def verdicts_of(points: Iterable[Mapping[str, Any]]) -> list[Verdicts]:
    """Return the verdicts by channel, provider, verdict and code; the durations are of calls."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for fields in _named(points, VERDICT_EVENT, VERDICT_BLOBS, VERDICT_DOUBLES):
        key = tuple(fields[name] for name in ("channel", "provider", "verdict", "code"))
        groups.setdefault(key, []).append(fields)
    return [_verdicts(key, groups[key]) for key in sorted(groups)]


def gauges_of(points: Iterable[Mapping[str, Any]]) -> list[GaugeValue]:
    """Return the newest value of each gauge; the points are in the order of their times."""
    newest = {
        (fields["gauge"], fields["channel"], fields["state"]): fields
        for fields in _named(points, GAUGE_EVENT, GAUGE_BLOBS, GAUGE_DOUBLES)
    }
    return [
        GaugeValue(*key, round(newest[key]["count"]), round(newest[key]["age_s"]))
        for key in sorted(newest)
    ]


def _verdicts(key: tuple[str, ...], rows: list[dict[str, Any]]) -> Verdicts:
    channel, provider, verdict, code = key
    messages = round(sum(row["count"] for row in rows))
    durations = sorted(row["duration_ms"] for row in rows)
    p50, p95 = quantile(durations, 0.5), quantile(durations, 0.95)
    return Verdicts(channel, provider, verdict, code, messages, p50, p95)


def _named(
    points: Iterable[Mapping[str, Any]], event: str, blobs: Sequence[str], doubles: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Yield the columns of the points of an event."""
    for point in points:
        fields = name_columns(point, blobs, doubles)
        if fields["event"] == event:
            yield fields


def name_columns(
    point: Mapping[str, Any], blob_names: Sequence[str] = BLOBS, names: Sequence[str] = DOUBLES
) -> dict[str, Any]:
    """Return a point's columns by name; missing columns are empty."""
    blobs, doubles = point.get("blobs") or [], point.get("doubles") or []
    return {
        **dict.fromkeys(blob_names, ""),
        **dict.fromkeys(names, 0.0),
        **dict(zip(blob_names, blobs, strict=False)),
        **dict(zip(names, doubles, strict=False)),
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
