"""The models of messages: plain data, validated once when it arrives."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from shared.body_limits import LARGE_BODY_CHARS_MAX, Unparsed, too_large
from shared.sanitize import is_json_too_deep, is_too_deep

Trigger = Literal["cron", "catch-up", "manual", "backfill"]

_DATE = re.compile(r"\d{4}-\d\d-\d\d[Tt ]")


def _no_number(value: Any) -> Any:
    """Accept only ISO 8601: a number could mean seconds or milliseconds."""
    if isinstance(value, datetime) or (isinstance(value, str) and _DATE.match(value)):
        return value
    raise ValueError("a time is text in ISO 8601, for example 2026-03-01T02:00:00Z")


# Within these bounds every window can be computed.
PlannedTime = Annotated[
    AwareDatetime,
    BeforeValidator(_no_number),
    Field(ge=datetime(1970, 2, 1, tzinfo=UTC), lt=datetime(2200, 1, 1, tzinfo=UTC)),
]


class Data(BaseModel):
    """The base of every `data`: camelCase in JSON, snake_case in Python; unknown fields are
    refused.
    """

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)


class Message(BaseModel):
    """The base of every message. Unknown top-level fields are ignored."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True)

    type: str
    scheduled_for: PlannedTime | None = None
    correlation_id: str | None = Field(default=None, max_length=200)
    trigger: Trigger = "manual"

    @property
    def is_of_a_tick(self) -> bool:
        """True if a tick sent the message: later ticks send the same request again."""
        return self.trigger in ("cron", "catch-up")

    def body(self) -> dict[str, Any]:
        """Return the message as sent: plain JSON values, without unset fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Shard(Data):
    """A part of a window: the organizations from `first` up to, not including, `until`.

    Both are equal if a shard is within one organization. A second pair of bounds then contains the
    start and end of the shard within the organization: a contact, or a part, which identifies the
    job's rows within an organization (a type of event). An absent bound is open. `day` is the
    shard's only day of the window. Work on several days is split from `first_day` up to, not
    including, `until_day`. `pieces` is the number of shards whose results for one organization and
    day add up.
    """

    index: int = Field(ge=1)
    of: int = Field(ge=1)
    run: int = 0  # the fencing token of the split run: a new split makes these shards void
    first_organization: UUID | None = None
    until_organization: UUID | None = None
    first_contact: UUID | None = None
    until_contact: UUID | None = None
    first_part: str | None = Field(default=None, max_length=100)
    until_part: str | None = Field(default=None, max_length=100)
    day: date | None = None
    first_day: date | None = None
    until_day: date | None = None
    pieces: int | None = Field(default=None, ge=1)
    before_retention: bool | None = None  # from the message of the whole window

    @property
    def key(self) -> str:
        """The shard's name in the ledger, for example `2/4`."""
        return f"{self.index}/{self.of}"

    def body(self) -> dict[str, Any]:
        """The bounds in the form of a message and of the ledger."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class WindowData(Data):
    """The optional content of a message for a window."""

    shard: Shard | None = None
    before_retention: bool | None = None  # write also days before the retained period


class WindowMessage(Message):
    """A message for a window: that of `scheduledFor`, or else the last one before it was sent."""

    data: WindowData | None = None

    @property
    def shard(self) -> Shard | None:
        """The part of the window; None means the whole window."""
        return self.data.shard if self.data else None

    @property
    def before_retention(self) -> bool:
        """True if an operator requests days whose events are no longer complete."""
        sources = (self.data, self.shard)
        return any(source.before_retention for source in sources if source is not None)

    def planned(self, sent_at: datetime) -> datetime:
        """The planned time that determines the window."""
        return (self.scheduled_for or sent_at).astimezone(UTC)


def decode(body: object) -> dict[str, Any]:
    """Return the body as an object; a body sent as JSON text is parsed. Raise ValueError with the
    reason if it is invalid.
    """
    body = _parsed(body)
    if not isinstance(body, dict):
        raise ValueError(f"the body is not a JSON object but {type(body).__name__}")
    if is_too_deep(body):
        raise ValueError("the body is nested too deeply")
    return body


def object_meant(body: object) -> dict[str, Any] | None:
    """Return the object that the body is, or that its JSON text contains at any depth; else None.

    >>> object_meant('{"type": "a"}'), object_meant({"type": "a"}), object_meant("a")
    ({'type': 'a'}, {'type': 'a'}, None)
    """
    try:
        body = _parsed(body)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _parsed(body: object) -> object:
    if isinstance(body, Unparsed):
        raise ValueError(body.problem)
    if not isinstance(body, str):
        return body
    if len(body) > LARGE_BODY_CHARS_MAX:  # the queue of a message may have a lower limit
        raise ValueError(too_large(len(body), LARGE_BODY_CHARS_MAX))
    if is_json_too_deep(body):
        raise ValueError("the body is nested too deeply")
    return from_json(body)


def from_json(text: str) -> Any:
    """Return the value of a JSON text; raise ValueError also for NaN and Infinity, which are not
    JSON.
    """
    return json.loads(text, parse_constant=_no_constants)


def _no_constants(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
