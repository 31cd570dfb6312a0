"""What a provider's answer means for one message."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

SuppressionReason = Literal["bounce", "complaint", "unsubscribe", "invalid", "device_gone"]
VerdictKind = Literal["accepted", "refused", "suppress", "defer", "retry", "pause", "unknown"]


@dataclass(frozen=True)
class Verdict:
    """`code` is the provider's code, or the HTTP status. It never contains an address.

    - accepted: `provider_message_id` is the provider's id, where it gives one for each message.
    - defer: `until` is when to send again; None means the default delay.
    - pause: `until` is when the provider accepts calls again; None means until an operator resumes.
    - suppress: `suppression` is the reason of the suppression; `device_gone` for a push token.
    """

    kind: VerdictKind
    code: str = ""
    provider_message_id: str | None = None
    until: datetime | None = None
    suppression: Literal["bounce", "complaint", "unsubscribe", "invalid", "device_gone"] | None = (
        None
    )
