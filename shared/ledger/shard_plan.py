"""When a window is too much for one message, and where to cut it. Pure.

A shard is a range of whole organizations, or it is within one: a range of its parts or of its
contacts. So each condition of its statements is a plain one, and the planner knows how many rows to
expect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any
from uuid import UUID

from shared.messages import Shard

# What one run reads at most, if it can be cut: some 5 s of work, at 3 to 6 µs an event.
SHARD_EVENTS_TARGET = 1_000_000
# A window is not cut finer than this: the shards grow instead. A billion events, at the target.
SHARDS_MAX = 1_000
LAST_UUID = UUID(int=2**128 - 1)

# A shard without its number.
Box = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """The number of events of an organization in a window, or of a part of it where it is cut."""

    organization_id: UUID
    count: int
    part: str = ""


# The boxes of one organization, from its sizes and the target.
CutOrganization = Callable[[Sequence[Size], int], list[Box]]


def plan(sizes: Sequence[Size]) -> tuple[dict[str, Any], ...]:
    """Shards of about SHARD_EVENTS_TARGET events each; none where one run can do it all.

    `sizes` are in the order of organization and part. The first shard is open below and the last
    above, so an organization that appears later has its shard as well. A part is not cut here.
    """
    if sum(size.count for size in sizes) <= SHARD_EVENTS_TARGET:
        return ()
    boxes = _boxes(sizes, _target(sizes, _part_boxes), _part_boxes)
    return numbered(boxes) if len(boxes) > 1 else ()


def contact_pieces(sizes: Sequence[Size]) -> dict[UUID, int]:
    """The organizations that are too large for a shard, and the number of pieces of each.

    `sizes` has one size an organization, in order.
    """
    target = _target(sizes, _counted_pieces)
    return {size.organization_id: _pieces(size, target) for size in sizes if size.count > target}


def plan_contacts(sizes: Sequence[Size], cuts: Mapping[UUID, Sequence[UUID]]) -> list[Box]:
    """The boxes of a span of time, where `cuts` has the first contact of each piece but the first.

    Each box of a cut organization carries `pieces`: how many boxes add up to its results.
    """

    def boxes_of(own: Sequence[Size], target: int) -> list[Box]:
        organization_id = own[0].organization_id
        return _contact_boxes(organization_id, cuts.get(organization_id, ()))

    return _boxes(sizes, _target(sizes, _counted_pieces), boxes_of)


def part_boxes(sizes: Sequence[Size], target: int) -> list[Box]:
    """The boxes of one span of time: an organization that is too large is cut between its parts."""
    return _boxes(sizes, target, _part_boxes)


def numbered(boxes: Sequence[Box]) -> tuple[dict[str, Any], ...]:
    """The boxes as shards of one split."""
    return tuple({"index": index, "of": len(boxes)} | box for index, box in enumerate(boxes, 1))


def bounds(shard: Shard | None) -> dict[str, Any]:
    """Where a shard of parts begins and ends, as the statements take it.

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


def contact_bounds(shard: Shard | None) -> dict[str, Any]:
    """Where a shard of contacts begins and ends, as the statements take it.

    A shard of a release that cut by parts takes the organizations of both its ends as a whole: the
    rows that it sets are right, though a neighbor sets some of them too.
    """
    whole = shard or Shard(index=1, of=1)
    until = whole.until_organization
    if until and whole.until_part and until != LAST_UUID:
        until = UUID(int=until.int + 1)
    return {
        "first_organization": whole.first_organization,
        "first_contact": whole.first_contact,
        "until_organization": until,
        "until_contact": whole.until_contact,
    }


def _pieces(size: Size, target: int) -> int:
    return -(-size.count // target)


def _counted_pieces(own: Sequence[Size], target: int) -> list[Box]:
    return [{} for _ in range(_pieces(own[0], target))]


def _target(sizes: Sequence[Size], cut: CutOrganization) -> int:
    """The smallest target that gives no more than SHARDS_MAX boxes."""
    target = SHARD_EVENTS_TARGET
    while len(_boxes(sizes, target, cut)) > SHARDS_MAX:
        target *= 2
    return target


def _boxes(sizes: Sequence[Size], target: int, cut: CutOrganization) -> list[Box]:
    """Runs of whole organizations, and the boxes of each that is cut: it has more than `target`.

    The runs adjoin around those, so an organization that nobody has counted is in one of them.
    """
    boxes: list[Box] = []
    first: UUID | None = None
    filled = 0
    for organization_id, own in _by_organization(sizes):
        count = sum(size.count for size in own)
        pieces = cut(own, target) if count > target else []
        if len(pieces) > 1:
            between = [] if first == organization_id else [_run(first, organization_id)]
            boxes += [*between, *pieces]
            if organization_id == LAST_UUID:
                return boxes
            first, filled = UUID(int=organization_id.int + 1), 0
            continue
        if filled and filled + count > target:
            boxes.append(_run(first, organization_id))
            first, filled = organization_id, 0
        filled += count
    return [*boxes, _run(first, None)]


def _by_organization(sizes: Iterable[Size]) -> Iterator[tuple[UUID, list[Size]]]:
    for organization_id, own in groupby(sizes, key=lambda size: size.organization_id):
        yield organization_id, list(own)


def _part_boxes(own: Sequence[Size], target: int) -> list[Box]:
    """The boxes of one organization: runs of its parts."""
    cuts, filled = [], 0
    for size in own:
        if filled and filled + size.count > target:
            cuts.append(size.part)
            filled = 0
        filled += size.count
    edges = [None, *cuts, None]
    alone = _run(own[0].organization_id, own[0].organization_id)
    return [alone | _edges("Part", *edge) for edge in pairwise(edges)]


def _contact_boxes(organization_id: UUID, cuts: Sequence[UUID]) -> list[Box]:
    """The boxes of one organization: ranges of its contacts."""
    edges = [None, *cuts, None]
    alone = _run(organization_id, organization_id) | {"pieces": len(cuts) + 1}
    return [alone | _edges("Contact", *edge) for edge in pairwise(edges)]


def _run(first: UUID | None, until: UUID | None) -> Box:
    """Organizations from `first` up to `until`, not including it; one where both are the same."""
    return _edges("Organization", first, until)


def _edges(kind: str, first: Any, until: Any) -> Box:
    """A bound that is not there is open."""
    edges = {f"first{kind}": first, f"until{kind}": until}
    return {name: edge for name, edge in edges.items() if edge is not None}
