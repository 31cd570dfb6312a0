"""The events of a batch of queue messages: apply them together, in a few statements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from delivery.store import feedback
from delivery.store.feedback import Reported
from shared.error_text import error_text
from shared.errors import error_class, is_retryable
from shared.outcome import Dead, Done, RetryIn
from shared.ports import Ports

EVENTS_MAX = 1_000  # of one transaction

Read = list[Reported] | Dead | RetryIn


def apply(read: Sequence[Read], ports: Ports) -> list[Done | Dead | RetryIn]:
    """Apply the events of each message; return how each message ends."""
    owned = [
        (place, feedback.record_of(own))
        for place, events in enumerate(read)
        if isinstance(events, list)
        for own in events
    ]
    counts, failed = _apply(owned, ports)
    return [
        failed.get(place) or _done(events, counts.get(place, 0))
        if isinstance(events, list)
        else events
        for place, events in enumerate(read)
    ]


def _done(events: Sequence[Reported], new: int) -> Done:
    organization_id = events[0].organization_id if events else None
    return Done(len(events), new, None if organization_id is None else str(organization_id))


Owned = tuple[int, dict[str, Any]]


def _apply(owned: Sequence[Owned], ports: Ports) -> tuple[dict[int, int], dict[int, Dead]]:
    """Return the number of new events, and the error, of each message. If a chunk is refused, its
    messages are tried one by one. Raises an error that is worth a retry.
    """
    counts: dict[int, int] = {}
    failed: dict[int, Dead] = {}
    for chunk in _chunks(owned):
        try:
            applied = feedback.apply(ports.db, [record for _, record in chunk], ports.clock())
        except Exception as error:
            if is_retryable(error):
                raise
            places = {place for place, _ in chunk}
            if len(places) == 1:
                failed[places.pop()] = Dead("failed", error_class(error), error_text(error))
                continue
            for place in sorted(places):
                alone = _apply([own for own in chunk if own[0] == place], ports)
                _add(counts, alone[0].items())
                failed |= alone[1]
            continue
        _add(counts, ((chunk[n][0], 1) for n in applied.new))
        if applied.unmatched:
            ports.log("feedback.unmatched", count=applied.unmatched)
    return counts, failed


def _chunks(owned: Sequence[Owned]) -> Iterator[Sequence[Owned]]:
    return (owned[start : start + EVENTS_MAX] for start in range(0, len(owned), EVENTS_MAX))


def _add(counts: dict[int, int], more: Iterable[tuple[int, int]]) -> None:
    for place, count in more:
        counts[place] = counts.get(place, 0) + count
