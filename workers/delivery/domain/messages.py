"""The queue messages of deliveries. No representation or error shows an address or content."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Generic, Literal, Self, TypeVar
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, WrapValidator, model_validator

from delivery.domain.address import parse_mailbox
from delivery.domain.outgoing import Channel, MessageClass
from shared.inbox import MESSAGE_BODY_BYTES_MAX, decoded
from shared.messages import Data, Message, PlannedTime
from shared.sanitize import sanitize

KEY_CHARS_MAX = 200  # ours are longer: the column has 255
HOOK_CHARS_MAX = 4 * ((MESSAGE_BODY_BYTES_MAX + 2) // 3)


def _storable(value: Any) -> Any:
    if sanitize(value) != value:
        raise ValueError("has a character or a number that cannot be stored")
    return value


def _mailbox(text: str) -> str:
    if parse_mailbox(text) is None:
        raise ValueError("is neither an address nor a name and an address in angle brackets")
    return text


def _base64(text: str) -> str:
    try:
        decoded(text)
    except ValueError:
        raise ValueError("is not base64") from None
    return text


Text = Annotated[str, AfterValidator(_storable)]
Object = Annotated[dict[str, Any], AfterValidator(_storable)]
Key = Annotated[str, Field(min_length=1, max_length=KEY_CHARS_MAX), AfterValidator(_storable)]
Name = Annotated[str, Field(min_length=1, max_length=2_000), AfterValidator(_storable)]
To = Annotated[str, Field(min_length=1, max_length=320), AfterValidator(_storable)]
Sender = Annotated[str, Field(max_length=1_000), AfterValidator(_mailbox)]


class Private(Data):
    """The base of `data` with addresses or content."""

    model_config = ConfigDict(hide_input_in_errors=True)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    __str__ = __repr__


class PrivateMessage(Message):
    """The base of messages with such `data`."""

    model_config = ConfigDict(hide_input_in_errors=True)


class EmailContent(Private):
    """An e-mail without a template. Its parts are templates themselves."""

    subject: Text
    html: Text | None = None
    text: Text | None = None
    from_: Sender | None = Field(default=None, alias="from")
    reply_to: Sender | None = None

    @model_validator(mode="after")
    def _has_a_body(self) -> Self:
        if self.html is None and self.text is None:
            raise ValueError("needs `html`, `text` or both")
        return self


class SmsContent(Private):
    """A text message without a template."""

    text: Text


class PushContent(Private):
    """A push message without a template."""

    title: Text = ""
    body: Text = ""
    data: Object = Field(default_factory=dict)

    @model_validator(mode="after")
    def _shows_something(self) -> Self:
        if not (self.title or self.body):
            raise ValueError("needs `title`, `body` or both")
        return self


C = TypeVar("C", bound=Private)


class Reference(Data):
    """A row of `delivery.messages`: all else is there."""

    organization_id: UUID
    message_id: UUID


class Full(Private, Generic[C]):
    """A message to insert and send. `C` is the content of its channel."""

    channel: ClassVar[Channel]

    organization_id: UUID
    idempotency_key: Key
    contact_id: UUID | None = None
    template_id: UUID | None = None
    content: C | None = None
    variables: Object = Field(default_factory=dict)
    message_class: MessageClass = Field(default="marketing", alias="class")
    campaign_id: UUID | None = None
    journey_execution_id: UUID | None = None
    step_id: UUID | None = None
    not_before: PlannedTime | None = None
    expires_at: PlannedTime | None = None
    on_uncertain: Literal["hold", "retry"] | None = None

    @model_validator(mode="after")
    def _has_one_content(self) -> Self:
        if (self.template_id is None) == (self.content is None):
            raise ValueError("needs exactly one of `templateId` and `content`")
        return self


class FullAddressed(Full[C], Generic[C]):
    """A message to a contact or to an address."""

    to: To | None = None

    @model_validator(mode="after")
    def _has_a_recipient(self) -> Self:
        if self.contact_id is None and self.to is None:
            raise ValueError("needs `contactId`, `to` or both")
        if self.contact_id is None and self.message_class != "transactional":
            raise ValueError("`to` without `contactId` needs `class` to be `transactional`")
        return self

    @model_validator(mode="after")
    def _is_not_repeated(self) -> Self:
        if self.message_class == "marketing" and self.on_uncertain == "retry":
            raise ValueError("`onUncertain` of marketing can only be `hold`")
        return self


class FullEmail(FullAddressed[EmailContent]):
    channel = "email"


class FullSms(FullAddressed[SmsContent]):
    channel = "sms"


class FullPush(Full[PushContent]):
    """A push message to the devices of a contact; with `deviceId` to that device alone."""

    channel = "push"
    device_id: UUID | None = None

    @model_validator(mode="after")
    def _has_a_contact(self) -> Self:
        if self.contact_id is None:
            raise ValueError("needs `contactId`")
        return self


def _reference_or(full: type[Private]) -> WrapValidator:
    """A body with `messageId` is a reference, so that an error names fields of the form meant."""

    def choose(value: Any, _inner: Callable[[Any], Any]) -> Any:
        if isinstance(value, Reference | full):
            return value
        is_reference = isinstance(value, dict) and "messageId" in value
        return (Reference if is_reference else full).model_validate(value)

    return WrapValidator(choose)


class SendEmail(PrivateMessage):
    type: Literal["delivery.send-email"] = "delivery.send-email"
    data: Annotated[Reference | FullEmail, _reference_or(FullEmail)]


class SendSms(PrivateMessage):
    type: Literal["delivery.send-sms"] = "delivery.send-sms"
    data: Annotated[Reference | FullSms, _reference_or(FullSms)]


class SendPush(PrivateMessage):
    type: Literal["delivery.send-push"] = "delivery.send-push"
    data: Annotated[Reference | FullPush, _reference_or(FullPush)]


class SendMessageData(Data):
    organization_id: UUID
    channel: Channel
    contact_id: UUID
    template_id: UUID
    campaign_id: UUID | None = None
    journey_execution_id: UUID | None = None
    idempotency_key: Key


class SendMessage(Message):
    """What the platform publishes today, for every channel."""

    type: Literal["delivery.SendMessage"] = "delivery.SendMessage"
    data: SendMessageData


class SendCampaignData(Data):
    organization_id: UUID
    campaign_id: UUID
    part: int | None = Field(default=None, ge=1, strict=True)


class SendCampaign(Message):
    """Start a campaign; with `part` insert the messages of one part of its recipients."""

    type: Literal["delivery.send-campaign"] = "delivery.send-campaign"
    data: SendCampaignData


class ReconcileData(Data):
    organization_id: UUID
    call_id: UUID


class Reconcile(Message):
    """Look for evidence about the uncertain messages of a call."""

    type: Literal["delivery.reconcile"] = "delivery.reconcile"
    data: ReconcileData


class ProviderEventsData(Private):
    """A request to a webhook: its bytes in `body`, or in the R2 object `object`."""

    provider_config_id: UUID
    provider: Name
    url: Name
    headers: dict[str, Text]
    body: Annotated[str, Field(max_length=HOOK_CHARS_MAX), AfterValidator(_base64)] | None = None
    object: Name | None = None
    received_at: PlannedTime

    @model_validator(mode="after")
    def _has_one_body(self) -> Self:
        if (self.body is None) == (self.object is None):
            raise ValueError("needs exactly one of `body` and `object`")
        return self

    @property
    def raw(self) -> bytes | None:
        """The bytes of the request, over which it is signed; None if they are in R2."""
        return None if self.body is None else decoded(self.body)


class ProviderEvents(PrivateMessage):
    type: Literal["delivery.ProviderEvents"] = "delivery.ProviderEvents"
    data: ProviderEventsData


class UnsubscribeData(Data):
    organization_id: UUID
    contact_id: UUID
    message_id: UUID
    received_at: PlannedTime


class Unsubscribe(Message):
    type: Literal["delivery.Unsubscribe"] = "delivery.Unsubscribe"
    data: UnsubscribeData
