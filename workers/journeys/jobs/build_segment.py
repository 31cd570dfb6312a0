"""Build a segment with new criteria, in parts."""

from __future__ import annotations

from collections.abc import Sequence

from journeys.domain.builds import BuildSegment
from journeys.segments.build import build_part, plan_build
from journeys.store.builds import give_up
from shared import DeadLetter, Done, MessageJob, Ports
from shared.ports import Database


async def build_segment(message: BuildSegment, ports: Ports) -> Done:
    """Plan the parts of a build; with `part` set the members of one.

    SQL: `builds.sql` (`part_edges`, `finish_build`); the statement is in
    `criteria/statements.sql`. It can be repeated.
    """
    if message.data.part is not None:
        return build_part(message.data, message.data.part, ports)
    messages = plan_build(message.data, ports)
    if messages:
        await ports.queue.send(messages)
    return Done(organization_id=str(message.data.organization_id))


def end_build(letters: Sequence[DeadLetter[BuildSegment]], db: Database) -> None:
    """A segment whose build has failed finally is invalid, until it is built again."""
    for letter in letters:
        if letter.message is not None:
            give_up(db, letter.message.data.segment_id, letter.message.data.criteria_version)


JOB = MessageJob(message=BuildSegment, handler=build_segment, transaction=False, on_dead=end_build)
