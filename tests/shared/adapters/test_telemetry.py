"""Lines and points are buffered, and none is lost or late because of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.adapters.telemetry import Telemetry


class Dataset:
    """Takes points until it is full."""

    def __init__(self, room: int, refusal: Exception | None = None) -> None:
        self.room, self.refusal = room, refusal or OSError("full")
        self.points: list[Any] = []

    def writeDataPoint(self, point: Any) -> None:  # JavaScript's name
        if len(self.points) == self.room:
            raise self.refusal
        self.points.append(point)


class Parsed(list[Any]):
    """JavaScript's array."""

    def forEach(self, function: Any, _this: Any) -> None:  # JavaScript's name
        for one in self:
            function(one)


def telemetry(dataset: Dataset) -> Telemetry:
    return Telemetry(lambda: dataset, lambda text: Parsed(json.loads(text)))


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]


def test_lines_and_points_wait_for_the_flush(capsys: pytest.CaptureFixture[str]) -> None:
    dataset = Dataset(room=9)
    out = telemetry(dataset)
    for number in (1, 2):
        out.log("toy.happened", count=number)
        out.write_point("q", ["a"], [number])
    assert (lines(capsys), dataset.points) == ([], [])
    out.flush()
    out.flush()
    assert lines(capsys) == ["toy.happened"] * 2
    assert [point["doubles"] for point in dataset.points] == [[1], [2]]


def test_an_error_goes_out_at_once_after_what_was_said_before(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = telemetry(Dataset(room=9))
    out.log("toy.happened")
    out.log("toy.failed", level="error")
    assert lines(capsys) == ["toy.happened", "toy.failed"]


def test_points_that_nobody_takes_are_an_event_and_no_more(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = telemetry(Dataset(room=0))
    out.log("toy.happened")
    out.write_point("q", [], [])
    out.flush()
    assert lines(capsys) == ["toy.happened", "metric.write_failed"]


@pytest.mark.parametrize(
    ("refusal", "reported"),
    [
        (OSError("full"), "OSError: full"),
        (ValueError("no point of eve@example.org"), "ValueError"),
    ],
)
def test_of_lost_points_the_log_has_what_it_may_have(
    refusal: Exception, reported: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = telemetry(Dataset(room=0, refusal=refusal))
    out.write_point("q", [], [])
    out.flush()
    assert json.loads(capsys.readouterr().out)["error"] == reported
