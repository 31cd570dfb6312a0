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
    """How many events an organisation has in a window."""

    organization_id: UUID
    count: int


def plan(sizes: Sequence[Size]) -> tuple[dict[str, Any], ...]:
    """The shards that hold about SHARD_EVENTS_TARGET events each, none where one run can do it all.

    `sizes` are in order of organisation. The first shard is open below and the last above, so that
    an organisation that appears only now has its shard as well. One organisation is never cut.
    """
    total = sum(size.count for size in sizes)
    if total <= SHARD_EVENTS_TARGET:
        return ()
    cuts = _cuts(sizes, SHARD_EVENTS_TARGET)
    if len(cuts) >= SHARDS_MAX:  # two neighbours hold more than the target: hence the 2
        cuts = _cuts(sizes, -(-2 * total // SHARDS_MAX))
    edges = [None, *cuts, None]
    shards = [
        {
            "index": index + 1,
            "of": len(cuts) + 1,
            "firstOrganization": first,
            "untilOrganization": until,
        }
        for index, (first, until) in enumerate(pairwise(edges))
    ]
    return tuple(shards) if cuts else ()


def _cuts(sizes: Iterable[Size], target: int) -> list[UUID]:
    """The organisations that begin a new shard because the last one would pass the target."""
    cuts, filled = [], 0
    for size in sizes:
        if filled and filled + size.count > target:
            cuts.append(size.organization_id)
            filled = 0
        filled += size.count
    return cuts


def bounds(shard: Shard | None) -> dict[str, UUID | None]:
    """The first and the last organisation of a shard, both within it, as the statements take them;
    None where it is open.

    >>> bounds(None)
    {'first_organization': None, 'last_organization': None}
    """
    until = shard.until_organization if shard else None
    return {
        "first_organization": shard.first_organization if shard else None,
        "last_organization": UUID(int=until.int - 1) if until else None,
    }
