"""`mauntic scores`: explain a score, show the backlog, request recomputation."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import typer

from mauntic.cli.ui.options import AsJson, DryRun, Remote, Yes, confirm
from mauntic.cli.ui.output import busy, cell, print_json, print_table, say
from mauntic.cli.ui.time_args import moment
from mauntic.errors import OperatorError
from mauntic.operations.score_explanation import (
    Explanation,
    count_contacts,
    explain,
    find_contact,
    request_recompute,
)
from mauntic.operations.statements import SQL
from mauntic.operations.systems import open_records
from mauntic.project.printable import count_of

app = typer.Typer(
    no_args_is_help=True,
    help="""Explain lead scores, show the backlog, request recomputation.

    Examples:

      mauntic scores show jane@example.com

      mauntic scores status
    """,
)
ORGANIZATIONS_MAX = 10


@app.command()
def show(
    contact: Annotated[str, typer.Argument(metavar="CONTACT", help="Id or e-mail address.")],
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Score at this time, with today's contact data."),
    ] = None,
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """Explain the score of a contact: factors, live signals, and the score a week ago.

    Examples:

      mauntic scores show jane@example.com

      mauntic scores show 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c --at 2026-03-10T12:00Z --json
    """
    t = moment(at) if at else datetime.now(UTC)
    with open_records(remote=remote) as db:
        explanation = explain(db, find_contact(db, contact), t)
    if as_json:
        print_json(explanation.as_json())
    else:
        _print(explanation)


@app.command()
def status(as_json: AsJson = False, remote: Remote = False) -> None:
    """Show what waits for the scoring jobs, since when, and the largest backlogs.

    An entry older than an hour (an alert older than 15 minutes) means that its job is late.

    Examples:

      mauntic scores status

      mauntic scores status --json | jq '.waiting[] | select(.count > 0)'
    """
    with open_records(remote=remote) as db:
        waiting = db.rows(SQL["scoring_work"], now=datetime.now(UTC))
        backlog = db.rows(SQL["scoring_backlog"], limit=ORGANIZATIONS_MAX)
    if as_json:
        print_json({"waiting": waiting, "backlog": backlog})
        return
    print_table("waiting", waiting)
    print_table("the largest backlogs", backlog, empty="none")


@app.command()
def recompute(
    organization: Annotated[
        UUID | None, typer.Option("--organization", help="All contacts of this organization.")
    ] = None,
    contact: Annotated[
        str | None, typer.Option("--contact", help="One contact, by id or e-mail address.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All contacts.")] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """Request new scores, which scoring.BatchRecompute computes every hour.

    Examples:

      mauntic scores recompute --contact jane@example.com

      mauntic scores recompute --all --dry-run

      mauntic scores recompute --all --yes && mauntic jobs run scoring.BatchRecompute
    """
    if (organization is not None) + (contact is not None) + everything != 1:
        raise OperatorError("Pass one of --organization, --contact and --all.")
    with open_records(remote=remote) as db:
        contact_id = find_contact(db, contact)["contact_id"] if contact else None
        count = count_contacts(db, organization, contact_id)
        if organization and not count:
            raise OperatorError(f"No contact found for organization {organization}.")
        if not dry_run:
            if everything:
                confirm(f"recompute all scores, {count_of(count, 'contact')}?", yes=yes)
            with busy("requesting"):
                request_recompute(db, organization, contact_id)
    _print_requested(as_json, count, dry_run)


def _print_requested(as_json: bool, count: int, dry_run: bool) -> None:
    if as_json:
        print_json({"would_request" if dry_run else "requested": count})
    elif dry_run:
        say(f"{count_of(count, 'contact')} would wait for the next scoring.BatchRecompute.")
    else:
        say(
            f"{count:,} {'contact waits' if count == 1 else 'contacts wait'} for the next"
            " scoring.BatchRecompute."
            " To run it now: `mauntic jobs run scoring.BatchRecompute`."
        )


def _print(explanation: Explanation) -> None:
    made = explanation.score
    say(
        f"Contact {explanation.contact_id} of organization {explanation.organization_id},"
        f" {cell(explanation.t)}:"
        f" {made.total}, grade {made.grade}"
        f" (fit {made.fit}, engagement {made.engagement}, intent {made.intent})"
    )
    print_table("factors", explanation.factors())
    print_table("live signals", explanation.signals(), empty="none")
    say(_stored_line(explanation))
    say(_week_ago_line(explanation))


def _stored_line(explanation: Explanation) -> str:
    if explanation.stored is None:
        return "Stored: no score yet; the next scoring.BatchRecompute computes one."
    row = explanation.stored
    if row["outdated"]:
        then = "; a change since then waits for the next scoring.BatchRecompute"
    elif _is_comparable(explanation) and row["total_score"] != explanation.score.total:
        then = (
            "; time has passed since then: the next scoring.SignalDecay sets what it changed, and"
            f" `mauntic scores recompute --contact {explanation.contact_id}` anything else"
        )
    else:
        then = ""
    return f"Stored: {row['total_score']}, grade {row['grade']}, of {cell(row['scored_at'])}{then}."


def _is_comparable(explanation: Explanation) -> bool:
    """Return whether the stored score can be compared: it is not newer than `t`."""
    row = explanation.stored
    return row is not None and row["scored_at"] <= explanation.t <= datetime.now(UTC)


def _week_ago_line(explanation: Explanation) -> str:
    row = explanation.week_ago
    if row is None:
        return "A week ago: no score."
    return (
        f"A week ago: {row['total_score']} (fit {row['fit_score']},"
        f" engagement {row['engagement_score']}, intent {row['intent_score']}),"
        f" since {row['since']}."
    )
