"""Find the messages that the local system captured instead of sending."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

from delivery.providers.capture_format import (
    PREFIX,
    CapturedCall,
    CapturedMessage,
    CaptureUnreadable,
    call_from_json,
    message_from_json,
)
from mauntic.errors import OperatorError
from mauntic.local.control_client import Control

Captured = TypeVar("Captured", CapturedMessage, CapturedCall)
BUCKET = "mauntic-captured-messages"


@dataclass(frozen=True)
class Entry:
    """A captured message in the list of the bucket."""

    key: str
    organization_id: str
    message_id: str
    uploaded: str


class CapturedMail:
    """The captured messages of a running local system."""

    def __init__(self, control: Control) -> None:
        self._control = control
        if BUCKET not in {name for worker in control.workers() for name in worker["buckets"]}:
            raise OperatorError(
                f"The local system has no bucket {BUCKET}: it captures messages when the delivery"
                " worker runs in it."
            )

    def newest(
        self,
        limit: int,
        *,
        day: date | None = None,
        organization_id: str | None = None,
        channel: str | None = None,
        to: str | None = None,
    ) -> list[CapturedMessage]:
        """Return the newest messages, the newest first. `day` is that of their creation, in UTC."""
        found: list[CapturedMessage] = []
        for entry in self._entries(day):
            if organization_id not in (None, entry.organization_id):
                continue
            message = self._read(entry)
            if channel in (None, message.channel) and _is_to(message, to):
                found.append(message)
            if len(found) == limit:
                break
        return found

    def find(self, message_id: str | None) -> CapturedMessage:
        """Return the message whose id is or begins with `message_id`; None means the newest one."""
        entries = self._entries(None)
        if message_id is None:
            if not entries:
                raise OperatorError("No message was captured yet.")
            return self._read(entries[0])
        found = [entry for entry in entries if entry.message_id.startswith(message_id.lower())]
        if not found:
            raise OperatorError(
                f"No captured message has the id {message_id}: `mauntic mail list` shows the ids."
            )
        if len(found) > 1:
            raise OperatorError(
                f"{len(found)} captured messages have ids that begin with"
                f" {message_id}: write more of the id."
            )
        return self._read(found[0])

    def call_of(self, message: CapturedMessage) -> CapturedCall:
        """Return the request that the provider would have received."""
        if message.call_id is None:
            raise OperatorError("This message was captured in shadow mode, which makes no call.")
        # It lies with the first message of the call, which may be of another day.
        for listed in self._control.objects(BUCKET, PREFIX):
            if listed["key"].endswith(f"/calls/{message.call_id}"):
                return self._readable(listed["key"], call_from_json)
        raise OperatorError(f"The call {message.call_id} of this message was not captured.")

    def _entries(self, day: date | None) -> list[Entry]:
        """Return the captured messages, the newest first."""
        prefix = f"{PREFIX}{day.isoformat()}/" if day else PREFIX
        objects = self._control.objects(BUCKET, prefix)
        entries = [entry for listed in objects if (entry := _entry(listed)) is not None]
        return sorted(entries, key=lambda entry: (entry.uploaded, entry.key), reverse=True)

    def _read(self, entry: Entry) -> CapturedMessage:
        return self._readable(entry.key, message_from_json)

    def _readable(self, key: str, parse: Callable[[str], Captured]) -> Captured:
        try:
            return parse(self._control.read_object(BUCKET, key))
        except CaptureUnreadable as error:
            raise OperatorError(f"{key} cannot be read: {error}.") from None


def _entry(listed: dict[str, Any]) -> Entry | None:
    """Return the entry of a message's object; None for that of a call."""
    parts = listed["key"].split("/")
    if len(parts) != 4:
        return None
    return Entry(listed["key"], parts[2], parts[3], listed["uploaded"])


def _is_to(message: CapturedMessage, to: str | None) -> bool:
    return to is None or to.lower() in message.headers.get("To", "").lower()
