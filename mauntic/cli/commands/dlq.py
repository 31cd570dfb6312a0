"""`mauntic dlq`: list dead letters, redrive them, or discard them."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import typer

from mauntic.cli.ui.options import (
    AsJson,
    By,
    DryRun,
    Limit,
    Note,
    Remote,
    Yes,
    confirm,
    interrupted,
    who,
)
from mauntic.cli.ui.output import Rows, print_json, print_table, progress, remark, say
from mauntic.cli.ui.time_args import span
from mauntic.errors import OperatorError
from mauntic.local.dev_state import running_dev
from mauntic.operations import ledger_queries
from mauntic.operations.dead_letter_filters import (
    REASONS,
    filter_from_options,
    refuse_unknown,
    select,
)
from mauntic.operations.dead_letters import redrive_letters
from mauntic.operations.ledger_queries import DeadLetterFilter
from mauntic.operations.system import SystemEnded
from mauntic.operations.systems import open_records, open_system
from mauntic.project.printable import count_of
from shared.ports import Database, Row

app = typer.Typer(
    no_args_is_help=True,
    help="""List dead letters, redrive them, or discard them.

    Examples:

      mauntic dlq list

      mauntic dlq show 17

      mauntic dlq redrive 17 --note "the table is back"
    """,
)

Ids = Annotated[list[int] | None, typer.Argument(metavar="[ID]...", help="Ids of dead letters.")]
Queue = Annotated[str | None, typer.Option(help="Only from this queue.")]
Type = Annotated[str | None, typer.Option("--type", help="Only of this job.")]
Reason = Annotated[str | None, typer.Option(help=f"One of {', '.join(REASONS)}.")]
Older = Annotated[
    str | None, typer.Option(metavar="SPAN", help="Only those dead for longer than 30m, 2h, 7d.")
]
Newer = Annotated[
    str | None, typer.Option(metavar="SPAN", help="Only those dead for at most this span.")
]
All = Annotated[bool, typer.Option("--all", help="All dead letters, without a filter.")]

Status = Literal["dead", "redriven", "discarded", "all"]

LISTED = (
    "id",
    "queue",
    "job_type",
    "reason",
    "error",
    "attempts",
    "dead_at",
    "status",
    "redriven_from",
)
CHOSEN = ("id", "queue", "job_type", "reason", "error", "dead_at", "redriven_from")
AUDIT = ("changed_by", "changed_at", "note")
SHOWN_MAX = 20


@app.command("list")
def list_(
    ids: Ids = None,
    queue: Queue = None,
    job_type: Type = None,
    reason: Reason = None,
    older: Older = None,
    newer: Newer = None,
    status: Annotated[Status, typer.Option(help="Status of the dead letters.")] = "dead",
    limit: Limit = 50,
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """List dead letters, newest first.

    Examples:

      mauntic dlq list

      mauntic dlq list --type scoring.CalculateScore --newer 2h --json

      mauntic dlq list --status redriven
    """
    filters = filter_from_options(ids, queue, job_type, reason, _span(older), _span(newer))
    filters = replace(filters, status=None if status == "all" else status)
    with open_records(remote=remote) as db:
        refuse_unknown(db, filters)
        letters = ledger_queries.dead_letters(db, filters, limit)
    if as_json:
        print_json(letters)
    else:
        print_table("dead letters", _brief(letters), empty="none")


@app.command()
def show(
    letter: Annotated[int, typer.Argument(metavar="ID")],
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """Show a dead letter: body, error, audit, and the dead letters before and after it.

    Example:

      mauntic dlq show 17
    """
    with open_records(remote=remote) as db:
        found = ledger_queries.dead_letter(db, letter)
    if found is None:
        raise OperatorError(f"No dead letter {letter} found.")
    if as_json:
        print_json(found)
    else:
        print_table(f"dead letter {letter}", [{"what": k, "is": v} for k, v in found.items()])


@app.command()
def redrive(
    ids: Ids = None,
    queue: Queue = None,
    job_type: Type = None,
    reason: Reason = None,
    older: Older = None,
    newer: Newer = None,
    everything: All = False,
    rate: Annotated[
        float, typer.Option(min=0.1, help="Maximum number of messages per second.")
    ] = 50,
    note: Note = None,
    by: By = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """Send dead letters back to their queues. A dead letter is redriven once.

    Examples:

      mauntic redrive 17 18

      mauntic redrive --type analytics.aggregate-hourly --newer 1d --dry-run

      mauntic redrive --queue mauntic-scoring-events --rate 5 --note "contacts are back"
    """
    filters = filter_from_options(ids, queue, job_type, reason, _span(older), _span(newer))
    with open_records(remote=remote) as db:
        letters = select(db, filters, everything)
        if dry_run or not letters:
            return _print(as_json, _would(dry_run, "redriven"), filters, letters, "redriven", 0)
        _ask("redrive", filters, letters, yes)
        done = _send_back(db, letters, rate, who(by), note, as_json, remote)
    passed_over = len(letters) - done
    _print(as_json, "redriven", filters, letters, "redriven", done, passed_over)


def _send_back(
    db: Database,
    letters: list[Row],
    rate: float,
    by: str,
    note: str | None,
    as_json: bool,
    remote: bool,
) -> int:
    """Return how many were sent. If interrupted, print the progress before raising."""
    sent: list[int] = []
    try:
        with open_system(remote=remote) as system, progress() as bar:
            task = bar.add_task("redriving", total=len(letters))
            for ids in redrive_letters(
                db, system, letters, rate=rate, by=by, note=note, sleep=time.sleep,
                advance=lambda count: bar.advance(task, count),
            ):  # fmt: skip
                sent += ids
    except BaseException as error:
        is_interrupted = isinstance(error, KeyboardInterrupt)
        if sent or is_interrupted:
            _print_progress(as_json, letters, sent)
        if is_interrupted:
            interrupted("run the same command to continue")
        has_ended = isinstance(error, SystemEnded) or not (remote or running_dev())
        if has_ended and sent:
            remark(_possibly_lost(sent))
        raise
    return len(sent)


def _print_progress(as_json: bool, letters: list[Row], sent: list[int]) -> None:
    left = len(letters) - len(sent)
    if as_json:
        numbers = [letter["id"] for letter in letters]
        print_json({"chosen": numbers, "redriven": len(sent), "left": left})
    else:
        say(f"{len(sent):,} redriven, {left:,} left")


def _possibly_lost(sent: list[int]) -> str:
    """Return a notice about the newest messages sent: earlier ones are probably processed."""
    more = f"… {len(sent) - SHOWN_MAX:,} more and " if len(sent) > SHOWN_MAX else ""
    numbers = ", ".join(map(str, sent[-SHOWN_MAX:]))
    again = f"`mauntic dlq show {sent[-1]} --json | jq -c .body | mauntic enqueue QUEUE -`"
    return (
        f"`mauntic dev` has ended, and the messages in its queues are lost. They may include the"
        f" newest of those sent ({more}{numbers}), whose dead letters count as redriven. When it"
        f" runs again, {again} sends one again; the same command continues with the others."
    )


@app.command()
def discard(
    ids: Ids = None,
    queue: Queue = None,
    job_type: Type = None,
    reason: Reason = None,
    older: Older = None,
    newer: Newer = None,
    everything: All = False,
    note: Annotated[str, typer.Option(help="Reason for discarding them.")] = "",
    by: By = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """Discard dead letters. They stay in the table with the operator's name and reason.

    Examples:

      mauntic dlq discard 17 --note "a test message"

      mauntic dlq discard --reason unknown_type --older 30d --note "retired types"
    """
    if not (note or dry_run):
        raise typer.BadParameter("--note is missing: give the reason for discarding them.")
    filters = filter_from_options(ids, queue, job_type, reason, _span(older), _span(newer))
    with open_records(remote=remote) as db:
        letters = select(db, filters, everything)
        if dry_run or not letters:
            return _print(as_json, _would(dry_run, "discarded"), filters, letters, "discarded", 0)
        _ask("discard", filters, letters, yes)
        numbers = [letter["id"] for letter in letters]
        gone = ledger_queries.discard_dead_letters(
            db, numbers, by=who(by), note=note, now=datetime.now(UTC)
        )
    passed_over = len(letters) - len(gone)
    _print(as_json, "discarded", filters, letters, "discarded", len(gone), passed_over)


def _span(text: str | None) -> timedelta | None:
    return span(text) if text else None


def _ask(action: str, filters: DeadLetterFilter, letters: list[Row], yes: bool) -> None:
    """Ask for confirmation, unless the dead letters were named by id."""
    if filters.ids:
        return
    groups = Counter((row["queue"], row["job_type"], row["reason"]) for row in letters)
    for (queue, job_type, reason), count in groups.most_common():
        remark(f"{count:>7,}  {queue}  {job_type or '-'}  {reason}")
    confirm(f"{action} {count_of(len(letters), 'dead letter')}?", yes=yes)


def _would(dry_run: bool, done: str) -> str:
    return f"would be {done}" if dry_run else done


def _print(
    as_json: bool,
    title: str,
    filters: DeadLetterFilter,
    letters: list[Row],
    action: str,
    done: int,
    passed_over: int = 0,
) -> None:
    if as_json:
        numbers = [letter["id"] for letter in letters]
        print_json({"chosen": numbers, action: done, "passed_over": passed_over})
        return
    rows = [{name: letter[name] for name in CHOSEN} for letter in letters[:SHOWN_MAX]]
    print_table(title, rows, empty=_empty_text(filters))
    if len(letters) > SHOWN_MAX:
        say(f"… and {len(letters) - SHOWN_MAX:,} more")
    say(f"{done:,} {action}")
    if passed_over:
        minutes = ledger_queries.CLAIM // timedelta(minutes=1)
        say(
            f"{passed_over:,} skipped: no longer dead, or claimed by a redrive within the last"
            f" {minutes} minutes"
        )


def _empty_text(filters: DeadLetterFilter) -> str:
    if not filters.ids:
        return "no dead letter matches"
    is_filtered = replace(filters, ids=None).narrows
    return f"none of these is dead{' and matches the filters' if is_filtered else ''}"


def _brief(letters: list[Row]) -> Rows:
    """Select the columns; include the audit columns if any dead letter has them."""
    is_decided = any(letter["changed_at"] for letter in letters)
    names = (*LISTED, *AUDIT) if is_decided else LISTED
    return [{name: letter[name] for name in names} for letter in letters]
