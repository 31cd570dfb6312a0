"""`mauntic runs`: list and show runs from the ledger."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from mauntic.cli.ui.options import AsJson, Limit, Remote
from mauntic.cli.ui.output import print_json, print_table
from mauntic.cli.ui.time_args import span, window_of
from mauntic.errors import OperatorError
from mauntic.operations import ledger_queries
from mauntic.operations.systems import open_records
from mauntic.operations.worker_catalog import find_job, schedule_of
from shared.ports import Row

app = typer.Typer(
    no_args_is_help=True,
    help="""List the runs of windows, from the ledger.

    Examples:

      mauntic runs list --status dead --since 1d

      mauntic runs show analytics.aggregate-hourly 2026-03-10T10:00Z
    """,
)

STATUSES = ("queued", "running", "sharded", "failed", "waiting", "succeeded", "dead", "skipped")
LISTED = (
    "job_type", "window", "status", "trigger", "attempts", "started_at", "seconds", "rows_read",
    "rows_written", "error_class", "error_text",
)  # fmt: skip


@app.command("list")
def list_(
    job_type: Annotated[str | None, typer.Option("--type", help="Only runs of this job.")] = None,
    status: Annotated[
        list[str] | None, typer.Option(help=f"One of {', '.join(STATUSES)}; may be repeated.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="SPAN", help="Only windows that ended within this span: 2h, 7d."),
    ] = None,
    shards: Annotated[bool, typer.Option("--shards", help="Include shards.")] = False,
    limit: Limit = 50,
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """List runs, newest window first.

    Examples:

      mauntic runs list --type analytics.aggregate-hourly --since 1d

      mauntic runs list --status dead --status failed --json
    """
    for name in status or ():
        if name not in STATUSES:
            raise typer.BadParameter(f"--status must be one of {', '.join(STATUSES)}.")
    with open_records(remote=remote) as db:
        rows = ledger_queries.runs(
            db,
            job_type=find_job(job_type)[1].type if job_type else None,
            statuses=status or None,
            ends_after=datetime.now(UTC) - span(since) if since else None,
            with_shards=shards,
            limit=limit,
        )
    if as_json:
        print_json(rows)
    else:
        print_table("runs", [{name: _cell(row, name) for name in LISTED} for row in rows])


@app.command()
def show(
    job_type: Annotated[str, typer.Argument(metavar="TYPE", help="Message type of the job.")],
    window: Annotated[str, typer.Argument(metavar="START[/END]", help="The window.")],
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """Show a window's run and its shards.

    Example:

      mauntic runs show analytics.aggregate-hourly 2026-03-10T10:00Z
    """
    job = find_job(job_type)[1]
    wanted = window_of(schedule_of(job), window, datetime.now(UTC))
    with open_records(remote=remote) as db:
        rows = ledger_queries.run(db, job.type, wanted)
    if not rows:
        raise OperatorError(f"No run found for {job.type}, window {wanted}.")
    if as_json:
        print_json({"run": rows[0], "shards": rows[1:]})
        return
    print_table(f"{job.type} {wanted}", [{"what": k, "is": v} for k, v in rows[0].items()])
    if rows[1:]:
        names = (
            "shard",
            "status",
            "attempts",
            "started_at",
            "rows_read",
            "rows_written",
            "error_text",
        )
        print_table("shards", [{name: row[name] for name in names} for row in rows[1:]])


def _cell(row: Row, name: str) -> object:
    if name == "window":
        shard = f" {row['shard']}" if row["shard"] else ""
        return f"{row['window_start']:%Y-%m-%dT%H:%MZ}/{row['window_end']:%Y-%m-%dT%H:%MZ}{shard}"
    if name == "seconds":
        return None if row["seconds"] is None else round(row["seconds"], 3)
    return row[name]
