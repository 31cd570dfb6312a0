"""`python -m bench`: every benchmark, or those named with `--only`."""

from __future__ import annotations

import importlib
from typing import Annotated

import typer

from bench.measure import FULL_SCALE, folder, judged, report
from bench.world import machine, world

BENCHMARKS = (
    "hourly", "flatness", "tenant", "reports", "dispatch", "growth", "load",
    "recompute", "decay", "calculate", "expiry", "poison", "ingest",
)  # fmt: skip


def main(
    only: Annotated[
        list[str] | None, typer.Option(help=f"One of: {', '.join(BENCHMARKS)}. Repeatable.")
    ] = None,
    scale: Annotated[float, typer.Option(help="Multiplies every number of events.")] = 1.0,
) -> None:
    """Measure, each thing against its reference in turn. Exit code 1 if a bound is missed.

    The bounds, and the files in bench/results, are those of --scale 1.
    """
    if strangers := set(only or ()) - set(BENCHMARKS):
        raise typer.BadParameter(f"there is no benchmark {', '.join(sorted(strangers))}")
    missed = False
    with world(scale) as place:
        for name in only or BENCHMARKS:
            results = judged(importlib.import_module(f"bench.{name}").run(place), scale)
            report(name, results, machine(place.server), scale)
            missed |= any(result.holds is False for result in results)
    if scale != FULL_SCALE:
        typer.echo(f"At scale {scale:g} no bound is judged. The figures are in {folder(scale)}.")
    raise typer.Exit(1 if missed else 0)


typer.run(main)
