"""Score contacts at once, because somebody asks."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from scoring import store
from scoring.parts import Key
from scoring.store import Replacement
from shared.jobs import Job
from shared.messages import Data, Message
from shared.outcome import Dead, Done
from shared.ports import Ports

Points = Annotated[float, Field(strict=True, ge=-1_000_000, le=1_000_000)]


class Context(Data):
    """Points that the sender knows better, for this calculation."""

    engagement: Points | None = None
    demographic: Points | None = None
    intent: Points | None = None

    def replacement(self) -> Replacement:
        return Replacement(
            fit=_rounded(self.demographic),
            engagement=_rounded(self.engagement),
            intent=_rounded(self.intent),
        )


class Contact(Data):
    """Whom to score."""

    organization_id: UUID
    contact_id: UUID
    context: Context | None = None

    @property
    def key(self) -> Key:
        return (self.organization_id, self.contact_id)


class CalculateScore(Message):
    type: Literal["scoring.CalculateScore"] = "scoring.CalculateScore"
    data: Contact


async def calculate_score(messages: Sequence[CalculateScore], ports: Ports) -> list[Done | Dead]:
    """Score the contacts of a batch, in two statements; of two contexts the last holds."""
    contexts = {message.data.key: message.data.context for message in messages}
    versions = store.request_contacts(ports.db, list(contexts))
    replacements = {key: said.replacement() for key, said in contexts.items() if said is not None}
    store.score_contacts(ports.db, versions, replacements, ports.clock())
    return _outcomes(messages, versions)


def _outcomes(messages: Sequence[CalculateScore], known: dict[Key, int]) -> list[Done | Dead]:
    uncounted = dict.fromkeys(known, 1)
    outcomes: list[Done | Dead] = []
    for contact in (message.data for message in messages):
        key = contact.key
        rows = uncounted.get(key)
        if rows is None:
            text = f"organisation {contact.organization_id} has no contact {contact.contact_id}"
            outcomes.append(Dead("unknown_contact", "UnknownContact", text))
            continue
        uncounted[key] = 0
        outcomes.append(Done(rows, rows, str(contact.organization_id)))
    return outcomes


def _rounded(points: float | None) -> int | None:
    return None if points is None else floor(points + 0.5)


JOB = Job(message=CalculateScore, handler=calculate_score, batch=True)
