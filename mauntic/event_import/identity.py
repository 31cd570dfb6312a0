"""Ids that are derived: a campaign's UUID, and the id of an event without one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5


def campaign_id(organization_id: UUID, system: str, foreign_id: str) -> UUID:
    """Return the UUID of another system's campaign: the rule of docs/platform.md.

    >>> str(campaign_id(UUID(int=0xA1), "mailchimp", "42694e9e57"))
    '46e93ce8-3fca-58d9-8183-8a49cd6cdd88'
    """
    return uuid5(organization_id, f"{system}/{foreign_id}")


def made_event_id(
    system: str,
    contact: str,
    event_type: str,
    source: str | None,
    data: Mapping[str, Any],
    occurred_at: datetime,
) -> str:
    """Return an id made from the content of an event. Equal events have equal ids."""
    content = [contact, event_type, source, data, occurred_at.isoformat()]
    text = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return f"{system}:content:{hashlib.sha256(text.encode()).hexdigest()[:40]}"
