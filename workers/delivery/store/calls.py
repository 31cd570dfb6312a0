"""The two statements around a call: what is sent, and what its answer means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from delivery.domain.claims import Claimed
from delivery.domain.verdict import Verdict
from delivery.store.claims import LEASE
from delivery.store.statements import SQL
from shared.errors import is_retryable
from shared.ports import Database
from shared.sanitize import printable

CALL_LEASE = timedelta(minutes=2)
# A request that has not left by then is not made: after the lease another consumer may call.
LEAVES_WITHIN = timedelta(minutes=1)
RETRIES_MAX = 3
SETTLE_TRIES = 3
ID_CHARS_MAX = 500  # an index holds at most 2,704 bytes


@dataclass(frozen=True, repr=False)
class InCall:
    """A message of a call, with the number of its attempt."""

    claimed: Claimed
    attempt: int


@dataclass(frozen=True, repr=False)
class Begun:
    """A call whose row is committed. `released` had a place of the warm-up and are not sent."""

    call_id: UUID
    started_at: datetime
    messages: list[InCall]
    released: list[Claimed]


def begin(
    db: Database,
    call_id: UUID,
    config_id: UUID | None,
    claimed: Sequence[Claimed],
    may_call: bool,
    now: datetime,
) -> Begun:
    """Set the messages that may still be sent to `sending`, in one committed statement."""
    by_id = {own.id: own for own in claimed}
    rows = db.rows(
        SQL["begin_call"],
        ids=list(by_id),
        tokens=[own.token for own in claimed],
        other_addresses=[own.waiting.other_address for own in claimed],
        call_id=call_id,
        config_id=config_id,
        may_call=may_call,
        lease_until=now + CALL_LEASE,
        now=now,
        today=now.astimezone(UTC).date(),
    )
    attempts = {row["id"]: row["attempt"] for row in rows if row["state"] == "sending"}
    return Begun(
        call_id,
        now,
        [InCall(own, attempts[own.id]) for own in claimed if own.id in attempts],
        [by_id[row["id"]] for row in rows if row["is_released"]],
    )


def store_request(db: Database, call_id: UUID, request: bytes) -> None:
    """Keep the compressed bytes of a request that may be repeated."""
    db.execute(SQL["store_request"], call_id=call_id, request=request)


def settle(
    db: Database,
    begun: Begun,
    verdicts: Sequence[Verdict],
    http_status: int | None,
    random: float,
    now: datetime,
    segments: Sequence[int | None] | None = None,
) -> dict[UUID, str]:
    """Write the verdicts of a call, in one statement; return the new states.

    `segments` are the parts that an operator bills of each text message.

    The refusal of a whole call of several messages applies to none: they are claimed again. The
    statement is repeated after a retryable error, because repeating it changes nothing.
    """
    parameters = _parameters(begun, verdicts)
    rows = _repeated(
        lambda: db.rows(
            SQL["settle_call"],
            **parameters,
            segments=list(segments or [None] * len(verdicts)),
            call_id=begun.call_id,
            http_status=http_status,
            retries_max=RETRIES_MAX,
            random=random,
            lease_until=now + LEASE,
            now=now,
        )
    )
    return {row["id"]: row["state"] for row in rows}


def is_refusal_of_all(verdicts: Sequence[Verdict]) -> bool:
    """Return True if a call of several messages was refused as a whole."""
    return len(verdicts) > 1 and all(verdict.kind == "refused" for verdict in verdicts)


def _parameters(begun: Begun, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    refused = is_refusal_of_all(verdicts)
    kinds = {verdict.kind for verdict in verdicts}
    paused = next((verdict for verdict in verdicts if verdict.kind == "pause"), None)
    return {
        "ids": [own.claimed.id for own in begun.messages],
        "tokens": [own.claimed.token for own in begun.messages],
        "attempts": [own.attempt for own in begun.messages],
        "verdicts": ["refused_with_others" if refused else verdict.kind for verdict in verdicts],
        "codes": [verdict.code or None for verdict in verdicts],
        "provider_message_ids": [storable(verdict.provider_message_id) for verdict in verdicts],
        "untils": [verdict.until for verdict in verdicts],
        "suppressions": [verdict.suppression for verdict in verdicts],
        "call_verdict": "pause" if paused else verdicts[0].kind if len(kinds) == 1 else "mixed",
        "paused_until": paused.until if paused else None,
        "paused_reason": paused.code if paused else None,
    }


def storable(text: str | None) -> str | None:
    """Return the text without what Postgres refuses: an acceptance must not fail for its id."""
    return None if text is None else printable(text)[:ID_CHARS_MAX]


def _repeated(statement: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    for _ in range(SETTLE_TRIES - 1):
        try:
            return statement()
        except Exception as error:
            if not is_retryable(error):
                raise
    return statement()


def fail_rendering(
    db: Database, failed: Sequence[tuple[Claimed, str]], now: datetime
) -> list[Claimed]:
    """End messages whose content cannot be made, each with its reason. Return those that had a
    place of the warm-up."""
    if not failed:
        return []
    by_id = {own.id: own for own, _ in failed}
    rows = db.rows(
        SQL["fail_rendering"],
        ids=list(by_id),
        tokens=[own.token for own, _ in failed],
        reasons=[reason for _, reason in failed],
        today=now.astimezone(UTC).date(),
        now=now,
    )
    return [by_id[row["id"]] for row in rows if row["is_released"]]
