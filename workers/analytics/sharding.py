"""When a window is too much for one message, and where to cut it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from uuid import UUID

from shared.messages import Shard

# What one run reads at most, if it can be cut: some 5 s of work, at 3 to 6 µs an event.
SHARD_EVENTS_TARGET = 1_000_000
# A window is not cut finer than this: the shards grow instead.
SHARDS_MAX = 64


@dataclass(frozen=True)
class Size:
    """How many events an organisation has in a window, or a part of it where it has too many."""

    organization_id: UUID
    count: int
    part: str = ""


def plan(sizes: Sequence[Size]) -> tuple[dict[str, Any], ...]:
    """The shards that hold about SHARD_EVENTS_TARGET events each, none where one run can do it all.

    `sizes` are in order of organisation and part. The first shard is open below and the last above,
    so that an organisation that appears only now has its shard as well. A part is never cut.
    """
    total = sum(size.count for size in sizes)
    if total <= SHARD_EVENTS_TARGET:
        return ()
    cuts = _cuts(sizes, SHARD_EVENTS_TARGET)
    if len(cuts) >= SHARDS_MAX:  # two neighbours hold more than the target: hence the 2
        cuts = _cuts(sizes, -(-2 * total // SHARDS_MAX))
    edges = [None, *cuts, None]
    shards = [
        {"index": index, "of": len(cuts) + 1, **_edge("first", first), **_edge("until", until)}
        for index, (first, until) in enumerate(pairwise(edges), 1)
    ]
    return tuple(shards) if cuts else ()


def _cuts(sizes: Iterable[Size], target: int) -> list[Size]:
    """Those that begin a new shard because the last one would pass the target."""
    cuts, filled = [], 0
    for size in sizes:
        if filled and filled + size.count > target:
            cuts.append(size)
            filled = 0
        filled += size.count
    return cuts


def _edge(side: str, size: Size | None) -> dict[str, Any]:
    """Where a shard begins or ends; nothing where it is open."""
    if size is None:
        return {}
    part = {f"{side}Part": size.part} if size.part else {}
    return {f"{side}Organization": size.organization_id} | part


def bounds(shard: Shard | None) -> dict[str, Any]:
    """Where a shard begins, and where it has ended, as the statements take it.

    >>> bounds(None)["first_organization"] is bounds(None)["until_organization"] is None
    True
    """
    whole = shard or Shard(index=1, of=1)
    return {
        "first_organization": whole.first_organization,
        "first_part": whole.first_part or "",
        "until_organization": whole.until_organization,
        "until_part": whole.until_part or "",
    }
