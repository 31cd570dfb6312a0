"""What every provider's adapter implements. An adapter is pure: it does no I/O and has no clock."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol, runtime_checkable

from delivery.domain.outgoing import Channel, MessageClass
from delivery.domain.verdict import Verdict
from shared.ports import (
    HTTP_REQUEST_BYTES_MAX,
    Crypto,
    EmailMessage,
    HttpMethod,
    HttpResponse,
)

CALL_BYTES_MAX = HTTP_REQUEST_BYTES_MAX - 65_536  # room for what a call has in addition to entries

# The decrypted configuration of a provider. Names are read in camelCase and in snake_case.
Secrets = Mapping[str, Any]


@dataclass(frozen=True, repr=False)
class HttpRequest:
    """A request to a provider. `body` has at most 8 MB."""

    method: HttpMethod
    url: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, repr=False)
class BindingRequest:
    """A message for the `send_email` binding, where a provider has no HTTP interface."""

    message: EmailMessage


Request = HttpRequest | BindingRequest


class CannotSend(Exception):
    """No request can be made: nothing was sent. `verdict` applies to every message of the call."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.code)
        self.verdict = verdict


class BadSignature(Exception):
    """A webhook's signature is missing or wrong. The text never contains the webhook."""


EventKind = Literal[
    "accepted",
    "delivered",
    "opened",
    "clicked",
    "bounced",
    "complained",
    "unsubscribed",
    "failed",
    "gone",
]
Reason = Literal["bounce", "complaint", "unsubscribe", "invalid"]


@dataclass(frozen=True)
class ProviderEvent:
    """What a provider reports about a message. `event_id` is unique within the organization.

    `accepted` has no effect but proves that the provider has the message. `suppression` is the
    reason for which the address gets no more messages. An SMS `unsubscribe` stops every message.
    `address` is set where the event names no message: a reply with STOP.
    """

    event_id: str
    kind: EventKind
    occurred_at: datetime
    message_id: str | None = None
    provider_message_id: str | None = None
    is_hard: bool = False
    suppression: Reason | None = None
    is_machine: bool = False
    url: str | None = field(default=None, repr=False)
    address: str | None = field(default=None, repr=False)


@dataclass(frozen=True, repr=False)
class Webhook:
    """A provider's request to the hooks worker. Names of headers are in lower case.

    `url` is the public URL as the provider called it. `received` is when the hooks worker got it.
    """

    url: str
    headers: Mapping[str, str]
    body: bytes
    received: datetime


class Adapter(ABC):
    """A provider. A subclass states how it differs from one with a message a call and no webhooks.

    `required` and `optional` are the names of its secrets, in camelCase; `"a or b"` requires one of
    two. `classes` are the classes of message that the provider permits, and `class_secret` names
    the secret without which a class is not permitted.

    `bulk_max` is how many messages one call may carry. `shares_content` is True if a call has one
    content for all its messages. `has_idempotency_key`: a repetition of the same bytes is no new
    call. `call_bytes_max` limits the sum of `entry_bytes` of a call with several messages.
    `hosts` are the hosts that its requests go to, in the form of HTTP_ALLOWED_HOSTS.
    """

    provider_type: str
    channel: Channel = "email"
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    classes: frozenset[MessageClass] = frozenset({"marketing", "transactional"})
    class_secret: Mapping[MessageClass, str] = {}
    bulk_max: int = 1
    shares_content: bool = False
    has_idempotency_key: bool = False
    call_bytes_max: int = CALL_BYTES_MAX
    hosts: tuple[str, ...] = ()

    def entry_bytes(self, message: Any) -> int | None:
        """Return how many bytes the message adds to a call; None if it needs a call of its own."""
        del message
        return None

    @abstractmethod
    async def request(
        self,
        messages: Sequence[Any],
        secrets: Secrets,
        call_id: str,
        now: datetime,
        crypto: Crypto,
    ) -> Request:
        """Return the request for a call of 1 to `bulk_max` messages. Raises CannotSend."""

    @abstractmethod
    def verdicts(
        self, messages: Sequence[Any], response: HttpResponse, now: datetime
    ) -> list[Verdict]:
        """Return one verdict for each message, in their order."""

    async def events(
        self, webhook: Webhook, secrets: Secrets, crypto: Crypto
    ) -> list[ProviderEvent]:
        """Return the events of a webhook. Raises BadSignature."""
        del webhook, secrets, crypto
        raise BadSignature("this provider sends no webhooks")


@dataclass(frozen=True, repr=False)
class AccessToken:
    """A token that requests need until `expires_at`."""

    text: str
    expires_at: datetime


@runtime_checkable
class NeedsToken(Protocol):
    """An adapter whose `request` needs an access token, as the secret `accessToken`.

    `tokens.with_token` fetches it and keeps it between calls.
    """

    async def token_request(self, secrets: Secrets, now: datetime, crypto: Crypto) -> HttpRequest:
        """Return the request for a new token. Raises CannotSend."""

    def token(self, response: HttpResponse, now: datetime) -> AccessToken | Verdict:
        """Return the token, or what its refusal means for the messages: none was sent."""


@runtime_checkable
class NeedsCertificate(Protocol):
    """An adapter whose `events` needs a certificate, as the secret `signingCertificate` (PEM)."""

    def certificate_request(self, webhook: Webhook, secrets: Secrets) -> HttpRequest:
        """Return the request for the certificate. Raises BadSignature for a foreign host."""

    def confirmation_request(self, webhook: Webhook, secrets: Secrets) -> HttpRequest | None:
        """Return the request that confirms a subscription, after `events` accepted the webhook;
        None for every other webhook."""


@runtime_checkable
class Repeatable(Protocol):
    """An adapter whose provider answers the same bytes again as it answered them first."""

    def repetition(self, body: bytes, secrets: Secrets, call_id: str) -> HttpRequest:
        """Return the request of a stored body once more. Raises CannotSend."""

    def message_ids(self, body: bytes) -> list[str]:
        """Return our ids in the order of the entries of a stored body."""


@dataclass(frozen=True, repr=False)
class Sought:
    """A message whose call has an unknown outcome. `text` is the rendered text of an SMS."""

    message_id: str
    to: str
    called_at: datetime
    text: str = ""


@dataclass(frozen=True)
class LookedUp:
    """What a look-up found. No id proves nothing. `further` are the requests to make next."""

    provider_message_id: str | None = None
    further: tuple[HttpRequest, ...] = ()


@runtime_checkable
class HasLookup(Protocol):
    """An adapter that can ask the provider whether it has a message."""

    def lookup_request(self, sought: Sought, secrets: Secrets) -> HttpRequest:
        """Return the request. Raises CannotSend."""

    def looked_up(self, sought: Sought, response: HttpResponse, secrets: Secrets) -> LookedUp:
        """Return what the answer to `lookup_request`, or to one of its `further`, proves."""
