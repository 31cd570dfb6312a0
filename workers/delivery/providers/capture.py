"""Keep messages in a bucket instead of sending them. In the mode local the address of a message may
choose its answer: simulated.py."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from delivery.domain.outgoing import Outgoing
from delivery.domain.verdict import Verdict
from delivery.providers import simulated
from delivery.providers.adapter import (
    Adapter,
    HttpRequest,
    ProviderEvent,
    Request,
    Secrets,
    Webhook,
)
from delivery.providers.capture_format import captured_call, captured_message, to_json
from shared.bindings import R2Bucket
from shared.ports import Bucket, Crypto, HttpResponse

CAPTURED = R2Bucket("CAPTURED_R2", "mauntic-captured-messages")


class CaptureAdapter(Adapter):
    """The adapter of an organization without a provider. Its requests go nowhere."""

    provider_type = "capture"
    bulk_max = 100

    def entry_bytes(self, message: Any) -> int:
        return len(str(getattr(message, "html", "")))

    async def request(
        self,
        messages: Sequence[Any],
        secrets: Secrets,
        call_id: str,
        now: datetime,
        crypto: Crypto,
    ) -> HttpRequest:
        body = json.dumps({"messages": [message.message_id for message in messages]})
        return HttpRequest("POST", "https://capture.invalid/", {}, body.encode())

    def verdicts(
        self, messages: Sequence[Any], response: HttpResponse, now: datetime
    ) -> list[Verdict]:
        return [Verdict("accepted")] * len(messages)

    async def events(
        self, webhook: Webhook, secrets: Secrets, crypto: Crypto
    ) -> list[ProviderEvent]:
        return simulated.events(webhook)


CAPTURE = CaptureAdapter()


@dataclass(frozen=True, repr=False)
class Kept:
    """A message to keep, with what its key is made of. What is not taken is only in the call."""

    organization_id: UUID
    created_at: datetime
    outgoing: Outgoing
    is_taken: bool = True


async def capture(
    bucket: Bucket,
    messages: Sequence[Kept],
    provider_type: str,
    call_id: str | None = None,
    request: Request | None = None,
) -> list[Verdict]:
    """Write each message, and the request of their call. A repetition writes the same objects.

    Every message is accepted. Raises StorageError.
    """
    for kept in messages:
        if not kept.is_taken:
            continue
        document = captured_message(
            kept.outgoing,
            organization_id=str(kept.organization_id),
            created_at=kept.created_at,
            provider_type=provider_type,
            call_id=call_id,
        )
        await bucket.put(document.key, to_json(document))
    if call_id is not None and isinstance(request, HttpRequest):
        call = captured_call(
            request,
            call_id=call_id,
            organization_id=str(messages[0].organization_id),
            created_at=messages[0].created_at,
            provider_type=provider_type,
            message_ids=[kept.outgoing.message_id for kept in messages],
        )
        await bucket.put(call.key, to_json(call))
    return [
        Verdict("accepted", provider_message_id=f"captured-{kept.outgoing.message_id}")
        for kept in messages
    ]
