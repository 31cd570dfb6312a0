"""Message bodies as an operator gives them: read, and checked as the worker itself would."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from mauntic.errors import OperatorError
from mauntic.operations.message_meaning import Draft, meaning_of
from mauntic.project.printable import is_readable
from shared.flow.parse import ParsedMessage, read
from shared.flow.window_run import EARLY_MAX_S
from shared.jobs import Worker
from shared.messages import from_json

# https://developers.cloudflare.com/queues/platform/limits/
MESSAGE_BYTES_MAX = 128_000
SHOWN_MAX = 20
LAST = datetime(2200, 1, 1, tzinfo=UTC)  # no message means a window after this


def bodies_of(
    texts: Iterable[tuple[str, str]], worker: Worker | None, delivered_at: datetime = LAST
) -> list[Any]:
    """Read named JSON texts as bodies. If any is wrong, OperatorError names each, and nothing is
    sent. Without a worker only the platform's own limits are checked."""
    bodies, problems = [], []
    for name, text in texts:
        try:
            bodies.append(parsed(text))
        except ValueError as error:
            problems.append(f"{name}: {error}")
            continue
        problems += [
            f"{name}: {problem}" for problem in problems_of(bodies[-1], worker, delivered_at)
        ]
    if problems:
        more = [f"… and {len(problems) - SHOWN_MAX} more"] if len(problems) > SHOWN_MAX else []
        raise OperatorError("\n".join(["nothing was sent:", *problems[:SHOWN_MAX], *more]))
    return bodies


def parsed(text: str) -> Any:
    """The JSON value; ValueError says where it is none."""
    if not is_readable(text):
        raise ValueError("no UTF-8")
    try:
        return from_json(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def problems_of(body: object, worker: Worker | None, delivered_at: datetime = LAST) -> list[str]:
    """Name each wrong field of a body, or its window where that is not over at its delivery."""
    if body_bytes(body) > MESSAGE_BYTES_MAX:
        return [f"a message has at most {MESSAGE_BYTES_MAX:,} bytes, this one {body_bytes(body):,}"]
    if worker is None:
        return []
    verdict = read(Draft(body), worker, from_operator=True)
    if isinstance(verdict, ParsedMessage):
        return list(_too_early(body, worker, delivered_at))
    if verdict.reason == "unknown_type":
        names = ", ".join(sorted(worker.by_type))
        return [f"type: {verdict.error_text}; there are {names}"]
    return verdict.error_text.split("; ")


def _too_early(body: object, worker: Worker, delivered_at: datetime) -> Iterator[str]:
    window = meaning_of(body, worker, delivered_at).window
    if window and window.end > delivered_at + timedelta(seconds=EARLY_MAX_S):
        yield f"scheduledFor: its window {window} is not over yet: it would be a dead letter"


def body_bytes(body: object) -> int:
    """The size of a body as it is sent."""
    return len(json.dumps(body).encode())
