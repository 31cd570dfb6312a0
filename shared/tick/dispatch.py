"""A tick: find due and missing windows, and send a message for each. A fixed number of statements.

Every tick examines all jobs of its worker, so the next tick of any job enqueues what one tick
missed. The ledger decides: of two concurrent ticks, one enqueues a window.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime
from typing import Any

from shared.errors import DatabaseError, DatabaseUnreachable, QueueUnavailable, error_class
from shared.jobs import Worker
from shared.ports import Ports
from shared.settings import Gate
from shared.telemetry import heartbeat, notify
from shared.telemetry.redaction import describe_error
from shared.tick import overdue, retention
from shared.tick.backlog import backlog_of, producer_of
from shared.tick.claims import claim, release
from shared.tick.due import Due, is_first_of_hour, looked_at, own_windows


class TickFailed(Exception):
    """A tick ended with an error that would also have ended the isolate."""


async def dispatch(worker: Worker, cron: str, tick: datetime, ports: Ports) -> int:
    """Enqueue the windows due at `tick`, the planned time of `cron`. Return the number of messages.

    A tick that fails reports to the external monitor and raises: the platform logs it.
    """
    try:
        if not _gate_is_open(worker, cron, ports):
            return 0
        count, ok = await _enqueue_due(worker, cron, tick, ports)
        await heartbeat.beat(ports, ok=ok)
        return count
    except (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        await notify.send("dispatch.failed", ports, **_wrong(error, worker, cron, tick))
        await heartbeat.beat(ports, ok=False)
        if isinstance(error, SystemExit):
            raise TickFailed("something in a tick raised SystemExit") from error
        raise
    finally:
        ports.db.close()


async def _enqueue_due(worker: Worker, cron: str, tick: datetime, ports: Ports) -> tuple[int, bool]:
    """Return the number of messages, and whether the ledger was available."""
    try:
        jobs = looked_at(worker, cron, tick, ports.db)
        if not jobs:
            return 0, True
        claimed = claim(jobs, tick, await backlog_of(jobs, worker, ports), ports)
    except (DatabaseError, DatabaseUnreachable) as error:
        count = await _enqueue(own_windows(worker, cron, tick), worker, cron, tick, ports)
        await notify.send("dispatch.ledger_unavailable", ports, **_wrong(error, worker, cron, tick))
        return count, False
    try:
        count = await _enqueue(claimed.due, worker, cron, tick, ports)
    except QueueUnavailable:
        with suppress(
            DatabaseError, DatabaseUnreachable
        ):  # without it the rows wait for their interval
            release(claimed, ports)
        raise
    finally:  # they are marked as reported: no later tick would report them
        await overdue.report(claimed, tick, ports)
    if claimed.is_first_of_hour:
        retention.prune(worker.jobs, tick, ports)
    return count, True


async def _enqueue(due: list[Due], worker: Worker, cron: str, tick: datetime, ports: Ports) -> int:
    for queue in worker.queues:
        bodies = [item.body() for item in due if worker.queue_of(item.job) is queue]
        if bodies:
            await producer_of(queue, worker, ports).send(bodies)
    ports.log(
        "dispatch.sent",
        worker=worker.name,
        cron=cron,
        scheduled_for=tick.isoformat(),
        count=len(due),
    )
    return len(due)


def _gate_is_open(worker: Worker, cron: str, ports: Ports) -> bool:
    gate = ports.settings.gate(worker.gate)
    if gate is Gate.HELD:
        ports.log("dispatch.held", gate=worker.gate, cron=cron)
    if gate is Gate.WRONG:
        ports.log(
            "dispatch.invalid_gate",
            level="error",
            gate=worker.gate,
            error="it must be true, false or absent",
        )
    return gate is Gate.OPEN


def _wrong(error: BaseException, worker: Worker, cron: str, tick: datetime) -> dict[str, Any]:
    """Report a problem of a tick. Each tick logs it, and one an hour posts it: without the ledger
    earlier posts are unknown, but a tick knows whether it is the first of its hour.
    """
    return {
        "post": is_first_of_hour(worker, cron, tick),
        "worker": worker.name,
        "cron": cron,
        "scheduled_for": tick.isoformat(),
        "error_class": error_class(error),
        "error": describe_error(error),
    }
