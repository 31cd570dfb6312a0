"""How much work a run is, and where to cut it. Pure.

The keys of all contacts, (organisation, contact), are cut into ranges of counted rows. An
organisation that fills ranges of its own comes after those that share one, so that it does not keep
the others waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic.alias_generators import to_camel

from shared.messages import Shard

# About 5 s of work: some 15,000 contacts a second where every score changes.
SHARD_ROWS = 75_000
NOBODY = UUID(int=0)  # before every contact

Key = tuple[UUID, UUID]


@dataclass(frozen=True)
class Part:
    """The keys from `first` up to, not including, `until`; None is the end of all."""

    first: Key = (NOBODY, NOBODY)
    until: Key | None = None

    @classmethod
    def of(cls, shard: Shard | None) -> Part:
        """What a shard's message means; no shard is everything."""
        if shard is None:
            return cls()
        until = (shard.until_organization, shard.until_contact or NOBODY)
        return cls(
            (shard.first_organization or NOBODY, shard.first_contact or NOBODY),
            None if until[0] is None else (until[0], until[1]),
        )

    def bounds(self) -> dict[str, UUID | None]:
        """As the statements take it."""
        until_organization, until_contact = self.until or (None, None)
        return {
            "first_organization": self.first[0],
            "first_contact": self.first[1],
            "until_organization": until_organization,
            "until_contact": until_contact,
        }


@dataclass(frozen=True)
class Load:
    """How many rows an organisation has waiting."""

    organization_id: UUID
    count: int


def cut(loads: Sequence[Load], cuts_of: Callable[[UUID], Sequence[UUID]]) -> list[Part]:
    """Parts of at most about SHARD_ROWS rows, the small organisations' first.

    `loads` are in order; `cuts_of(organisation)` gives the first contact of each of its parts.
    """
    shared, own, first, rows = [], [], (NOBODY, NOBODY), 0
    for load in loads:
        start = (load.organization_id, NOBODY)
        noisy = load.count > SHARD_ROWS
        if rows and (noisy or rows + load.count > SHARD_ROWS):
            shared.append(Part(first, start))
            first, rows = start, 0
        if noisy:
            end = _after(load.organization_id)
            own += _own_parts(load.organization_id, cuts_of(load.organization_id), end)
            first = end or start
        else:
            rows += load.count
    if rows:
        shared.append(Part(first))
    return shared + own


def _own_parts(organization_id: UUID, cuts: Sequence[UUID], end: Key | None) -> list[Part]:
    firsts = [(organization_id, NOBODY), *((organization_id, contact) for contact in cuts[1:])]
    return [Part(first, until) for first, until in zip(firsts, [*firsts[1:], end], strict=True)]


def _after(organization_id: UUID) -> Key | None:
    """The first key behind an organisation; None behind the last of all."""
    return (
        None if organization_id.int == 2**128 - 1 else (UUID(int=organization_id.int + 1), NOBODY)
    )


def shards(parts: Sequence[Part]) -> tuple[dict[str, Any], ...]:
    """The parts as a Sharded outcome carries them."""
    return tuple(
        {"index": index, "of": len(parts)}
        | {to_camel(name): bound for name, bound in part.bounds().items()}
        for index, part in enumerate(parts, 1)
    )
