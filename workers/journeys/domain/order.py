"""The order of segments that read each other: referenced segments first, without cycles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

REFERENCES_MAX = 3  # a segment of a segment of a segment of a segment

References = Mapping[UUID, frozenset[UUID]]


def arrange(references: References, segments: Iterable[UUID]) -> list[UUID]:
    """Return the segments so that each comes after those that it reads."""
    return sorted(segments, key=lambda segment: (depth(segment, references) or 0, segment))


def refusal(segment: UUID, references: References) -> str | None:
    """Return why a segment with its references cannot join the others; None if it can.

    `references` has the segment's own, and those of the segments that have joined.
    """
    if depth(segment, references) is None:
        return "The segment reads its own members, directly or through other segments."
    depths = [depth(own, references) or 0 for own in references]
    if max(depths) > REFERENCES_MAX:
        return f"Segments read each other in a chain of more than {REFERENCES_MAX} references."
    return None


def depth(segment: UUID, references: References) -> int | None:
    """Return the length of the longest chain of references; None if the chain is a circle.

    >>> one, two, three = UUID(int=1), UUID(int=2), UUID(int=3)
    >>> depth(one, {one: frozenset([two]), two: frozenset([three])})
    2
    >>> depth(one, {one: frozenset([two]), two: frozenset([one])}) is None
    True
    """
    level = {segment}
    for length in range(len(references) + 1):
        level = {target for own in level for target in references.get(own, ())}
        if not level:
            return length
    return None
