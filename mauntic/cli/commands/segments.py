"""`mauntic segments`: the state of segments, and why a contact is in one or not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

import typer

from mauntic.cli.ui.options import AsJson, DryRun, Limit, Remote
from mauntic.cli.ui.output import cell, print_json, print_table, say
from mauntic.cli.ui.time_args import moment
from mauntic.operations import segments
from mauntic.operations.score_explanation import find_contact
from mauntic.operations.segments import Explanation
from mauntic.operations.statements import SQL
from mauntic.operations.systems import open_records

app = typer.Typer(
    no_args_is_help=True,
    help="""List segments, show one, explain a membership, build a segment again.

    Examples:

      mauntic segments list --state invalid

      mauntic segments explain 018f3c2e-7d1a-7c55-9d0e-000000000007 jane@example.com
    """,
)

SegmentId = Annotated[str, typer.Argument(metavar="SEGMENT", help="The id of the segment.")]


@app.command("list")
def list_(
    organization: Annotated[
        UUID | None, typer.Option("--organization", help="Only of this organization.")
    ] = None,
    state: Annotated[
        Literal["building", "ready", "invalid"] | None, typer.Option(help="Only in this state.")
    ] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """List segments with their state, the invalid ones first; and what waits to be evaluated.

    Examples:

      mauntic segments list --state invalid

      mauntic segments list --json | jq '.segments[] | select(.failed_runs > 0)'
    """
    key = {"organization_id": organization, "state": state}
    with open_records(remote=remote) as db:
        rows = db.rows(SQL["segments"], **key, limit=limit)
        waiting = db.rows(SQL["waiting_for_segments"], now=datetime.now(UTC))
    if as_json:
        print_json({"segments": rows, "waiting": waiting})
        return
    print_table("segments", rows, empty="none")
    print_table("waiting", waiting)


@app.command()
def show(segment: SegmentId, as_json: AsJson = False, remote: Remote = False) -> None:
    """Show a segment: its state, its criteria, and the newest changes of its members.

    Example:

      mauntic segments show 018f3c2e-7d1a-7c55-9d0e-000000000007
    """
    with open_records(remote=remote) as db:
        row = segments.find_segment(db, segment)
        changes = segments.changes(db, row["id"])
    if as_json:
        print_json({"segment": row, "changes": changes})
        return
    print_table("segment", [{"what": name, "is": value} for name, value in row.items()])
    print_table("newest changes", changes, empty="none")


@app.command()
def explain(
    segment: SegmentId,
    contact: Annotated[str, typer.Argument(metavar="CONTACT", help="Id or e-mail address.")],
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="At this time, with today's contact data.")
    ] = None,
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """Explain why a contact is a member of a segment, or not: condition by condition.

    Examples:

      mauntic segments explain 018f3c2e-7d1a-7c55-9d0e-000000000007 jane@example.com

      mauntic segments explain 018f3c2e-7d1a-7c55-9d0e-000000000007 j@example.com --at 2026-03-10
    """
    t = moment(at) if at else datetime.now(UTC)
    with open_records(remote=remote) as db:
        row = segments.find_segment(db, segment)
        found = segments.explain(db, row, find_contact(db, contact)["contact_id"], t)
    if as_json:
        print_json({
            "t": t, "matches": found.matches, "conditions": found.conditions, **found.stored
        })  # fmt: skip
    else:
        _print(found)


@app.command()
def rebuild(
    segment: SegmentId, dry_run: DryRun = False, as_json: AsJson = False, remote: Remote = False
) -> None:
    """Build a segment again: after an error, or when what its criteria read was wrong.

    Its members stay until they are replaced. Campaigns and enrollment wait until it is ready. The
    members of a static segment are the platform's: they are only counted.

    Example:

      mauntic segments rebuild 018f3c2e-7d1a-7c55-9d0e-000000000007
    """
    with open_records(remote=remote) as db:
        row = segments.find_segment(db, segment)
        if not dry_run:
            segments.rebuild(db, row["id"])
    if as_json:
        print_json({"would_rebuild" if dry_run else "rebuilt": row["id"]})
        return
    verb = "would be" if dry_run else "is"
    if row["type"] == "static":
        say(f"The segment is static: its members {'would be' if dry_run else 'are'} counted.")
        return
    say(
        f"The segment {verb} built by the next journey.wake-due (every five minutes). It has"
        f" {row['contact_count']:,} members now."
    )


def _print(found: Explanation) -> None:
    stored = found.stored
    verdict = "satisfies the criteria" if found.matches else "does not satisfy the criteria"
    member = "a member" if stored["is_member"] else "no member"
    since = f" since {cell(stored['added_at'])}" if stored["is_member"] else ""
    waits = " A change of the contact waits to be evaluated." if stored["waits"] else ""
    say(f"At {cell(found.t)} the contact {verdict}; stored: {member}{since}.{waits}")
    print_table("conditions", found.conditions, empty="none: the platform sets the members")
