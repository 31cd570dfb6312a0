"""Timing in alternation with a reference: medians, ratios, tables and files."""

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
RESULTS = ROOT / "bench" / "results"  # committed: the pages quote these files
QUICK_LOOKS = ROOT / ".local" / "bench"
FULL_SCALE = 1.0  # bounds apply to the full number of events
ROUNDS = 7

Run = Callable[[], float]  # does the work once, and returns milliseconds


@dataclass(frozen=True)
class Result:
    """One measurement. `at_most` bounds the ratio of the medians; None means no bound."""

    name: str
    ours_ms: list[float]
    reference_ms: list[float] = field(default_factory=list)
    at_most: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """The ratio of the medians."""
        if not self.reference_ms:
            return None
        return statistics.median(self.ours_ms) / statistics.median(self.reference_ms)

    @property
    def best_ratio(self) -> float | None:
        """The ratio of the fastest rounds, which other load of the machine affects least."""
        return min(self.ours_ms) / min(self.reference_ms) if self.reference_ms else None

    @property
    def holds(self) -> bool | None:
        """True if the bound holds; None without a bound."""
        return None if self.at_most is None or self.ratio is None else self.ratio <= self.at_most


def stopwatch(work: Callable[[], object]) -> float:
    """Return the duration in milliseconds."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1_000


def alternate(runs: Mapping[str, Run], rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Execute each run once per round, one after the other; the first round is a warm-up and not
    counted.
    """
    measured: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            duration_ms = run()
            if number:
                measured[name].append(duration_ms)
    return measured


def slope(sizes: Iterable[float], durations_ms: Iterable[float]) -> float:
    """Return the exponent of growth, 1 for linear: a least-squares line through the logarithms.

    >>> round(slope([1, 2, 4, 8], [3, 6, 12, 24]), 6)
    1.0
    """
    points = [(math.log(x), math.log(y)) for x, y in zip(sizes, durations_ms, strict=True)]
    fit = statistics.linear_regression(*zip(*points, strict=True))
    return fit.slope


def folder(scale: float) -> Path:
    """Return the folder of a run's files: only those at full scale are committed."""
    place = RESULTS if scale == FULL_SCALE else QUICK_LOOKS
    place.mkdir(parents=True, exist_ok=True)
    return place


def with_bounds(results: Iterable[Result], scale: float) -> list[Result]:
    """Return the results with the bounds that apply: none at another scale than the full one."""
    return [result if scale == FULL_SCALE else replace(result, at_most=None) for result in results]


def report(name: str, results: list[Result], machine: Mapping[str, Any], scale: float) -> None:
    """Print the table and write `<name>.json`."""
    Console().print(_table(name, results))
    content = {
        "benchmark": name,
        "machine": dict(machine) | {"scale": scale},
        "results": [_plain(r) for r in results],
    }
    file = folder(scale) / f"{name}.json"
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _plain(result: Result) -> dict[str, Any]:
    rounded = {
        key: [round(ms, 1) for ms in getattr(result, key)] for key in ("ours_ms", "reference_ms")
    }
    return {**asdict(result), **rounded, "ratio": result.ratio, "holds": result.holds}


def _table(name: str, results: list[Result]) -> Table:
    table = Table(title=name, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in ("measured", "ours ms", "reference ms", "ratio", "of the best", "at most", ""):
        table.add_column(column, justify="left" if column in ("measured", "") else "right")
    for result in results:
        table.add_row(
            f"{result.name}\n[dim]{result.note}[/dim]" if result.note else result.name,
            _median(result.ours_ms),
            _median(result.reference_ms),
            _ratio(result.ratio),
            _ratio(result.best_ratio),
            _ratio(result.at_most),
            {True: "[green]holds[/green]", False: "[red]missed[/red]", None: ""}[result.holds],
        )
    return table


def _median(durations_ms: list[float]) -> str:
    if not durations_ms:
        return ""
    return f"{statistics.median(durations_ms):.0f} [dim]({min(durations_ms):.0f})[/dim]"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
