"""Message bodies as an operator gives them: read, and checked as the worker itself would."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from mauntic.errors import OperatorError
from mauntic.operations.message_meaning import Draft, meaning_of
from mauntic.project.printable import is_readable
from shared.flow.intake import Intake
from shared.flow.parse import ParsedMessage, read
from shared.flow.window_run import EARLY_MAX_S
from shared.messages import from_json

# https://developers.cloudflare.com/queues/platform/limits/
MESSAGE_BYTES_MAX = 128_000
SHOWN_MAX = 20
LAST = datetime(2200, 1, 1, tzinfo=UTC)  # no message means a window after this


def bodies_of(
    texts: Iterable[tuple[str, str]], intake: Intake | None, delivered_at: datetime = LAST
) -> list[Any]:
    """Parse named JSON texts as bodies. OperatorError names every invalid one.

    Without an intake only the platform's limits are checked.
    """
    bodies, problems = [], []
    for name, text in texts:
        try:
            bodies.append(parse_json(text))
        except ValueError as error:
            problems.append(f"{name}: {error}")
            continue
        problems += [
            f"{name}: {problem}" for problem in problems_of(bodies[-1], intake, delivered_at)
        ]
    if problems:
        more = [f"… and {len(problems) - SHOWN_MAX} more"] if len(problems) > SHOWN_MAX else []
        raise OperatorError("\n".join(["nothing was sent:", *problems[:SHOWN_MAX], *more]))
    return bodies


def parse_json(text: str) -> Any:
    """Parse JSON; ValueError gives the position of the error."""
    if not is_readable(text):
        raise ValueError("not UTF-8")
    try:
        return from_json(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def problems_of(body: object, intake: Intake | None, delivered_at: datetime = LAST) -> list[str]:
    """Return a problem per invalid field, or for a window that has not ended at delivery."""
    if body_bytes(body) > MESSAGE_BYTES_MAX:
        return [
            f"a message has at most {MESSAGE_BYTES_MAX:,} bytes, this one has {body_bytes(body):,}"
        ]
    if intake is None:
        return []
    parsed_message = read(Draft(body), intake.worker, intake.queue, from_operator=True)
    if isinstance(parsed_message, ParsedMessage):
        return list(_too_early(body, intake, delivered_at))
    if parsed_message.reason == "unknown_type":
        names = ", ".join(sorted(intake.worker.by_type))
        return [f"type: {parsed_message.error_text}; there are {names}"]
    return parsed_message.error_text.split("; ")


def _too_early(body: object, intake: Intake, delivered_at: datetime) -> Iterator[str]:
    window = meaning_of(body, intake, delivered_at).window
    if window and window.end > delivered_at + timedelta(seconds=EARLY_MAX_S):
        yield f"scheduledFor: its window {window} has not ended yet: it would be a dead letter"


def body_bytes(body: object) -> int:
    """Return the size of a body as it is sent."""
    return len(json.dumps(body).encode())
