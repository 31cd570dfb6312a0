"""Apply what providers report through webhooks."""

from __future__ import annotations

from collections.abc import Sequence

from delivery.domain.messages import ProviderEvents
from delivery.feedback.applying import EVENTS_MAX, Read, apply
from delivery.feedback.reading import Reader
from delivery.providers.config_crypto import KEY_NAME
from delivery.providers.registry import hosts
from delivery.queues import FEEDBACK
from delivery.store import feedback
from shared import BatchJob, Dead, Done, Ports, RetryIn
from shared.bindings import Secret, Variable
from shared.errors import StorageError, error_class
from shared.inbox import INBOX

# A webhook of 1 MB has some 3,000 events, which take 5 MB, and a batch has fifty webhooks.
PORTION_EVENTS = 5 * EVENTS_MAX


async def provider_events(
    messages: Sequence[ProviderEvents], ports: Ports
) -> list[Done | RetryIn | Dead]:
    """Verify webhooks, and apply their events to messages, contacts and suppressions.

    SQL: `feedback.sql` (`record_events`, `record_evidence`, `apply_events`).
    """
    ids = {own.data.provider_config_id for own in messages}
    reader = Reader(feedback.configs_of(ports.db, sorted(ids)), ports)
    outcomes = await _applied(messages, reader, ports)
    await _delete_objects(
        [
            own.data.object
            for own, outcome in zip(messages, outcomes, strict=True)
            if own.data.object is not None and isinstance(outcome, Done)
        ],
        ports,
    )
    return outcomes


async def _applied(
    messages: Sequence[ProviderEvents], reader: Reader, ports: Ports
) -> list[Done | RetryIn | Dead]:
    """Read webhooks and apply their events in portions: all events of a batch can be more than an
    isolate has memory for.
    """
    outcomes: list[Done | RetryIn | Dead] = []
    portion: list[Read] = []
    events = 0
    for own in messages:
        read = await reader.read(own.data)
        portion.append(read)
        events += len(read) if isinstance(read, list) else 0
        if events >= PORTION_EVENTS:
            outcomes += apply(portion, ports)
            portion, events = [], 0
    return outcomes + apply(portion, ports)


async def _delete_objects(keys: Sequence[str], ports: Ports) -> None:
    """Delete bodies that are applied. If that fails, the bucket's lifecycle rule deletes them."""
    if not keys:
        return
    try:
        await ports.bucket(INBOX.binding).delete(keys)
    except StorageError as error:
        ports.log(
            "feedback.not_deleted",
            level="warning",
            count=len(keys),
            error_class=error_class(error),
        )


JOB = BatchJob(
    message=ProviderEvents,
    handler=provider_events,
    queues=(FEEDBACK.name,),
    transaction=False,
    bindings=(INBOX, Secret(KEY_NAME), Variable("HTTP_ALLOWED_HOSTS", ",".join(hosts()))),
)
