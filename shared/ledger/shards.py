"""The shard planner of all workers: which work is split, and at which bounds.

Pure. It receives the counted or sampled sizes of the work, and returns bounds. Bounds become the
shards of a window (`numbered`), or the parts of work without a window (`shared/ledger/parts.py`).

A shard is a range of whole organizations, or a range within one organization, of its parts or of
its contacts. Work on several days is first split by day. So every condition in a job's statements
is a plain comparison, and Postgres estimates its rows correctly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby, pairwise
from typing import Any
from uuid import UUID

from shared.messages import Shard

# The most events of one run if the work can be split: about 5 s of work.
SHARD_EVENTS_TARGET = 1_000_000
# The most shards of one window. Beyond this the shards grow: a billion events at the target.
SHARDS_MAX = 1_000
FIRST_UUID, LAST_UUID = UUID(int=0), UUID(int=2**128 - 1)
ONE_DAY = timedelta(days=1)

# The bounds of a shard, named as in its message. An absent bound is open.
Bounds = dict[str, Any]
# The order of contacts in tables: (organization, contact).
Key = tuple[UUID, UUID]


@dataclass(frozen=True)
class Size:
    """The number of rows of an organization: in total, of one of its parts, or of a part on a
    day.
    """

    organization_id: UUID
    count: int
    part: str = ""
    day: date | None = None


@dataclass(frozen=True)
class KeyRange:
    """The contacts from `first` up to, not including, `until`; None is the end of the table."""

    first: Key = (FIRST_UUID, FIRST_UUID)
    until: Key | None = None

    @classmethod
    def of(cls, shard: Shard | None) -> KeyRange:
        """Return the range of a shard; without a shard, every contact."""
        if shard is None:
            return cls()
        first = (shard.first_organization or FIRST_UUID, shard.first_contact or FIRST_UUID)
        organization_id, contact_id = shard.until_organization, shard.until_contact
        if organization_id is None:
            return cls(first)
        if contact_id is None and organization_id == shard.first_organization:
            return cls(first, _after(organization_id))
        return cls(first, (organization_id, contact_id or FIRST_UUID))

    def bounds(self) -> dict[str, UUID | None]:
        """Return the parameters of the statements."""
        until = self.until or (None, None)
        return {
            "first_organization": self.first[0],
            "first_contact": self.first[1],
            "until_organization": until[0],
            "until_contact": until[1],
        }


@dataclass(frozen=True)
class _Planned:
    """A shard without its number yet. With `is_piece` it has a part of one large organization."""

    bounds: Bounds
    count: int
    is_piece: bool = False


# Splits one organization: from its sizes and the target to the bounds of its pieces.
_CutOrganization = Callable[[Sequence[Size], int], list[Bounds]]


def plan_days(sizes: Sequence[Size]) -> list[Bounds]:
    """Plan shards of about SHARD_EVENTS_TARGET rows of work on one or several days.

    `sizes` are in the order of day, organization and part. Consecutive small days share a shard. A
    day above the target is split between its organizations, and a large organization between its
    parts; a part is never split. The first shard is open below and the last above, so later rows
    have a shard too. The list is empty if no split is needed.
    """
    target = SHARD_EVENTS_TARGET
    if sum(size.count for size in sizes) <= target:
        return []
    while len(planned := _plan_days(sizes, target)) > SHARDS_MAX:
        target *= 2
    return planned if len(planned) > 1 else []


def contact_pieces(sizes: Sequence[Size]) -> dict[UUID, int]:
    """Return the organizations above the target, each with its number of pieces.

    `sizes` has one size per organization, in order.
    """
    target = _target(sizes, _counted_pieces)
    return {size.organization_id: _pieces(size, target) for size in sizes if size.count > target}


def plan_contacts(sizes: Sequence[Size], cuts: Mapping[UUID, Sequence[UUID]]) -> list[Bounds]:
    """Plan the shards of a span of time; large organizations are split by contact.

    `cuts` has the first contact of every piece except the first. The bounds of a piece contain
    `pieces`: the number of shards whose results add up to the organization's.
    """

    def cut(own: Sequence[Size], target: int) -> list[Bounds]:
        pieces = _cut_by_contact(own[0].organization_id, cuts.get(own[0].organization_id, ()))
        return [bounds | {"pieces": len(pieces)} for bounds in pieces]

    return _all_bounds(_plan(sizes, _target(sizes, _counted_pieces), cut))


def plan_keys(
    sizes: Sequence[Size], target: int, cuts_of: Callable[[UUID], Sequence[UUID]]
) -> list[Bounds]:
    """Plan shards of at most about `target` rows of a table in the order of its contacts.

    `sizes` has one size per organization, in order; `cuts_of` returns the first contact of every
    piece of an organization. The pieces of large organizations come last, so that these do not
    delay the others. Ranges without counted rows are left out.
    """

    def cut(own: Sequence[Size], target: int) -> list[Bounds]:
        return _cut_by_contact(own[0].organization_id, cuts_of(own[0].organization_id)[1:])

    planned = [shard for shard in _plan(sizes, target, cut) if shard.count or shard.is_piece]
    return _all_bounds(sorted(planned, key=lambda shard: shard.is_piece))


def numbered(bounds: Sequence[Bounds]) -> tuple[dict[str, Any], ...]:
    """Return the shards of one split."""
    return tuple({"index": index, "of": len(bounds)} | own for index, own in enumerate(bounds, 1))


def part_bounds(shard: Shard | None) -> dict[str, Any]:
    """Return the parameters of statements on a shard of parts.

    >>> bounds = part_bounds(None)
    >>> bounds["first_organization"] is bounds["until_organization"] is None
    True
    """
    bounds = shard or Shard(index=1, of=1)
    return {
        "first_organization": bounds.first_organization,
        "first_part": bounds.first_part or "",
        "until_organization": bounds.until_organization,
        "until_part": bounds.until_part or "",
    }


def contact_bounds(shard: Shard | None) -> dict[str, Any]:
    """Return the parameters of statements on a shard of contacts.

    Earlier releases split by parts. Such a shard takes the organizations at both of its ends
    completely: its rows are correct, although an adjacent shard sets some of them too.
    """
    bounds = shard or Shard(index=1, of=1)
    until = bounds.until_organization
    if until and bounds.until_part and until != LAST_UUID:
        until = UUID(int=until.int + 1)
    return {
        "first_organization": bounds.first_organization,
        "first_contact": bounds.first_contact,
        "until_organization": until,
        "until_contact": bounds.until_contact,
    }


def day_bounds(shard: Shard | None) -> dict[str, datetime | str]:
    """Return the parameters of statements on a shard of days."""
    first, until = (shard.first_day, shard.until_day) if shard else (None, None)
    return {
        "first_moment": midnight(first) if first else "-infinity",
        "until_moment": midnight(until) if until else "infinity",
    }


def midnight(day: date) -> datetime:
    """Return the start of a day in UTC."""
    return datetime.combine(day, time(), UTC)


def _target(sizes: Sequence[Size], cut: _CutOrganization) -> int:
    """Return the smallest target that gives at most SHARDS_MAX shards."""
    target = SHARD_EVENTS_TARGET
    while len(_plan(sizes, target, cut)) > SHARDS_MAX:
        target *= 2
    return target


def _plan(sizes: Sequence[Size], target: int, cut: _CutOrganization) -> list[_Planned]:
    """Plan ranges of whole organizations, and pieces of each organization above the target.

    The ranges cover everything between those organizations, so an organization without a size is in
    one of them.
    """
    planned: list[_Planned] = []
    first: UUID | None = None
    filled = 0
    for organization_id, own in _by_organization(sizes):
        count = sum(size.count for size in own)
        pieces = cut(own, target) if count > target else []
        if len(pieces) > 1:
            if first != organization_id:
                planned.append(_Planned(_organizations(first, organization_id), filled))
            planned += [_Planned(piece, count // len(pieces), is_piece=True) for piece in pieces]
            if organization_id == LAST_UUID:
                return planned
            first, filled = UUID(int=organization_id.int + 1), 0
            continue
        if filled and filled + count > target:
            planned.append(_Planned(_organizations(first, organization_id), filled))
            first, filled = organization_id, 0
        filled += count
    return [*planned, _Planned(_organizations(first, None), filled)]


def _plan_days(sizes: Sequence[Size], target: int) -> list[Bounds]:
    """Plan ranges of whole days, and shards of each day above the target."""
    planned: list[Bounds] = []
    first: date | None = None
    filled = 0
    for day, of_day in _by_day(sizes):
        count = sum(size.count for size in of_day)
        if filled and filled + count > target:
            planned.append(_days(first, day))
            first, filled = day, 0
        filled += count
        if count > target:
            days = _days(first, day + ONE_DAY)
            planned += [days | own for own in _all_bounds(_plan(of_day, target, _cut_by_part))]
            first, filled = day + ONE_DAY, 0
    if filled or not planned:
        return [*planned, _days(first, None)]
    return [_open_end(bounds) if bounds["untilDay"] == first else bounds for bounds in planned]


def _cut_by_part(own: Sequence[Size], target: int) -> list[Bounds]:
    cuts, filled = [], 0
    for size in own:
        if filled and filled + size.count > target:
            cuts.append(size.part)
            filled = 0
        filled += size.count
    edges = [None, *cuts, None]
    alone = _organizations(own[0].organization_id, own[0].organization_id)
    return [alone | _edges("Part", *edge) for edge in pairwise(edges)]


def _cut_by_contact(organization_id: UUID, cuts: Sequence[UUID]) -> list[Bounds]:
    edges = [None, *cuts, None]
    alone = _organizations(organization_id, organization_id)
    return [alone | _edges("Contact", *edge) for edge in pairwise(edges)]


def _counted_pieces(own: Sequence[Size], target: int) -> list[Bounds]:
    """Return as many bounds as the pieces will have, before their first contacts are known."""
    return [{} for _ in range(_pieces(own[0], target))]


def _pieces(size: Size, target: int) -> int:
    return -(-size.count // target)


def _organizations(first: UUID | None, until: UUID | None) -> Bounds:
    """Organizations from `first` up to, not including, `until`; a single one if both are equal."""
    return _edges("Organization", first, until)


def _days(first: date | None, until: date | None) -> Bounds:
    return _edges("Day", first, until)


def _edges(name: str, first: Any, until: Any) -> Bounds:
    edges = {f"first{name}": first, f"until{name}": until}
    return {name: edge for name, edge in edges.items() if edge is not None}


def _open_end(bounds: Bounds) -> Bounds:
    return {name: edge for name, edge in bounds.items() if name != "untilDay"}


def _all_bounds(planned: Iterable[_Planned]) -> list[Bounds]:
    return [shard.bounds for shard in planned]


def _by_organization(sizes: Iterable[Size]) -> Iterator[tuple[UUID, list[Size]]]:
    for organization_id, own in groupby(sizes, key=lambda size: size.organization_id):
        yield organization_id, list(own)


def _by_day(sizes: Iterable[Size]) -> Iterator[tuple[date, list[Size]]]:
    for day, own in groupby(sizes, key=lambda size: size.day):
        if day is None:
            raise ValueError("the sizes of work on several days have no day")
        yield day, list(own)


def _after(organization_id: UUID) -> Key | None:
    """Return the first key after an organization; None after the last."""
    if organization_id == LAST_UUID:
        return None
    return UUID(int=organization_id.int + 1), FIRST_UUID
