"""What every provider's adapter implements. An adapter is pure: it does no I/O and has no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from delivery.domain.outgoing import Channel, MessageClass, Outgoing
from delivery.domain.verdict import Verdict
from shared.ports import Crypto, HttpMethod, HttpResponse

Secrets = Mapping[str, str]


@dataclass(frozen=True, repr=False)
class HttpRequest:
    """A request to a provider. `body` has at most 8 MB."""

    method: HttpMethod
    url: str
    headers: Mapping[str, str]
    body: bytes


EventKind = Literal[
    "delivered", "opened", "clicked", "bounced", "complained", "unsubscribed", "failed", "gone"
]


@dataclass(frozen=True)
class ProviderEvent:
    """What a provider reports about a message. `event_id` is unique within the organization."""

    event_id: str
    kind: EventKind
    occurred_at: datetime
    message_id: str | None = None
    provider_message_id: str | None = None
    is_hard: bool = False
    suppression: Literal["bounce", "complaint", "unsubscribe", "invalid"] | None = None
    is_machine: bool = False
    url: str | None = None


class Adapter(Protocol):
    """A provider.

    `required` and `optional` are the names of its secrets, in camelCase; snake_case is accepted.
    `bulk_max` is how many messages one call may carry. `shares_content` is True if a call has one
    content for all its messages. `has_idempotency_key`: a repetition of the same bytes is no new
    call. `classes` are the classes of message that the provider permits.
    """

    provider_type: str
    channel: Channel
    required: tuple[str, ...]
    optional: tuple[str, ...]
    bulk_max: int
    shares_content: bool
    has_idempotency_key: bool
    classes: frozenset[MessageClass]

    async def request(
        self,
        messages: Sequence[Any],
        secrets: Secrets,
        call_id: str,
        now: datetime,
        crypto: Crypto,
    ) -> HttpRequest:
        """Return the request for a call of 1 to `bulk_max` messages."""

    def verdicts(
        self, messages: Sequence[Outgoing], response: HttpResponse, now: datetime
    ) -> list[Verdict]:
        """Return one verdict for each message, in their order."""

    async def events(
        self,
        headers: Mapping[str, str],
        body: bytes,
        secrets: Secrets,
        received: datetime,
        crypto: Crypto,
    ) -> list[ProviderEvent]:
        """Return the events of a webhook body. Raises BadSignature if its signature is wrong."""
