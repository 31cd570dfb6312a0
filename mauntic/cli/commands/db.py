"""`mauntic db`: migrate a database's schema, inspect it, adopt an existing one."""

from __future__ import annotations

import os
from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated

import typer

from mauntic.adopt import run
from mauntic.adopt.steps import Scene, Step
from mauntic.cli.ui.options import AsJson
from mauntic.cli.ui.output import print_json, print_table, say
from mauntic.database import migrations
from mauntic.database.embedded.server import open_database as open_server
from mauntic.errors import OperatorError
from mauntic.operations import grants as rights
from mauntic.operations.connection import database_at, local_url, open_database
from mauntic.operations.retention import report
from mauntic.project.printable import count_of
from shared.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    help="""Migrate the schema, inspect it, adopt an existing database.

    Examples:

      mauntic db status

      DATABASE_URL=postgresql://… mauntic db migrate
    """,
)


@app.command()
def migrate(as_json: AsJson = False) -> None:
    """Apply pending migrations to `DATABASE_URL`, or to the local database.

    Examples:

      DATABASE_URL=postgresql://… mauntic db migrate
    """
    with local_url(migrated=False) as url:
        output = migrations.migrate(url)
    if as_json:
        print_json({"applied": migrations.applied_files(output)})
    else:
        say(output.strip() or "Nothing is pending.")


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show applied and pending migrations.

    Examples:

      DATABASE_URL=postgresql://… mauntic db status

      mauntic db status --json | jq '.[] | select(.applied | not)'
    """
    with local_url(migrated=False) as url:
        if as_json:
            states = migrations.states(url)
            print_json([{"migration": file, "applied": states[file]} for file in states])
        else:
            say(migrations.status(url).strip())


@app.command()
def retention(as_json: AsJson = False) -> None:
    """Show how long each table keeps its rows, and what ticks will delete. Deletes nothing.

    Periods are the defaults or the variables `RETENTION_DAYS_…` of this shell: set them to the
    values of the deployed workers.

    Examples:

      DATABASE_URL=… mauntic db retention

      RETENTION_DAYS_SCORE_HISTORY=365 mauntic db retention --json
    """
    with open_database() as db:
        rows = report(db, Settings(os.environ.get), datetime.now(UTC))
    print_json(rows) if as_json else print_table("Retention", rows)


@app.command()
def grants(
    role: Annotated[
        str, typer.Option("--role", metavar="NAME", help="Role of the workers, used by Hyperdrive.")
    ] = rights.Roles.workers,
    platform_role: Annotated[
        str, typer.Option(metavar="NAME", help="Role of the platform's services.")
    ] = rights.Roles.platform,
    apply: Annotated[bool, typer.Option("--apply", help="Run the SQL; default: print.")] = False,
    as_json: AsJson = False,
) -> None:
    """Grant the workers and the platform's services exactly the rights they need.

    Prints the SQL; --apply runs it on `DATABASE_URL`, whose user must own the tables. Repeat it
    after each `db migrate`: a new table needs its rights. A new workers' role has no password: set
    one with `\\password` of psql.

    Examples:

      mauntic db grants

      DATABASE_URL=postgresql://owner… mauntic db grants --role mauntic_workers --apply
    """
    roles = rights.Roles(role, platform_role)
    if not apply:
        statements = list(rights.statements(roles))
        print_json(statements) if as_json else say(rights.script(roles).strip())
        return
    with local_url() as url, closing(database_at(url)) as db:
        rights.apply(db, roles)
    if as_json:
        print_json({"workers": roles.workers, "platform": roles.platform})
    else:
        say(f"The roles {roles.workers} and {roles.platform} have exactly the listed rights.")


@app.command()
def adopt(
    plan: Annotated[bool, typer.Option("--plan", help="Show the steps; write nothing.")] = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="Run the steps. Can be interrupted and repeated.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Change the platform's existing tables to this schema in place, without long locks.

    Examples:

      DATABASE_URL=postgresql://… mauntic db adopt --plan

      DATABASE_URL=postgresql://… mauntic db adopt --apply
    """
    if plan == apply:
        raise OperatorError("Pass either --plan or --apply.")
    if "DATABASE_URL" not in os.environ:
        raise OperatorError(
            "Set DATABASE_URL to the database to adopt: the local one already has the schema."
        )
    with (
        open_server(os.environ) as server,
        run.open_target() as target_url,
        run.open_scene(server.url, target_url) as scene,
    ):
        if plan:
            _show_plan(run.plan(scene), as_json)
        else:
            _apply(scene, as_json)


def _show_plan(steps: list[Step], as_json: bool) -> None:
    shown = [_row(step) | {"blocked": step.blocked} for step in steps]
    if as_json:
        print_json(shown)
    else:
        print_table("To be done", shown, empty="nothing: the database is adopted")


def _apply(scene: Scene, as_json: bool) -> None:
    done = []

    def report_step(step: Step, changed: int | None) -> None:
        done.append(_row(step) | {"done": changed})
        if not as_json:
            rows = f" ({count_of(changed, 'row')})" if changed is not None else ""
            where = step.table or step.phase
            say(f"  {where}: {step.action}{rows}")

    run.apply(scene, report_step)
    days = run.days_to_recompute(scene)
    if as_json:
        print_json({"steps": done, "days_to_recompute": days})
        return
    say(f"{count_of(len(done), 'step')} taken." if done else "Nothing to do: it is adopted.")
    if done and days:
        print_table("Rollups that existed twice: backfill these days", days)


def _row(step: Step) -> dict[str, object]:
    return {"phase": step.phase, "table": step.table, "step": step.action, "found": step.found}
