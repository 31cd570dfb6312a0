"""What a run keeps of its campaign: later changes do not reach messages of the run. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from delivery.domain.campaigns import Campaign


def frozen_content(campaign: Campaign) -> dict[str, str]:
    """Return the parts of the message, and their hash. The campaign's subject has precedence."""
    template: Mapping[str, Any] = campaign.template or {}
    subject = campaign.subject or template.get("subject") or ""
    html, text = template.get("html") or "", template.get("text") or ""
    if campaign.type == "email":
        parts = {"subject": subject, "html": html, "text": text}
    elif campaign.type == "sms":
        parts = {"text": text}
    else:
        parts = {"title": subject, "body": text}
    written = json.dumps(parts, sort_keys=True, ensure_ascii=False)
    return parts | {"hash": sha256(written.encode()).hexdigest()}


def frozen_metadata(campaign: Campaign) -> dict[str, Any]:
    """Return what the fan-out and the claims need. Templates find `campaign.name` in it."""
    return {
        "run": campaign.run,
        "class": campaign.message_class,
        "segment_id": str(campaign.segment_id),
        "template_id": str(campaign.template_id),
        "expires_after_hours": campaign.settings.get("expires_after_hours"),
        "from": campaign.sender if campaign.type == "email" else None,
        "reply_to": campaign.settings.get("reply_to"),
        "campaign": {"id": str(campaign.id), "name": campaign.name, "subject": campaign.subject},
    }
