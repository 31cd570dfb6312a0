"""Score contacts on request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from math import floor
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from scoring.store import statements
from scoring.store.fold import CONSUMER
from scoring.store.statements import Replacement
from shared import BatchJob, Data, Dead, Done, Message, Ports
from shared.ledger import change_feed
from shared.ledger.shards import Key

LOCKED_DELAY_S = 60
Points = Annotated[float, Field(strict=True, ge=-1_000_000, le=1_000_000)]


class Context(Data):
    """Points of the sender that replace categories in this calculation."""

    engagement: Points | None = None
    demographic: Points | None = None
    intent: Points | None = None

    def replacement(self) -> Replacement:
        return Replacement(
            fit=_round(self.demographic),
            engagement=_round(self.engagement),
            intent=_round(self.intent),
        )


class Contact(Data):
    """The contact to score."""

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
    """Score the contacts of a batch in two statements; of two contexts the last one counts.

    SQL: `scores.sql` (`request_contacts`, `score_contacts`); the formula is `parts/score.sql`.
    """
    latest = {message.data.key: message for message in messages}
    requested = statements.request_contacts(ports.db, list(latest))
    replacements = {
        key: message.data.context.replacement()
        for key, message in latest.items()
        if message.data.context is not None
    }
    locked = statements.score_contacts(ports.db, requested.versions, replacements, ports.clock())
    busy = {key: latest[key] for key in (*requested.busy, *locked)}
    await _postpone(busy, set(requested.busy), ports)
    return _outcomes(messages, requested.versions.keys() - busy.keys(), busy.keys())


async def _postpone(busy: Mapping[Key, CalculateScore], unentered: Set[Key], ports: Ports) -> None:
    """Keep the requests for contacts that another transaction has locked.

    A message with a context is sent again as a new one, so that a long lock does not use up its
    deliveries. Any other is left to the backlog: the next BatchRecompute scores the contact.
    """
    if not busy:
        return
    again = [message.body() for message in busy.values() if message.data.context is not None]
    await ports.queue.send(again, delay_s=LOCKED_DELAY_S)
    waiting = [key for key in unentered if busy[key].data.context is None]
    if waiting:
        change_feed.note_contacts(ports.db, CONSUMER, waiting, "contact", "message")
    ports.log("score.postponed", level="warning", count=len(busy), delay_s=LOCKED_DELAY_S)


def _outcomes(
    messages: Sequence[CalculateScore], scored: Set[Key], busy: Set[Key]
) -> list[Done | Dead]:
    uncounted = dict.fromkeys(scored, 1) | dict.fromkeys(busy, 0)
    outcomes: list[Done | Dead] = []
    for contact in (message.data for message in messages):
        key = contact.key
        rows = uncounted.get(key)
        if rows is None:
            text = f"organization {contact.organization_id} has no contact {contact.contact_id}"
            outcomes.append(Dead("unknown_contact", "UnknownContact", text))
            continue
        uncounted[key] = 0
        outcomes.append(Done(rows, rows, str(contact.organization_id)))
    return outcomes


def _round(points: float | None) -> int | None:
    return None if points is None else floor(points + 0.5)


JOB = BatchJob(message=CalculateScore, handler=calculate_score)
