"""Validate an event of a file and bring it into the form in which it is stored."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from delivery.domain.address import normalize_email, parse_mailbox
from mauntic.event_import.event import Event, Place, RawEvent, Refused
from mauntic.event_import.formats.form import Format
from mauntic.event_import.identity import campaign_id, made_event_id
from mauntic.event_import.times import Ambiguous, read_time
from shared.sanitize import sanitize

TEXT_CHARS_MAX = 100  # the columns event_type and event_source
ID_CHARS_MAX = 200
DATA_BYTES_MAX = 16_384
RESERVED_PREFIX = "monthly:"


@dataclass(frozen=True)
class Rules:
    """Everything but the event on which the result depends."""

    organization_id: UUID
    form: Format
    now: datetime
    zone: ZoneInfo | None = None
    ambiguous: Ambiguous = "refuse"
    retained_since: date = date.min


def is_left_out(raw: RawEvent, form: Format) -> bool:
    """Return True if the type is no event of a contact."""
    return raw.event_type in form.left_out


def prepare(raw: RawEvent, place: Place, rules: Rules) -> Event:
    """Return the event; raise Refused with the reason."""
    form = rules.form
    event_type = _type(raw.event_type, form)
    email, contact_id = _contact(raw)
    at = read_time(raw.time, form.time, rules.zone, rules.ambiguous, rules.now)
    if at.date() < rules.retained_since:
        raise Refused("before_retention")
    source = _source(raw, rules)
    data = _data(raw, form.system)
    if raw.event_id and not _is_text(raw.event_id, ID_CHARS_MAX):
        raise Refused("bad_event_id")
    made = "" if raw.event_id else made_event_id(
        form.system, str(contact_id or email), event_type, source, data, at
    )  # fmt: skip
    event_id = made or f"{form.system}:{raw.event_id}"
    return Event(
        place, email, contact_id, event_type, source, data, at, event_id, bool(made), raw.campaign
    )


def _type(given: str, form: Format) -> str:
    event_type = form.types.get(given, given)
    if not _is_text(event_type) or event_type.startswith(RESERVED_PREFIX):
        raise Refused("bad_type")
    if given not in form.types and not form.keeps_types:
        raise Refused("unknown_type")
    return event_type


def _contact(raw: RawEvent) -> tuple[str, UUID | None]:
    """Return the address or the id. An id that is no UUID belongs to another system."""
    if raw.contact_id:
        try:
            return "", UUID(raw.contact_id)
        except ValueError:
            pass
    email = _address(raw.email)
    if not email:
        raise Refused("no_contact")
    return email, None


@lru_cache(maxsize=65_536)
def _address(text: str) -> str:
    """Return the normalized address, also of `Name <address>`; empty if there is none."""
    mailbox = None if (address := normalize_email(text)) else parse_mailbox(text)
    return address or (mailbox.address if mailbox else "")


def _source(raw: RawEvent, rules: Rules) -> str | None:
    if raw.campaign:
        if not _is_text(raw.campaign, ID_CHARS_MAX):
            raise Refused("bad_source")
        return _campaign(rules.organization_id, rules.form.system, raw.campaign)
    if not raw.source:
        return None
    if not _is_text(raw.source):
        raise Refused("bad_source")
    return raw.source


@lru_cache(maxsize=4_096)
def _campaign(organization_id: UUID, system: str, foreign_id: str) -> str:
    return str(campaign_id(organization_id, system, foreign_id))


def _data(raw: RawEvent, system: str) -> dict[str, Any]:
    """Return the `event_data`: the system, the campaign's id there, and the mapped values."""
    data: dict[str, Any] = {**sanitize(dict(raw.data)), "system": system}
    if raw.campaign:
        data["campaign"] = raw.campaign
    if raw.data and len(json.dumps(data)) > DATA_BYTES_MAX:
        raise Refused("data_too_large")
    return data


def _is_text(text: str, chars_max: int = TEXT_CHARS_MAX) -> bool:
    """Return True for a printable text: no control characters, no lone surrogates."""
    return 0 < len(text) <= chars_max and text.isprintable()
