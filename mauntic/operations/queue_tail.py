"""The answers to a queue's messages and its dead letters as one stream.

The runtime reports only ack and retry: a dead message is acked after its dead letter was sent to
the dead-letter queue. So that queue is followed too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any

from mauntic.errors import OperatorError
from shared.flow.envelopes import ENVELOPE

if TYPE_CHECKING:
    from mauntic.local.control_client import Control

DEAD_LETTERS = "-dlq"
SHOWN = {"attempts", "messageId", "body", "reason", "error"}

Answer = dict[str, Any]
ENDED: Answer = {}


@contextmanager
def answers_of(control: Control, queue: str) -> Iterator[Iterator[Answer]]:
    """Yield the answers from now on; raise OperatorError when the system ends."""
    merged: SimpleQueue[Answer] = SimpleQueue()
    with control.tail(queue) as answers:
        _copy(answers, merged)
        if queue.endswith(DEAD_LETTERS):
            yield _until_ended(merged)
            return
        with control.tail(queue + DEAD_LETTERS) as letters:
            _copy((death_of(answer) for answer in letters if is_letter(answer)), merged)
            yield _until_ended(merged)


def is_letter(answer: Answer) -> bool:
    """Return whether this is an archived dead letter written by consume.

    A producer can send a similar body, so every displayed field is required.
    """
    body = answer.get("body")
    letter = body.get(ENVELOPE) if isinstance(body, dict) else None
    is_whole = isinstance(letter, dict) and letter.keys() >= SHOWN
    return answer["answer"] == "ack" and is_whole


def death_of(answer: Answer) -> Answer:
    """Convert an answer of the dead-letter queue to one of the queue itself."""
    letter = answer["body"][ENVELOPE]
    return {
        "at": answer["at"],
        "attempts": letter["attempts"],
        "answer": "dead",
        "id": letter["messageId"],
        "body": letter["body"],
        "reason": letter["reason"],
        "error": letter["error"],
    }


def _copy(answers: Iterator[Answer], merged: SimpleQueue[Answer]) -> None:
    def work() -> None:
        import httpx

        with suppress(httpx.HTTPError, httpx.StreamError):
            for answer in answers:
                merged.put(answer)
        merged.put(ENDED)

    Thread(target=work, daemon=True).start()


def _until_ended(merged: SimpleQueue[Answer]) -> Iterator[Answer]:
    while answer := merged.get():
        yield answer
    raise OperatorError("The local system has ended.")
