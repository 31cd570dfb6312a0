"""`mauntic queues`: send to a queue, follow it, see its state, hold it back."""

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
from mauntic.operations.worker_catalog import find_worker, known_queue, queue_names
from shared.errors import DatabaseError, DatabaseUnreachable

app = typer.Typer(
    no_args_is_help=True,
    help="""Send to a queue, follow it, see its state, pause it.

    Examples:

      mauntic queues status

      mauntic queues tail mauntic-scoring-events

      mauntic queues pause mauntic-scoring-events
    """,
)

QueueName = Annotated[str, typer.Argument(metavar="QUEUE", help="The queue's name.")]
PROGRESS_FROM = 1_000


@app.command()
def enqueue(
    queue: QueueName,
    message: Annotated[
        str, typer.Argument(metavar="JSON|-", help="One message, or - for one a line of input.")
    ],
    delay: Annotated[
        int, typer.Option(min=0, max=86_400, metavar="SECONDS", help="Deliver so much later.")
    ] = 0,
    raw: Annotated[
        bool, typer.Option("--raw", help="Any JSON, without checking that it is a message.")
    ] = False,
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """Send messages, checked before as the worker will check them.

    One wrong message, and none is sent: each wrong field is named. The answer names the window that
    each message means: with `scheduledFor` the one that ends then, else the last that is over.

    Examples:

      mauntic enqueue mauntic-analytics-jobs '{"type": "analytics.aggregate-hourly"}'

      mauntic enqueue mauntic-scoring-events - --delay 60 < messages.jsonl
    """
    worker = find_worker(queue) if not raw else None
    if raw:
        known_queue(queue)
    now = datetime.now(UTC)
    bodies = bodies_of(_texts(message), worker, now + timedelta(seconds=delay))
    meanings = [meaning_of(body, worker, now) for body in bodies] if worker else []
    for sentence in ignored_fields(meanings):
        warn(sentence)
    with open_system(remote=remote) as system, progress() as bar:
        task = bar.add_task("sending", total=len(bodies), visible=len(bodies) >= PROGRESS_FROM)
        system.send(queue, bodies, delay, lambda count: bar.advance(task, count))
    _tell_sent(as_json, queue, len(bodies), meanings)


@app.command()
def tail(
    queue: QueueName,
    limit: Annotated[
        int, typer.Option(min=0, help="End after so many messages; 0 follows until Ctrl-C.")
    ] = 0,
    as_json: AsJson = False,
    remote: Remote = False,
) -> None:
    """Follow a queue's messages as they are answered: ack, retry, exception or dead.

    A message that dies is acked, because its letter has been written; that it died is said, with
    its reason, as soon as the letter is taken from the dead-letter queue.

    Examples:

      mauntic tail mauntic-analytics-jobs

      mauntic tail mauntic-analytics-jobs --json | jq 'select(.answer == "dead")'
    """
    worker = find_worker(known_queue(queue).removesuffix(DEAD_LETTERS))
    if remote:
        raise OperatorError(
            "The vendor offers no tail of a queue: follow its worker with "
            f"`wrangler tail {worker.name}`, which prints a `queue.metric` line a message."
        )
    with open_control() as control, answers_of(control, queue) as answers:
        errors.print(f"following {queue}; Ctrl-C ends it", style="dim", highlight=False)
        for number, answer in enumerate(answers, 1):
            _show_answer(answer, as_json)
            if number == limit:
                break


@app.command()
def status(as_json: AsJson = False, remote: Remote = False) -> None:
    """Each queue's backlog, oldest message, consumers, pause, and dead letters that wait.

    Backlog counts what is not acked, so delayed messages and those being handled too. Dead letters
    are rows that wait for `mauntic dlq`; those that are not archived yet are the backlog of the
    queue's -dlq.

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
    """Hold back a queue's messages; those that are being handled are finished.

    Example:

      mauntic queues pause mauntic-analytics-jobs
    """
    _set_paused(queue, True, as_json, remote)


@app.command()
def resume(queue: QueueName, as_json: AsJson = False, remote: Remote = False) -> None:
    """Deliver a paused queue's messages again.

    Example:

      mauntic queues resume mauntic-analytics-jobs
    """
    _set_paused(queue, False, as_json, remote)


def _tell_sent(as_json: bool, queue: str, sent: int, meanings: list[Meaning]) -> None:
    """Say what was sent, and which window each job runs because of it."""
    counted = Counter((one.job.type, one.window) for one in meanings if one.window)
    if as_json:
        windows = [
            {"type": kind, "window": str(window), "messages": count}
            for (kind, window), count in counted.items()
        ]
        print_json({"queue": queue, "sent": sent, "windows": windows})
        return
    lines = [f"{kind} {window}" for kind, window in counted]
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
    """By queue; None, with a warning, where the database cannot be asked."""
    try:
        with open_records(remote=remote) as db:
            return ledger_queries.dead_letter_counts(db)
    except (DatabaseError, DatabaseUnreachable, DatabaseUnavailable, OperatorError) as error:
        warn(f"no dead letters counted: {error}")
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
    known_queue(queue)
    with open_system(remote=remote) as system:
        system.set_paused(queue, paused)
    _tell(
        as_json, {"queue": queue, "paused": paused}, f"{queue} {'paused' if paused else 'resumed'}"
    )


def _tell(as_json: bool, value: dict[str, Any], sentence: str) -> None:
    if as_json:
        print_json(value)
    else:
        say(sentence)
