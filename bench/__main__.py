"""`python -m bench`: every benchmark, or those named with `--only`."""

from __future__ import annotations

import importlib
from typing import Annotated

import typer

from bench.measure import report
from bench.world import machine, world

BENCHMARKS = (
    "hourly", "flatness", "reports", "dispatch", "growth", "load",
    "recompute", "decay", "calculate", "expiry",
)  # fmt: skip


def main(
    only: Annotated[
        list[str] | None, typer.Option(help=f"One of: {', '.join(BENCHMARKS)}. Repeatable.")
    ] = None,
    scale: Annotated[float, typer.Option(help="Multiplies every number of events.")] = 1.0,
) -> None:
    """Measure, each thing against its reference in turn. Exit code 1 if a bound is missed."""
    if strangers := set(only or ()) - set(BENCHMARKS):
        raise typer.BadParameter(f"there is no benchmark {', '.join(sorted(strangers))}")
    missed = False
    with world(scale) as place:
        for name in only or BENCHMARKS:
            results = importlib.import_module(f"bench.{name}").run(place)
            report(name, results, {**machine(place.server), "scale": scale})
            missed |= any(result.holds is False for result in results)
    raise typer.Exit(1 if missed else 0)


typer.run(main)
