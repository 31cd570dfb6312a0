"""Buffers for log lines and metric points: each call into JavaScript costs more than the line, and
formatting waits until the messages are settled.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from shared.telemetry.log import Level, check, checked_line
from shared.telemetry.points import checked_point
from shared.telemetry.redaction import describe_error


class Telemetry:
    """Log and metrics of one invocation. A warning or an error is written at once.

    `parse` is JSON.parse of JavaScript.
    """

    def __init__(self, dataset: Callable[[], Any], parse: Callable[[str], Any]) -> None:
        self._dataset, self._parse = dataset, parse
        self._lines: list[Callable[[], str]] = []
        self._points: list[dict[str, Any]] = []

    def log(self, event: str, *, level: Level = "info", **fields: Any) -> None:
        check(event, fields)
        self._lines.append(partial(checked_line, event, level, fields))
        if level != "info":
            self._print()

    def write_point(self, index: str, blobs: list[str], doubles: list[float]) -> None:
        self._points.append(checked_point(index, blobs, doubles))

    def flush(self) -> None:
        """Write the buffered lines and points, in order."""
        try:
            self._write_points()
        except Exception as lost:  # a metric must not change the outcome of settled messages
            self.log("metric.write_failed", level="warning", error=describe_error(lost))
        self._print()

    def _write_points(self) -> None:
        points, self._points = self._points, []
        if points:
            dataset = self._dataset()
            self._parse(json.dumps(points)).forEach(dataset.writeDataPoint, dataset)

    def _print(self) -> None:
        lines, self._lines = self._lines, []
        if lines:
            sys.stdout.write("\n".join([*(text() for text in lines), ""]))
            sys.stdout.flush()
