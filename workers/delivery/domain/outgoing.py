"""Messages as an adapter receives them: checked, addressed and rendered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from delivery.domain.rendered import Rendered

Channel = Literal["email", "sms", "push"]
MessageClass = Literal["marketing", "transactional"]


@dataclass(frozen=True, repr=False)
class OutgoingEmail:
    """An e-mail to one address.

    `headers` has List-Unsubscribe and List-Unsubscribe-Post for marketing. The adapter adds
    X-Mauntic-Message with `message_id`.
    """

    message_id: str
    message_class: MessageClass
    to: str
    from_address: str
    subject: Rendered
    html: Rendered
    text: Rendered
    from_name: str = ""
    reply_to: str = ""
    reply_to_name: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, repr=False)
class OutgoingSms:
    """A text message. `to` is E.164; `text` has at most 1,600 characters.

    `segments` are the parts that the operator bills. `status_callback` is the URL to which the
    provider reports; it names the message.
    """

    message_id: str
    message_class: MessageClass
    to: str
    text: str
    status_callback: str = ""
    segments: int = 1


@dataclass(frozen=True, repr=False)
class OutgoingPush:
    """A push message to one device.

    `token` is an FCM token, or the endpoint of a Web Push subscription, which also has `p256dh` and
    `auth`. `expires_at` bounds how long the push service keeps the message.
    """

    message_id: str
    message_class: MessageClass
    token: str
    title: str
    body: str
    expires_at: datetime
    data: Mapping[str, str] = field(default_factory=dict)
    p256dh: str = ""
    auth: str = ""


Outgoing = OutgoingEmail | OutgoingSms | OutgoingPush
