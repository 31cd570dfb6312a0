"""How the work of an hour is cut: by day, and a large day by organization and type. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from shared.ledger import shard_plan
from shared.ledger.shard_plan import Box, Size
from shared.messages import Shard

ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class DaySize:
    """How many events the work has on a day, of one type of an organization."""

    day: date
    organization_id: UUID
    part: str
    count: int


def plan(sizes: Sequence[DaySize]) -> tuple[dict[str, Any], ...]:
    """Shards of about SHARD_EVENTS_TARGET events each; none where one run can do it all.

    `sizes` are in the order of day, organization and part. Small days that follow each other share
    a shard. The first is open below and the last above. A part of a day is not cut here.
    """
    target = shard_plan.SHARD_EVENTS_TARGET
    if sum(size.count for size in sizes) <= target:
        return ()
    while len(boxes := _boxes(sizes, target)) > shard_plan.SHARDS_MAX:
        target *= 2
    return shard_plan.numbered(boxes) if len(boxes) > 1 else ()


def moments(shard: Shard | None) -> dict[str, datetime | str]:
    """Where the days of a shard begin and end, as the statements take it."""
    first, until = (shard.first_day, shard.until_day) if shard else (None, None)
    return {
        "first_moment": midnight(first) if first else "-infinity",
        "until_moment": midnight(until) if until else "infinity",
    }


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _boxes(sizes: Sequence[DaySize], target: int) -> list[Box]:
    """Runs of whole days, and the boxes of each day that is cut: it has more than `target`."""
    boxes: list[Box] = []
    first: date | None = None
    filled = 0
    for day, of_day in _by_day(sizes):
        count = sum(size.count for size in of_day)
        if filled and filled + count > target:
            boxes.append(_days(first, day))
            first, filled = day, 0
        filled += count
        if count > target:
            days = _days(first, day + ONE_DAY)
            boxes += [days | box for box in shard_plan.part_boxes(of_day, target)]
            first, filled = day + ONE_DAY, 0
    if filled or not boxes:
        return [*boxes, _days(first, None)]
    return [_open_end(box) if box["untilDay"] == first else box for box in boxes]


def _open_end(box: Box) -> Box:
    return {name: edge for name, edge in box.items() if name != "untilDay"}


def _by_day(sizes: Sequence[DaySize]) -> list[tuple[date, list[Size]]]:
    return [
        (day, [Size(one.organization_id, one.count, one.part) for one in group])
        for day, group in groupby(sizes, lambda size: size.day)
    ]


def _days(first: date | None, until: date | None) -> Box:
    """A bound that is not there is open."""
    edges = {"firstDay": first, "untilDay": until}
    return {name: edge for name, edge in edges.items() if edge is not None}
