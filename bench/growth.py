"""The growth of the jobs' time with the data: 1, 2, 4 and 8 times."""

from __future__ import annotations

import statistics
from pathlib import Path

from bench import hourly, reports
from bench.measure import Result, folder, slope
from bench.world import MONTH, World, book_hours, jobs, month_of

TIMES = (1, 2, 4, 8)
EVENTS = 625_000
IN_THE_HOUR = 12_500
ROUNDS = 5


def run(world: World) -> list[Result]:
    """Run each job at each size; the slope of the logarithms is 1 for linear growth."""
    measured: dict[str, list[list[float]]] = {"hourly": [], "daily report": [], "monthly usage": []}
    for times in TIMES:
        for name, durations_ms in _measure(world, times).items():
            measured[name].append(durations_ms)
    medians = {
        name: [statistics.median(durations_ms) for durations_ms in sizes]
        for name, sizes in measured.items()
    }
    plot(medians, folder(world.scale) / "growth.png")
    return [result for name, sizes in measured.items() for result in _results(name, sizes)]


def _measure(world: World, times: int) -> dict[str, list[float]]:
    spreads = month_of(world.events(EVENTS * times), world.events(IN_THE_HOUR * times))
    url = world.database(f"growth_{times}", spreads)
    book_hours(url, MONTH.end, 31 * 24)
    with jobs(url) as worker:
        worker.run(hourly.message())
        return {
            "hourly": [hourly.first_run(worker) for _ in range(ROUNDS)],
            "daily report": [reports.daily_ms(worker) for _ in range(ROUNDS)],
            "monthly usage": [reports.monthly_ms(worker) for _ in range(ROUNDS)],
        }


def _results(name: str, sizes: list[list[float]]) -> list[Result]:
    steepness = slope(TIMES, [statistics.median(durations_ms) for durations_ms in sizes])
    return [
        Result(
            f"{name}, {times}×",
            durations_ms,
            sizes[0],
            note=f"slope {steepness:.2f}" if times == TIMES[-1] else "",
        )
        for times, durations_ms in zip(TIMES, sizes, strict=True)
    ]


def plot(medians_ms: dict[str, list[float]], file: Path) -> None:
    """Draw the growth with logarithmic axes, in which a power is a straight line."""
    from matplotlib.figure import Figure  # of the group `bench`; nothing else needs it

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, durations_ms in medians_ms.items():
        axes.plot(
            TIMES, durations_ms, marker="o", label=f"{name}: slope {slope(TIMES, durations_ms):.2f}"
        )
    axes.set(
        xscale="log",
        yscale="log",
        xlabel=f"times {EVENTS:,} events a month",
        ylabel="ms, message to ack",
    )
    axes.set_xticks(TIMES, [f"{times}×" for times in TIMES])
    axes.legend()
    figure.savefig(file, dpi=120)
