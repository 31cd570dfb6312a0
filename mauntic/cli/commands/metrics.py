"""`mauntic metrics`: show the metrics of queues, or of deliveries, in a period."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from mauntic.cli.ui.options import AsJson, Remote
from mauntic.cli.ui.output import print_json, print_table
from mauntic.cli.ui.time_args import span
from mauntic.errors import OperatorError
from mauntic.operations.system import Load
from mauntic.operations.systems import open_system
from mauntic.operations.worker_catalog import require_queue


def metrics(
    since: Annotated[str, typer.Option(metavar="SPAN", help="The period: 30m, 1h, 7d.")] = "1h",
    queue: Annotated[str | None, typer.Option(help="Only this queue.")] = None,
    deliveries: Annotated[
        bool, typer.Option("--deliveries", help="Verdicts of providers, and open messages.")
    ] = False,
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """Show throughput, p50 and p95 of the duration, retries and dead letters, by queue and type.

    Reads the metric points of `mauntic dev`, or Analytics Engine with the statement in
    mauntic/operations/sql/metrics.sql, which dashboards can use too. In production, work without
    I/O has a duration of 0: clocks advance only during I/O.

    --deliveries shows what providers answered, with the duration of their calls, and the gauges of
    the newest sweep: open messages by channel and state with the age of the oldest, and the
    addresses suppressed today.

    Examples:

      mauntic metrics --since 1d

      mauntic metrics --deliveries

      mauntic metrics --remote --queue mauntic-scoring-events --json
    """
    period = span(since)
    if deliveries:
        if queue:
            raise OperatorError("--deliveries is not by queue: omit --queue.")
        _show_deliveries(since, as_json=as_json, remote=remote)
        return
    with open_system(remote=remote) as system:
        loads = system.loads(period, require_queue(queue) if queue else None)
    rows = [_row(load, period.total_seconds() / 60) for load in loads]
    if as_json:
        print_json(rows)
    else:
        print_table(f"the last {since}", rows, empty="no messages")


def _show_deliveries(since: str, *, as_json: bool, remote: bool) -> None:
    with open_system(remote=remote) as system:
        verdicts = [asdict(own) for own in system.verdicts(span(since))]
        gauges = [asdict(own) for own in system.gauges(span(since))]
    if as_json:
        print_json({"verdicts": verdicts, "gauges": gauges})
        return
    print_table(f"verdicts of the last {since}", verdicts, empty="no calls")
    counted = [own for own in gauges if own["count"]]
    print_table("the newest sweep", counted, empty="nothing is open" if gauges else "no sweep")


def _row(load: Load, minutes: float) -> dict[str, Any]:
    fields = asdict(load)
    rate = round(load.messages / minutes, 3) if minutes else None
    return {
        **{name: fields.pop(name) for name in ("queue", "type", "messages")},
        "per_minute": rate,
        **fields,
    }
