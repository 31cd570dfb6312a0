"""`python -m bench`: run every benchmark, or those named with `--only`."""

from __future__ import annotations

import importlib
from typing import Annotated

import typer

from bench.measure import FULL_SCALE, folder, report, with_bounds
from bench.world import machine, world

BENCHMARKS = (
    "hourly", "flatness", "tenant", "reports", "dispatch", "growth", "load",
    "recompute", "decay", "calculate", "expiry", "poison", "ingest", "deliver",
    "campaign", "event_import", "feedback",
)  # fmt: skip


def main(
    only: Annotated[
        list[str] | None, typer.Option(help=f"One of: {', '.join(BENCHMARKS)}. Repeatable.")
    ] = None,
    scale: Annotated[float, typer.Option(help="Multiplies every number of events.")] = 1.0,
) -> None:
    """Run benchmarks, each alternating with its reference. The exit code is 1 if a bound is missed.

    Bounds, and the files in bench/results, apply to --scale 1.
    """
    if unknown := set(only or ()) - set(BENCHMARKS):
        raise typer.BadParameter(f"there is no benchmark {', '.join(sorted(unknown))}")
    missed = False
    with world(scale) as place:
        for name in only or BENCHMARKS:
            results = with_bounds(importlib.import_module(f"bench.{name}").run(place), scale)
            report(name, results, machine(place.server), scale)
            missed |= any(result.holds is False for result in results)
    if scale != FULL_SCALE:
        typer.echo(f"At scale {scale:g} no bound is checked. The figures are in {folder(scale)}.")
    raise typer.Exit(1 if missed else 0)


typer.run(main)
