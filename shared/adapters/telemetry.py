"""Log lines and metric points on their way out, gathered: each crossing to JavaScript costs more
than the line that it carries, and what nobody waits for is put into words when there is time."""

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
    """What one invocation says and measures. A warning or an error goes out at once.

    `parse` is JavaScript's own JSON.parse.
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
        """Give out what was gathered, in its order."""
        try:
            self._write_points()
        except Exception as lost:  # measuring must not decide over messages that are settled
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
