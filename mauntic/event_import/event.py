"""An event as a file contains it, an event as it is stored, and the reasons to refuse one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

# Why a row, or an event of a row, is not imported, with the remedy.
REASONS: Mapping[str, str] = {
    "ambiguous_contact": "several contacts of the organization have this address: merge them",
    "ambiguous_time": "a local time that the clock showed twice: pass --ambiguous",
    "bad_csv": "quotes are not closed, or a text follows a closing quote",
    "bad_event_id": "the id is longer than 200 characters, or is not printable",
    "bad_json": "the line is not one JSON value: write one record on each line",
    "bad_record": "the record does not have the form of the export",
    "bad_source": "the campaign or source is too long (200, 100 characters), or not printable",
    "bad_time": "the time is missing or has another form",
    "bad_type": "the type is empty, too long (100 characters), or begins with `monthly:`",
    "before_retention": "the day is before the retained period: pass --before-retention",
    "conflicting_id": "another event has the same id, with another type or time",
    "data_too_large": "the data of the event are larger than 16 KB as JSON",
    "future_time": "the time has not come yet",
    "line_too_long": "the line is longer than 16 MB",
    "no_contact": "there is no valid e-mail address and no contact id",
    "nonexistent_time": "a local time that the clock skipped",
    "too_old": "the time is before the year 2000: probably a missing or misread value",
    "unknown_contact": "the organization has no such contact: create it, or pass --create-contacts",
    "unknown_recipient": "the message has several recipients, and the event names none",
    "unknown_type": "the type is neither mapped nor left out",
    "without_zone": "the time has no time zone: pass --zone",
    "wrong_columns": "the row has more or fewer columns than the header",
}


class Refused(Exception):
    """A row or an event that is not imported, with one of `REASONS`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Place(NamedTuple):
    """Where an event is in the file: the line, and its number within the line, both from 1."""

    line: int
    item: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RawEvent:
    """An event in the words of its system. `time` is a text or a number.

    `campaign` is the system's id of a campaign, `source` a text that is stored unchanged.
    """

    event_type: str
    time: Any
    email: str = ""
    contact_id: str = ""
    event_id: str = ""
    campaign: str = ""
    source: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """An event that is ready to be stored, except for the id of a contact known by its address."""

    place: Place
    email: str
    contact_id: UUID | None
    event_type: str
    event_source: str | None
    event_data: Mapping[str, Any]
    occurred_at: datetime
    event_id: str
    has_made_id: bool
    campaign: str
