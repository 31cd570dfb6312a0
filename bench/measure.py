"""Timing: the thing and its reference in turn, medians, ratios, tables and files."""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "bench" / "results"  # committed: what the pages quote
QUICK_LOOKS = ROOT / ".local" / "bench"
FULL_SCALE = 1.0  # the bounds are those of the full number of events
ROUNDS = 7

Run = Callable[[], float]  # does the work once, and returns milliseconds


@dataclass(frozen=True)
class Result:
    """What was measured. `at_most` bounds the ratio of the medians; None is for the record."""

    name: str
    ours_ms: list[float]
    reference_ms: list[float] = field(default_factory=list)
    at_most: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Median over median."""
        if not self.reference_ms:
            return None
        return statistics.median(self.ours_ms) / statistics.median(self.reference_ms)

    @property
    def best_ratio(self) -> float | None:
        """Fastest over fastest: what remains when the machine's other work is out of the way."""
        return min(self.ours_ms) / min(self.reference_ms) if self.reference_ms else None

    @property
    def holds(self) -> bool | None:
        """Whether the bound holds; None where there is none."""
        return None if self.at_most is None or self.ratio is None else self.ratio <= self.at_most


def stopwatch(work: Callable[[], object]) -> float:
    """How long it takes, in milliseconds."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1_000


def alternate(runs: Mapping[str, Run], rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Each run once a round, one after the other; a first round warms up and is not counted."""
    measured: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            duration_ms = run()
            if number:
                measured[name].append(duration_ms)
    return measured


def slope(sizes: Iterable[float], durations_ms: Iterable[float]) -> float:
    """The exponent of growth: 1 is linear. A line through the logarithms, by least squares.

    >>> round(slope([1, 2, 4, 8], [3, 6, 12, 24]), 6)
    1.0
    """
    points = [(math.log(x), math.log(y)) for x, y in zip(sizes, durations_ms, strict=True)]
    fit = statistics.linear_regression(*zip(*points, strict=True))
    return fit.slope


def folder(scale: float) -> Path:
    """Where a run's files go: only those of a run at full scale are committed."""
    place = RESULTS if scale == FULL_SCALE else QUICK_LOOKS
    place.mkdir(parents=True, exist_ok=True)
    return place


def judged(results: Iterable[Result], scale: float) -> list[Result]:
    """The results with the bounds that apply: none at another scale than the full one."""
    return [one if scale == FULL_SCALE else replace(one, at_most=None) for one in results]


def report(name: str, results: list[Result], machine: Mapping[str, Any], scale: float) -> None:
    """Print the table and write `<name>.json`."""
    Console().print(_table(name, results))
    known = {
        "benchmark": name,
        "machine": dict(machine) | {"scale": scale},
        "results": [_plain(r) for r in results],
    }
    file = folder(scale) / f"{name}.json"
    file.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


def _plain(result: Result) -> dict[str, Any]:
    rounded = {
        key: [round(ms, 1) for ms in getattr(result, key)] for key in ("ours_ms", "reference_ms")
    }
    return {**asdict(result), **rounded, "ratio": result.ratio, "holds": result.holds}


def _table(name: str, results: list[Result]) -> Table:
    table = Table(title=name, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in ("measured", "ours ms", "reference ms", "ratio", "of the best", "at most", ""):
        table.add_column(column, justify="left" if column in ("measured", "") else "right")
    for one in results:
        table.add_row(
            f"{one.name}\n[dim]{one.note}[/dim]" if one.note else one.name,
            _median(one.ours_ms),
            _median(one.reference_ms),
            _ratio(one.ratio),
            _ratio(one.best_ratio),
            _ratio(one.at_most),
            {True: "[green]holds[/green]", False: "[red]missed[/red]", None: ""}[one.holds],
        )
    return table


def _median(durations_ms: list[float]) -> str:
    if not durations_ms:
        return ""
    return f"{statistics.median(durations_ms):.0f} [dim]({min(durations_ms):.0f})[/dim]"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
