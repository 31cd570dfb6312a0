"""The answers to a queue's messages, and what its dead letters say, as one stream.

The runtime knows two answers, ack and retry: a message that dies is acked, after its letter was
sent to the dead-letter queue. So that queue is followed too.
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
    """The answers from now on; OperatorError where the system ends."""
    merged: SimpleQueue[Answer] = SimpleQueue()
    with control.tail(queue) as answers:
        _copy(answers, merged)
        if queue.endswith(DEAD_LETTERS):
            yield _until_ended(merged)
            return
        with control.tail(queue + DEAD_LETTERS) as letters:
            _copy((death_of(one) for one in letters if is_letter(one)), merged)
            yield _until_ended(merged)


def is_letter(answer: Answer) -> bool:
    """Whether this is a dead letter that consume wrote and that has been archived. A producer can
    send a body that looks like one: it has to have what is shown of it."""
    body = answer.get("body")
    letter = body.get(ENVELOPE) if isinstance(body, dict) else None
    is_whole = isinstance(letter, dict) and letter.keys() >= SHOWN
    return answer["answer"] == "ack" and is_whole


def death_of(answer: Answer) -> Answer:
    """The dead-letter queue's answer as one of the queue itself."""
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
