"""The events of Cloudflare Email Sending, as a subscription of the feedback queue receives them.

The vendor adds fields without notice, so unknown ones are ignored, unlike in our own messages.
"""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from shared.messages import Message


class Vendor(BaseModel):
    """The base of the vendor's objects. Addresses and subjects are not read."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="ignore", frozen=True, hide_input_in_errors=True
    )


class Source(Vendor):
    """The sending domain of the subscription."""

    type: Literal["email.sending"] = "email.sending"
    domain: str = Field(default="", max_length=255)


class Bounce(Vendor):
    """`type` is `hard` or `soft`."""

    type: str = Field(default="", max_length=50)
    classification: str = Field(default="", max_length=100)


class Rejection(Vendor):
    """Why a message was rejected before its delivery, for example `suppressed`."""

    reason: str = Field(default="", max_length=100)


class Payload(Vendor):
    """`message_id` is what the binding returned. `terminal`: no further event follows."""

    event_id: str = Field(min_length=1, max_length=200)
    message_id: str = Field(min_length=1, max_length=200)
    terminal: bool = False
    bounce: Bounce | None = None
    rejection: Rejection | None = None


class Metadata(Vendor):
    """When the event occurred."""

    event_timestamp: AwareDatetime


class CloudflareEvent(Message):
    """The base of the six events."""

    model_config = ConfigDict(hide_input_in_errors=True)

    source: Source
    payload: Payload
    metadata: Metadata


class Delivered(CloudflareEvent):
    type: Literal["cf.email.sending.message.delivered"] = "cf.email.sending.message.delivered"


class Deferred(CloudflareEvent):
    type: Literal["cf.email.sending.message.deferred"] = "cf.email.sending.message.deferred"


class Bounced(CloudflareEvent):
    type: Literal["cf.email.sending.message.bounced"] = "cf.email.sending.message.bounced"


class Failed(CloudflareEvent):
    type: Literal["cf.email.sending.message.failed"] = "cf.email.sending.message.failed"


class Rejected(CloudflareEvent):
    type: Literal["cf.email.sending.message.rejected"] = "cf.email.sending.message.rejected"


class Complained(CloudflareEvent):
    type: Literal["cf.email.sending.message.complained"] = "cf.email.sending.message.complained"


EVENTS: tuple[type[CloudflareEvent], ...] = (
    Delivered,
    Deferred,
    Bounced,
    Failed,
    Rejected,
    Complained,
)
