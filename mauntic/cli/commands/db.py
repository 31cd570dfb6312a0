"""`mauntic db`: a database's schema: migrated, looked at, or brought over from an older one."""

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
    help="""The schema: migrate it, look at it, adopt an existing database.

    Examples:

      mauntic db status

      DATABASE_URL=postgresql://… mauntic db migrate
    """,
)


@app.command()
def migrate(as_json: AsJson = False) -> None:
    """Apply the migrations that are pending to `DATABASE_URL`, else to the local database.

    Examples:

      DATABASE_URL=postgresql://… mauntic db migrate
    """
    with local_url(migrated=False) as url:
        said = migrations.migrate(url)
    if as_json:
        print_json({"applied": migrations.applied(said)})
    else:
        say(said.strip() or "Nothing is pending.")


@app.command()
def status(as_json: AsJson = False) -> None:
    """Which migrations are applied and which are pending.

    Examples:

      DATABASE_URL=postgresql://… mauntic db status

      mauntic db status --json | jq '.[] | select(.applied | not)'
    """
    with local_url(migrated=False) as url:
        if as_json:
            known = migrations.states(url)
            print_json([{"migration": file, "applied": known[file]} for file in known])
        else:
            say(migrations.status(url).strip())


@app.command()
def retention(as_json: AsJson = False) -> None:
    """How long each table keeps its rows, and what ticks will delete. Deletes nothing itself.

    Periods are the defaults, or those of the variables `RETENTION_DAYS_…` in this shell: give them
    the values that the deployed workers have.

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
        str, typer.Option("--role", metavar="NAME", help="The role that Hyperdrive connects as.")
    ] = rights.Roles.workers,
    platform_role: Annotated[
        str, typer.Option(metavar="NAME", help="The role of the platform's own services.")
    ] = rights.Roles.platform,
    apply: Annotated[bool, typer.Option("--apply", help="Run it; else it is printed.")] = False,
    as_json: AsJson = False,
) -> None:
    """The rights that the workers and the platform's services need, and no more.

    Prints SQL: the dry run. With --apply it runs on `DATABASE_URL`, whose user must own the tables.
    Repeat it after each `db migrate`: a new table needs its rights. The workers' role has no
    password yet: set one with `\\password` of psql.

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
        say(f"The roles {roles.workers} and {roles.platform} have what they need, and no more.")


@app.command()
def adopt(
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what would be done; write nothing.")
    ] = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="Do it. Can be interrupted and repeated.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the platform's existing tables to our schema in place, without long locks.

    Examples:

      DATABASE_URL=postgresql://… mauntic db adopt --plan

      DATABASE_URL=postgresql://… mauntic db adopt --apply
    """
    if plan == apply:
        raise OperatorError("Say either --plan or --apply.")
    if "DATABASE_URL" not in os.environ:
        raise OperatorError(
            "Set DATABASE_URL to the database to adopt: the local one has the schema already."
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

    def tell(step: Step, changed: int | None) -> None:
        done.append(_row(step) | {"done": changed})
        if not as_json:
            rows = f" ({count_of(changed, 'row')})" if changed is not None else ""
            where = step.table or step.phase
            say(f"  {where}: {step.what}{rows}")

    run.apply(scene, tell)
    days = run.days_to_recompute(scene)
    if as_json:
        print_json({"steps": done, "days_to_recompute": days})
        return
    say(f"{count_of(len(done), 'step')} taken." if done else "Nothing to do: it is adopted.")
    if done and days:
        print_table("Rollups that existed twice: backfill these days", days)


def _row(step: Step) -> dict[str, object]:
    return {"phase": step.phase, "table": step.table, "step": step.what, "found": step.found}
