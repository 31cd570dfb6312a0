"""Every five minutes: what has happened, what is over, what is due, and what is to be built."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Literal

from journeys.segments.prepare import messages_of_builds, prepare_segments
from journeys.sending import send, send_started, send_triggers
from journeys.store import entering, triggers, waking
from shared import Done, Ports, Run, Schedule, WindowJob, WindowMessage, five_minutes_before

ROWS_MAX = 10_000
EVENTS_MAX = 1_000  # an event may enter its contact into several journeys
PAGES_MAX = 10


class WakeDue(WindowMessage):
    type: Literal["journey.wake-due"] = "journey.wake-due"


async def wake_due(run: Run) -> Done:
    """Wake due executions, enter contacts by events, end what is archived, and begin builds.

    SQL: `wake.sql` (`fold_events`, `cancel_executions`, `choose_due`), `enter.sql`
    (`enter_by_events`), `builds.sql` (`prepare`, `due_builds`). Each step commits for itself, and
    can be repeated.
    """
    written = 0
    for step in STEPS:
        for _ in range(PAGES_MAX):
            count, most = await step(run.ports)
            written += count
            if count < most:
                break
    return Done(written, written)


async def fold(ports: Ports) -> tuple[int, int]:
    """Take the changes of the feed."""
    return waking.fold_events(ports.db, ROWS_MAX, ports.clock()), ROWS_MAX


async def apply_events(ports: Ports) -> tuple[int, int]:
    """Enter contacts by events, and wake the executions that wait for them."""
    db, now = ports.db, ports.clock()
    with db.transaction():
        events = waking.take_events(db, EVENTS_MAX)
        if not events:
            return 0, EVENTS_MAX
        waking.wake_waiting(db, events, now)
        entered = entering.enter_by_events(db, events, now)
        waking.drop_events(db, events)
    await send_started(entered.started, ports)
    return len(events), EVENTS_MAX


async def cancel(ports: Ports) -> tuple[int, int]:
    """End the executions of archived and deleted journeys."""
    return waking.cancel_executions(ports.db, ROWS_MAX, ports.clock()), ROWS_MAX


async def wake(ports: Ports) -> tuple[int, int]:
    """Send the messages of executions that are due soon, and of those whose message was lost."""
    due = waking.choose_due(ports.db, ROWS_MAX, ports.clock())
    await send(due, ports)
    return len(due), ROWS_MAX


async def ask_again(ports: Ports) -> tuple[int, int]:
    """Send the messages of triggers that were lost."""
    await send_triggers(triggers.overdue(ports.db, ports.clock()), ports)
    return 0, 1


async def build(ports: Ports) -> tuple[int, int]:
    """Prepare segments with new criteria, and send the messages that build them."""
    prepared = prepare_segments(ports)
    messages = messages_of_builds(ports)
    if messages:
        await ports.queue.send(messages)
    return prepared, prepared + 1


# In this order: what an event wakes is due at once, and what is over is not sent.
STEPS: tuple[Callable[[Ports], Awaitable[tuple[int, int]]], ...] = (
    fold,
    apply_events,
    cancel,
    wake,
    ask_again,
    build,
)

JOB = WindowJob(
    message=WakeDue,
    handler=wake_due,
    schedule=Schedule("*/5 * * * *", five_minutes_before, grace=timedelta(minutes=30), catch_up=1),
    transaction=False,
    keep_runs=timedelta(days=30),
)
