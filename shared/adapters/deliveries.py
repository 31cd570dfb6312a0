"""The platform's batch of messages, read with few calls into JavaScript.

Small messages are read together. A larger one is read alone at each use of its body, which is not
kept: a batch of a hundred messages of 128 KB is never in memory twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Protocol

from shared.body_limits import BODY_CHARS_MAX, Unparsed, too_large
from shared.flow.containment import ends_the_task
from shared.flow.envelopes import ENVELOPE
from shared.sanitize import DEPTH_MAX, TOO_DEEP, is_json_too_deep

TOGETHER_MAX = 20
# The limit of one body, so that every body of a small batch is within it.
TOGETHER_BYTES_MAX = BODY_CHARS_MAX


# An envelope adds two levels to its body. The limit is that of a queue message:
# https://developers.cloudflare.com/queues/platform/limits/
PARSED_DEPTH_MAX = DEPTH_MAX + 2
ENVELOPE_CHARS_MAX = 128_000
ENVELOPE_START = f'{{"{ENVELOPE}":'


class Script(Protocol):
    """JSON of JavaScript."""

    def stringify(self, value: Any) -> str | None:
        """Return the JSON of a value; None if it has none."""

    def stringify_all(self, messages: Any, start: int, stop: int, bytes_max: int) -> str | None:
        """Return a JSON array of these messages; None if it is larger than `bytes_max`, or if one
        of them has no JSON. Produces no larger text than that of `TOGETHER_MAX` messages.
        """


class QueueBatch:
    """The platform's batch: its queue, and its deliveries in order. In a dead-letter queue larger
    bodies may be envelopes, which are read completely.
    """

    def __init__(
        self,
        batch: Any,
        script: Script,
        *,
        of_dead_letters: bool,
        body_chars_max: int = BODY_CHARS_MAX,
    ) -> None:
        self.queue = str(batch.queue)
        self._raw = batch._binding.messages  # raw: the SDK would wrap each message
        self._messages = list(self._raw)
        self._script, self._of_dead_letters = script, of_dead_letters
        self._body_chars_max = body_chars_max

    def __iter__(self) -> Iterator[QueueDelivery]:
        for start in range(0, len(self._messages), TOGETHER_MAX):
            stop = min(start + TOGETHER_MAX, len(self._messages))
            read = self._read_together(start, stop)
            for place, message in enumerate(self._messages[start:stop]):
                fields = read[place] if read else None
                yield QueueDelivery(
                    message, fields, self._script, self._of_dead_letters, self._body_chars_max
                )

    def _read_together(self, start: int, stop: int) -> list[dict[str, Any]] | None:
        """Return id, attempts, timestamp and body of each; None if each must be read alone."""
        try:
            text = self._script.stringify_all(self._raw, start, stop, TOGETHER_BYTES_MAX)
            if text is None or is_json_too_deep(text, PARSED_DEPTH_MAX + 2):
                return None
            messages: list[dict[str, Any]] = json.loads(text, parse_int=_number)
        except BaseException as error:
            if ends_the_task(error):
                raise
            return None  # the faulty message fails alone, when it is read alone
        return messages


class QueueDelivery:
    """A Delivery over the platform's message. `fields` has its fields if it was read with others;
    otherwise the body is read at each use.
    """

    def __init__(
        self,
        message: Any,
        fields: dict[str, Any] | None,
        script: Script,
        is_dead: bool,
        body_chars_max: int,
    ) -> None:
        self._message, self._fields = message, fields
        self._script, self._is_dead = script, is_dead
        self._body_chars_max = body_chars_max
        if fields is None:
            self.id = str(message.id)
            self.attempts = int(message.attempts)
            sent_at = str(message.timestamp.toISOString())
        else:
            self.id, self.attempts, sent_at = fields["id"], fields["attempts"], fields["timestamp"]
        self.sent_at = datetime.fromisoformat(sent_at).astimezone(UTC)

    @property
    def body(self) -> object:
        """Return the body as Python values, or Unparsed.

        The parser and its callers recurse, and a body that is nested a few hundred levels deep ends
        the whole interpreter.
        """
        if self._fields is not None:
            return self._fields.get("body")
        text = self._text()
        if text is None:
            return Unparsed(TOO_DEEP, "the body has no JSON, or is nested too deeply")
        is_envelope = self._is_dead and text.startswith(ENVELOPE_START)
        if len(text) > (ENVELOPE_CHARS_MAX if is_envelope else self._body_chars_max):
            return Unparsed(_start(text), too_large(len(text), self._body_chars_max))
        if is_json_too_deep(text, PARSED_DEPTH_MAX):
            return Unparsed(_start(text), "the body is nested too deeply")
        return json.loads(text, parse_int=_number)

    def beginning(self) -> str:
        """Return the part of the body's text that a dead letter keeps, without parsing it."""
        text = self._text() if self._fields is None else json.dumps(self._fields.get("body"))
        return TOO_DEEP if text is None else _start(text)

    def _text(self) -> str | None:
        return self._script.stringify(self._message.body)

    def ack(self) -> None:
        self._message.ack()

    def retry(self, delay_s: int) -> None:
        self._message.retry(delaySeconds=delay_s)


def _start(text: str) -> str:
    """Return the start of a body; of a body that was sent as text, the start of the text."""
    if text.startswith('"'):
        return str(json.loads(text))[:BODY_CHARS_MAX]
    return text[:BODY_CHARS_MAX]


def _number(digits: str) -> int | float:
    """Return the number as JavaScript does: an integer beyond 2^53 is a float."""
    number = int(digits)
    return number if abs(number) < 2**53 else float(digits)
