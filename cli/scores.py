"""`mauntic scores`: why a contact has his score, and asking for scores to be computed anew."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import typer

from cli.connection import open_database
from cli.explained import Explanation, explain, find_contact, request_recompute
from cli.options import AsJson
from cli.output import Refusal, cell, console, print_json, print_table

app = typer.Typer(no_args_is_help=True, help="Lead scores: explain one, recompute some.")


@app.command()
def show(
    contact: Annotated[str, typer.Argument(metavar="CONTACT", help="Its id or e-mail address.")],
    as_json: AsJson = False,
) -> None:
    """Explain the score of a contact: factors, live signals, and what it was a week ago.

    Examples:

      mauntic scores show jane@example.com

      mauntic scores show 018f3c2e-7d1a-7c55-9d0e-0f6f8f0a1b2c --json
    """
    with open_database() as db:
        explanation = explain(db, find_contact(db, contact), datetime.now(UTC))
    if as_json:
        print_json(explanation.as_json())
    else:
        _print(explanation)


@app.command()
def recompute(
    organization: Annotated[
        UUID | None, typer.Option("--organization", help="All contacts of this organisation.")
    ] = None,
    contact: Annotated[
        str | None, typer.Option("--contact", help="This contact, by id or e-mail address.")
    ] = None,
    everybody: Annotated[bool, typer.Option("--all", help="All contacts there are.")] = False,
    as_json: AsJson = False,
) -> None:
    """Put contacts into the recompute backlog, which scoring.BatchRecompute drains every hour.

    Examples:

      mauntic scores recompute --contact jane@example.com

      mauntic scores recompute --all && mauntic jobs run scoring.BatchRecompute
    """
    if (organization is not None) + (contact is not None) + everybody != 1:
        raise Refusal("Say whose scores: one of --organization, --contact and --all.")
    with open_database() as db:
        contact_id = find_contact(db, contact)["contact_id"] if contact else None
        count = request_recompute(db, organization, contact_id)
    if as_json:
        print_json({"requested": count})
    else:
        console.print(
            f"{count:,} contacts wait for the next scoring.BatchRecompute."
            " At once: `mauntic jobs run scoring.BatchRecompute`."
        )


def _print(one: Explanation) -> None:
    made = one.score
    console.print(
        f"Contact {one.contact_id} of organisation {one.organization_id}, {cell(one.t)}:"
        f" {made.total}, grade {made.grade}"
        f" (fit {made.fit}, engagement {made.engagement}, intent {made.intent})",
        highlight=False,
    )
    print_table("factors", one.factors())
    print_table("live signals", one.signals(), empty="none")
    console.print(_stored(one), highlight=False)
    console.print(_week_ago(one), highlight=False)


def _stored(one: Explanation) -> str:
    if one.stored is None:
        return "Stored: no score yet; the next scoring.BatchRecompute computes one."
    waits = "; a change since then waits to be computed" if one.stored["outdated"] else ""
    row = one.stored
    return (
        f"Stored: {row['total_score']}, grade {row['grade']}, of {cell(row['scored_at'])}{waits}."
    )


def _week_ago(one: Explanation) -> str:
    row = one.week_ago
    if row is None:
        return "A week ago: no score."
    return (
        f"A week ago: {row['total_score']} (fit {row['fit_score']},"
        f" engagement {row['engagement_score']}, intent {row['intent_score']}),"
        f" since {row['since']}."
    )
