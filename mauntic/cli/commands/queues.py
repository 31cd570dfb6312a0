"""`mauntic queues`: send to a queue, follow it, show its state, pause it."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from mauntic.cli.ui.options import AsJson, Remote
from mauntic.cli.ui.output import (
    console,
    errors,
    print_json,
    print_json_line,
    print_table,
    progress,
    say,
    warn,
)
from mauntic.database.url import DatabaseUnavailable
from mauntic.errors import OperatorError
from mauntic.operations import ledger_queries
from mauntic.operations.connection import open_control
from mauntic.operations.message_input import SHOWN_MAX, bodies_of
from mauntic.operations.message_meaning import Meaning, ignored_fields, meaning_of
from mauntic.operations.queue_tail import DEAD_LETTERS, answers_of
from mauntic.operations.system import QueueState
from mauntic.operations.systems import open_records, open_system
from mauntic.operations.worker_catalog import find_intake, queue_names, require_queue
from shared.errors import DatabaseError, DatabaseUnreachable

app = typer.Typer(
    no_args_is_help=True,
    help="""Send to a queue, follow it, show its state, pause it.

    Examples:

      mauntic queues status

      mauntic queues tail mauntic-scoring-events

      mauntic queues pause mauntic-scoring-events
    """,
)

QueueName = Annotated[str, typer.Argument(metavar="QUEUE", help="Name of the queue.")]
PROGRESS_FROM = 1_000


@app.command()
def enqueue(
    queue: QueueName,
    message: Annotated[
        str,
        typer.Argument(metavar="JSON|-", help="One message, or - to read one per line of input."),
    ],
    delay: Annotated[
        int, typer.Option(min=0, max=86_400, metavar="SECONDS", help="Delay of the delivery.")
    ] = 0,
    raw: Annotated[bool, typer.Option("--raw", help="Send any JSON, without validation.")] = False,
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """Send messages after validating them as the worker will.

    If a message is invalid, nothing is sent and each invalid field is named. The output names the
    window of each message: the one that ends at `scheduledFor`, or the last one that has ended.

    Examples:

      mauntic enqueue mauntic-analytics-jobs '{"type": "analytics.aggregate-hourly"}'

      mauntic enqueue mauntic-scoring-events - --delay 60 < messages.jsonl
    """
    intake = find_intake(queue) if not raw else None
    if raw:
        require_queue(queue)
    now = datetime.now(UTC)
    bodies = bodies_of(_texts(message), intake, now + timedelta(seconds=delay))
    meanings = [meaning_of(body, intake, now) for body in bodies] if intake else []
    for sentence in ignored_fields(meanings):
        warn(sentence)
    with open_system(remote=remote) as system, progress() as bar:
        task = bar.add_task("sending", total=len(bodies), visible=len(bodies) >= PROGRESS_FROM)
        system.send(queue, bodies, delay, lambda count: bar.advance(task, count))
    _print_sent(as_json, queue, len(bodies), meanings)


@app.command()
def tail(
    queue: QueueName,
    limit: Annotated[
        int, typer.Option(min=0, help="Stop after this many messages; 0 follows until Ctrl-C.")
    ] = 0,
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """Follow a queue's messages as they are answered: ack, retry, exception or dead.

    A message that dies is acked, because its dead letter has been written. Its death and reason
    are shown when the dead letter leaves the dead-letter queue.

    Examples:

      mauntic tail mauntic-analytics-jobs

      mauntic tail mauntic-analytics-jobs --json | jq 'select(.answer == "dead")'
    """
    worker = find_intake(require_queue(queue).removesuffix(DEAD_LETTERS)).worker
    if remote:
        raise OperatorError(
            "The vendor cannot follow a queue: follow its worker with "
            f"`wrangler tail {worker.name}`, which prints one `queue.metric` line per message."
        )
    with open_control() as control, answers_of(control, queue) as answers:
        errors.print(f"following {queue}; Ctrl-C ends it", style="dim", highlight=False)
        for number, answer in enumerate(answers, 1):
            _show_answer(answer, as_json)
            if number == limit:
                break


@app.command()
def status(as_json: AsJson = False, remote: Remote = False) -> None:
    """Show each queue's backlog, oldest message, consumers, pause and dead letters.

    The backlog counts everything not acked, including delayed messages and messages in progress.
    Dead letters are rows that wait for `mauntic dlq`; those not archived yet are in the backlog of
    the -dlq queue.

    Examples:

      mauntic queues status

      mauntic queues status --remote --json
    """
    with open_system(remote=remote) as system:
        states = {state.queue: state for state in system.queue_states(queue_names())}
    waiting = _dead_letters_waiting(remote)
    rows = [_row(name, states.get(name), waiting) for name in queue_names()]
    if as_json:
        print_json(rows)
    else:
        print_table("queues", rows)


@app.command()
def pause(queue: QueueName, as_json: AsJson = False, remote: Remote = False) -> None:
    """Pause a queue's delivery; messages in progress are finished.

    Example:

      mauntic queues pause mauntic-analytics-jobs
    """
    _set_paused(queue, True, as_json, remote)


@app.command()
def resume(queue: QueueName, as_json: AsJson = False, remote: Remote = False) -> None:
    """Resume a paused queue's delivery.

    Example:

      mauntic queues resume mauntic-analytics-jobs
    """
    _set_paused(queue, False, as_json, remote)


def _print_sent(as_json: bool, queue: str, sent: int, meanings: list[Meaning]) -> None:
    """Print how many messages were sent and which windows they run."""
    counted = Counter((meaning.job.type, meaning.window) for meaning in meanings if meaning.window)
    if as_json:
        windows = [
            {"type": job_type, "window": str(window), "messages": count}
            for (job_type, window), count in counted.items()
        ]
        print_json({"queue": queue, "sent": sent, "windows": windows})
        return
    lines = [f"{job_type} {window}" for job_type, window in counted]
    say(f"{sent} sent to {queue}" + (f": {lines[0]}" if len(lines) == 1 else ""))
    if len(lines) > 1:
        for line in lines[:SHOWN_MAX]:
            say(line)
    if len(lines) > SHOWN_MAX:
        say(f"… and {len(lines) - SHOWN_MAX:,} more")


def _texts(message: str) -> Iterator[tuple[str, str]]:
    if message != "-":
        yield "message", message
        return
    for number, line in enumerate(sys.stdin, 1):
        if line.strip():
            yield f"line {number}", line


def _show_answer(answer: dict[str, Any], as_json: bool) -> None:
    at = datetime.fromtimestamp(answer["at"] / 1_000, UTC)
    if as_json:
        print_json_line({**answer, "at": at})
        return
    delay = answer.get("delaySeconds")
    ending = answer["answer"] if delay is None else f"{answer['answer']} in {delay} s"
    style = "green" if ending == "ack" else "yellow" if ending.startswith("retry") else "bold red"
    console.print(f"{at:%H:%M:%S}", style="dim", end=" ")
    console.print(f"{ending:<14}", style=style, end=" ")
    body = json.dumps(answer.get("body"), ensure_ascii=False)
    why = f"  {answer['reason']}: {answer['error']}" if ending == "dead" else ""
    line = f"attempt {answer['attempts']}  {body}{why}"
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def _dead_letters_waiting(remote: bool) -> dict[str, int] | None:
    """Count dead letters by queue; None, with a warning, if the database is unavailable."""
    try:
        with open_records(remote=remote) as db:
            return ledger_queries.dead_letter_counts(db)
    except (DatabaseError, DatabaseUnreachable, DatabaseUnavailable, OperatorError) as error:
        warn(f"dead letters could not be counted: {error}")
        return None


def _row(name: str, state: QueueState | None, waiting: dict[str, int] | None) -> dict[str, Any]:
    row = asdict(state or QueueState(name, None, None, None, None, [], None))
    is_dead_letter_queue = name.endswith("-dlq")
    counted = waiting is not None and not is_dead_letter_queue
    return {
        **row,
        "exists": state is not None,
        "dead_letters": waiting.get(name, 0) if waiting is not None and counted else None,
    }


def _set_paused(queue: str, paused: bool, as_json: bool, remote: bool) -> None:
    require_queue(queue)
    with open_system(remote=remote) as system:
        system.set_paused(queue, paused)
    _print(
        as_json, {"queue": queue, "paused": paused}, f"{queue} {'paused' if paused else 'resumed'}"
    )


def _print(as_json: bool, value: dict[str, Any], sentence: str) -> None:
    if as_json:
        print_json(value)
    else:
        say(sentence)
