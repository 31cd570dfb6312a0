"""`mauntic executions`: list executions, show every visit of one, cancel them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import typer

from mauntic.cli.ui.options import AsJson, By, DryRun, Limit, Note, Remote, Yes, confirm, who
from mauntic.cli.ui.output import cell, print_json, print_table, say
from mauntic.operations import journeys
from mauntic.operations.systems import open_records
from mauntic.project.printable import count_of
from shared.ports import Row

app = typer.Typer(
    no_args_is_help=True,
    help="""List executions of journeys, show every visit of one, cancel them.

    Examples:

      mauntic executions list

      mauntic executions show 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c

      mauntic executions cancel 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c --dry-run
    """,
)


@app.command("list")
def list_(
    status: Annotated[
        list[str] | None,
        typer.Option(help="Only with this status; repeatable (default: active and failed)."),
    ] = None,
    stale: Annotated[
        bool, typer.Option("--stale", help="Those that a night has canceled as stale.")
    ] = False,
    journey: Annotated[UUID | None, typer.Option(help="Only of this journey.")] = None,
    contact: Annotated[UUID | None, typer.Option(help="All executions of this contact.")] = None,
    organization: Annotated[UUID | None, typer.Option(help="Only of this organization.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """List executions, those that moved last first.

    Examples:

      mauntic executions list --contact 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c

      mauntic executions list --status failed --limit 10 --json
    """
    filters = journeys.ExecutionFilter(status or (), organization, journey, contact, stale)
    with open_records(remote=remote) as db:
        found = journeys.list_executions(db, filters, limit)
    if as_json:
        print_json(found)
    else:
        print_table("executions", found, empty="none")


@app.command()
def show(
    execution_id: Annotated[UUID, typer.Argument(metavar="ID", help="The id of the execution.")],
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """Show one execution: where it stands, every visit with its message, its waits and its log.

    Example:

      mauntic executions show 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c
    """
    with open_records(remote=remote) as db:
        execution = journeys.find_execution(db, execution_id)
        found = journeys.history_of(db, execution_id)
    if as_json:
        print_json({"execution": execution, **vars(found)})
        return
    say(_summary(execution))
    print_table("visits", found.visits, empty="none: the first step is due")
    print_table("waits for events", found.waits, empty="none")
    print_table("log", found.logs, empty="nothing")


@app.command()
def cancel(
    ids: Annotated[list[UUID], typer.Argument(metavar="ID...", help="Ids of executions.")],
    by: By = "",
    note: Note = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """Cancel active executions: they visit no further step, and their open messages are skipped.

    Examples:

      mauntic executions cancel 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c --dry-run

      mauntic executions cancel 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c --note "asked for it"
    """
    with open_records(remote=remote) as db:
        found = [journeys.find_execution(db, own) for own in dict.fromkeys(ids)]
        for execution in found:
            journeys.require_active(execution)
        chosen = [execution["id"] for execution in found]
        if not dry_run:
            confirm(f"cancel {count_of(len(chosen), 'execution')}?", yes=yes)
            chosen = journeys.cancel(db, chosen, who(by), note, datetime.now(UTC))
    if as_json:
        print_json({"would_cancel" if dry_run else "canceled": [str(own) for own in chosen]})
        return
    verb = "would be" if dry_run else "was" if len(chosen) == 1 else "were"
    say(f"{count_of(len(chosen), 'execution')} {verb} canceled.")


def _summary(execution: Row) -> str:
    reason = f", {execution['exit_reason']}" if execution["exit_reason"] else ""
    due = f"; due at {cell(execution['wake_at'])}" if execution["wake_at"] else ""
    paused = " (paused)" if execution["journey_status"] == "paused" else ""
    return (
        f"Execution {execution['id']} of the journey {execution['journey']}{paused},"
        f" organization {execution['organization_id']}, contact {execution['contact_id']}:"
        f" {execution['status']}{reason}, {count_of(execution['visits'], 'visit')}{due}"
    )
