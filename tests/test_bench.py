"""The benchmarks' report: the bounds of a quick look, and the location of its figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import measure
from bench.measure import Result, folder, report, with_bounds

MISSED = Result("slow", [10.0], [1.0], at_most=1.5)


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    committed, quick = tmp_path / "results", tmp_path / "local" / "bench"
    monkeypatch.setattr(measure, "RESULTS", committed)
    monkeypatch.setattr(measure, "QUICK_LOOKS", quick)
    return committed, quick


def test_a_bound_is_judged_at_full_scale_alone() -> None:
    assert [one.holds for one in with_bounds([MISSED], 1.0)] == [False]
    assert [one.holds for one in with_bounds([MISSED], 0.1)] == [None]


def test_a_quick_look_leaves_the_committed_figures(places: tuple[Path, Path]) -> None:
    committed, quick = places
    report("hourly", [MISSED], {}, 1.0)
    before = (committed / "hourly.json").read_text()
    report("hourly", with_bounds([Result("slow", [99.0], [1.0])], 0.1), {}, 0.1)
    assert (committed / "hourly.json").read_text() == before
    assert json.loads((quick / "hourly.json").read_text())["machine"]["scale"] == 0.1
    assert [folder(scale) for scale in (1.0, 0.1, 2.0)] == [committed, quick, quick]
