"""`mauntic journeys`: list journeys, show one, publish a version, pause and resume."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import typer

from mauntic.cli.ui.options import AsJson, DryRun, Limit, Remote, Yes, confirm
from mauntic.cli.ui.output import print_json, print_table, say
from mauntic.operations import journeys
from mauntic.operations.systems import open_records
from mauntic.project.printable import count_of
from shared.ports import Row

app = typer.Typer(
    no_args_is_help=True,
    help="""List journeys, show one, publish a version, pause and resume.

    Examples:

      mauntic journeys list

      mauntic journeys show 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c

      mauntic journeys publish 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c --dry-run
    """,
)

JourneyId = Annotated[UUID, typer.Argument(metavar="ID", help="The id of the journey.")]


@app.command("list")
def list_(
    status: Annotated[
        list[str] | None, typer.Option(help="Only with this status; repeatable.")
    ] = None,
    organization: Annotated[UUID | None, typer.Option(help="Only of this organization.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """List journeys with their executions by status, active journeys first.

    Examples:

      mauntic journeys list --status active

      mauntic journeys list --organization 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c --json
    """
    with open_records(remote=remote) as db:
        found = journeys.list_journeys(db, status or (), organization, limit)
    if as_json:
        print_json(found)
    else:
        print_table("journeys", found, empty="none")


@app.command()
def show(journey_id: JourneyId, as_json: AsJson = False, remote: Remote = False) -> None:
    """Show one journey: its versions, where contacts stand, its triggers, and who entered.

    Example:

      mauntic journeys show 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c
    """
    with open_records(remote=remote) as db:
        journey = journeys.find_journey(db, journey_id)
        found = journeys.details_of(db, journey_id, datetime.now(UTC))
    if as_json:
        print_json({"journey": journey, **vars(found)})
        return
    say(
        f"Journey {journey['name']} of organization {journey['organization_id']}:"
        f" {journey['status']}"
    )
    print_table("versions", found.versions, empty="none")
    print_table("steps of the published version", found.steps, empty="none is published")
    print_table("triggers", found.triggers, empty="none")
    print_table("occasions of the last seven days", found.entries, empty="none")


@app.command()
def publish(
    journey_id: JourneyId,
    version: Annotated[
        int | None, typer.Option(help="The number of the version (default: the newest).")
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """Publish a version: contacts enter it from now on, and it does not change any more.

    Executions stay on the version that they entered. --dry-run shows what refuses the version.

    Examples:

      mauntic journeys publish 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c --dry-run

      mauntic journeys publish 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c --version 3 --yes
    """
    with open_records(remote=remote) as db:
        journey = journeys.find_journey(db, journey_id)
        found = journeys.version_to_publish(db, journey_id, version)
        if not dry_run:
            confirm(f"publish version {found['version']} of {journey['name']}?", yes=yes)
            journeys.publish(db, journey_id, found, datetime.now(UTC))
    if as_json:
        print_json({"would_publish" if dry_run else "published": found["version"]})
        return
    steps = count_of(found["steps"], "step")
    verb = "would be" if dry_run else "is"
    say(f"Version {found['version']} ({steps}) {verb} published.{_hint(journey)}")


@app.command()
def pause(journey_id: JourneyId, as_json: AsJson = False, remote: Remote = False) -> None:
    """Pause a journey: no contact enters or goes on, and its open messages wait.

    Example:

      mauntic journeys pause 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c
    """
    _set_status(journey_id, "paused", ("active",), as_json=as_json, remote=remote)


@app.command()
def resume(journey_id: JourneyId, as_json: AsJson = False, remote: Remote = False) -> None:
    """End the pause of a journey. What is overdue goes on within five minutes.

    Example:

      mauntic journeys resume 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c
    """
    _set_status(journey_id, "active", ("paused",), as_json=as_json, remote=remote)


def _set_status(
    journey_id: UUID, status: str, sources: tuple[str, ...], *, as_json: bool, remote: bool
) -> None:
    with open_records(remote=remote) as db:
        journeys.set_status(db, journeys.find_journey(db, journey_id), status, sources)
    if as_json:
        print_json({"id": str(journey_id), "status": status})
    else:
        say(f"The journey {journey_id} is {status}: {EFFECTS[status]}.")


def _hint(journey: Row) -> str:
    """Say why no contact enters, if that is so."""
    return "" if journey["status"] == "active" else f" The journey is {journey['status']}."


EFFECTS = {
    "paused": "no contact enters or goes on",
    "active": "what is overdue goes on within five minutes",
}
