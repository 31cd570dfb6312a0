"""What follows from events later: their late messages, repeated bounces, and rates of a day."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial

from delivery.store import feedback, reputation
from shared.ports import Ports
from shared.telemetry import notify
from shared.windows import Window

ROWS_MAX = 1_000  # of one transaction
# A message's verdict is written within minutes; look-ups of an uncertain one last two days.
YOUNG = timedelta(hours=1)
PERIOD = timedelta(hours=1)  # of one statement


async def sweep(window: Window, ports: Ports) -> int:
    """Return how many rows changed."""
    changed = _match(window, ports)
    changed += _until_few(
        lambda: reputation.suppress_soft_bounced(ports.db, ROWS_MAX, ports.clock())
    )
    paused = reputation.pause_marketing(ports.db, ports.clock())
    for own in paused:
        await notify.send(
            "delivery.marketing_paused",
            ports,
            organization_id=str(own.organization_id),
            reason=own.reason,
            count=own.count,
        )
    return changed + len(paused)


def _match(window: Window, ports: Ports) -> int:
    """Apply events whose message is known by now: the young ones each time, all once an hour."""
    is_first_of_hour = window.end.minute < 5
    matched = sum(
        _until_few(partial(feedback.apply_waiting, ports.db, *period, ROWS_MAX, ports.clock()))
        for period in _periods(feedback.UNMATCHED_FOR if is_first_of_hour else YOUNG, ports.clock())
    )
    expired = _until_few(lambda: feedback.expire_waiting(ports.db, ROWS_MAX, ports.clock()))
    if matched:
        ports.log("feedback.matched", count=matched)
    if expired:
        ports.log("feedback.expired", count=expired)
    return matched + expired


def _periods(length: timedelta, now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Divide the time until now, the newest first: what waits for seven days can be millions of
    events of other senders in the same account, more than one statement has the time for.
    """
    for age in range(int(length / PERIOD)):
        yield now - PERIOD * (age + 1), now - PERIOD * age


def _until_few(step: Callable[[], int]) -> int:
    """Repeat a step until it finds less than a full chunk."""
    total = 0
    while True:
        touched = step()
        total += touched
        if touched < ROWS_MAX:
            return total
