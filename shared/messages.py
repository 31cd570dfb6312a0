"""What a message looks like: plain data, validated once, on the way in."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from shared.body_limits import BODY_CHARS_MAX, Unparsed, too_large
from shared.sanitize import is_json_too_deep, is_too_deep

Trigger = Literal["cron", "catch-up", "manual", "backfill"]

_DATE = re.compile(r"\d{4}-\d\d-\d\d[Tt ]")


def _no_number(value: Any) -> Any:
    """A number might mean seconds or milliseconds: only ISO 8601 is unambiguous."""
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
    """The base of every `data`: camelCase outside, snake_case inside, unknown fields refused."""

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
        """Whether a tick has sent it, and ticks go on to ask for what it asks."""
        return self.trigger in ("cron", "catch-up")

    def body(self) -> dict[str, Any]:
        """The message as it is sent: plain JSON values, nothing that is not set."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Shard(Data):
    """A part of a window: the organizations from `first` up to, not including, `until`.

    Both are the same where a shard is within one organization. A second pair of bounds then says
    where in it the shard begins and ends: a contact, or a part, which is what tells the job's rows
    apart within an organization (a type of event). A bound that is absent is open. `day` is the one
    day of the window that the shard is about. Work that lies on several days is cut from
    `first_day` up to, not including, `until_day`. `pieces` is the number of shards whose results
    for one organization and day add up.
    """

    index: int = Field(ge=1)
    of: int = Field(ge=1)
    run: int = 0  # the fencing token of the run that was split: another split makes these void
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
    before_retention: bool | None = None  # as the message of the whole window asked

    @property
    def key(self) -> str:
        """Its name in the ledger, for example `2/4`."""
        return f"{self.index}/{self.of}"

    def body(self) -> dict[str, Any]:
        """Its bounds as a message carries them, and the ledger keeps them."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class WindowData(Data):
    """What a message for a window may carry beyond its time."""

    shard: Shard | None = None
    before_retention: bool | None = None  # write also before the retained period


class WindowMessage(Message):
    """A message for a window: that of `scheduledFor`, or else the last before it was sent."""

    data: WindowData | None = None

    @property
    def shard(self) -> Shard | None:
        """Which part of the window is meant; None is all of it."""
        return self.data.shard if self.data else None

    @property
    def before_retention(self) -> bool:
        """Whether an operator asks to write days of which the source is not complete."""
        asked = (self.data, self.shard)
        return any(one.before_retention for one in asked if one is not None)

    def planned(self, sent_at: datetime) -> datetime:
        """The planned time that decides over the window."""
        return (self.scheduled_for or sent_at).astimezone(UTC)


def decode(body: object) -> dict[str, Any]:
    """The body as an object; a body sent as JSON text is parsed. ValueError says what is wrong."""
    body = _parsed(body)
    if not isinstance(body, dict):
        raise ValueError(f"the body is no JSON object but {type(body).__name__}")
    if is_too_deep(body):
        raise ValueError("the body is nested too deeply")
    return body


def object_meant(body: object) -> dict[str, Any] | None:
    """The object that a body is, or that its JSON text stands for, however deep; else None.

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
    if len(body) > BODY_CHARS_MAX:
        raise ValueError(too_large(len(body)))
    if is_json_too_deep(body):
        raise ValueError("the body is nested too deeply")
    return from_json(body)


def from_json(text: str) -> Any:
    """The value of a JSON text; ValueError for NaN and Infinity too, which are no JSON."""
    return json.loads(text, parse_constant=_no_constants)


def _no_constants(name: str) -> float:
    raise ValueError(f"{name} is no JSON")
