"""Messages of the ledger: list them, show one, settle what waits for a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args
from uuid import UUID

from delivery.domain.transitions import STATES
from delivery.store.statements import SQL as LEDGER
from mauntic.errors import OperatorError
from mauntic.operations.required import require_names, require_row
from mauntic.operations.statements import SQL
from shared.ports import Database, Row

# Messages in these states wait for a person.
FOR_A_PERSON = ("held", "uncertain")
FINAL = ("sent", "skipped", "failed")
Decision = Literal["sent", "failed", "resend"]
DECISIONS: tuple[Decision, ...] = get_args(Decision)


@dataclass(frozen=True)
class MessageFilter:
    """Which messages to list. Without `contact` or `campaign` only open states can be listed."""

    states: tuple[str, ...] = ()
    channel: str | None = None
    organization: UUID | None = None
    contact: UUID | None = None
    campaign: UUID | None = None


def list_messages(db: Database, filters: MessageFilter, limit: int) -> list[Row]:
    """Return the messages, newest first, without addresses and content."""
    require_names(filters.states, STATES, "state")
    common = {"channel": filters.channel, "limit": limit}
    states = list(filters.states) or None
    if filters.contact:
        key = {"organization_id": _organization(db, filters), "contact_id": filters.contact}
        return db.rows(SQL["messages_of_contact"], **key, states=states, **common)
    if filters.campaign:
        key = {"campaign_id": filters.campaign}
        return db.rows(SQL["messages_of_campaign"], **key, states=states, **common)
    if final := [state for state in filters.states if state in FINAL]:
        raise OperatorError(
            f"Messages that are {final[0]} are too many to list: pass --contact or --campaign."
        )
    open_states = states or list(FOR_A_PERSON)
    organization = {"organization_id": filters.organization}
    return db.rows(SQL["messages_of_states"], states=open_states, **organization, **common)


def _organization(db: Database, filters: MessageFilter) -> UUID:
    if filters.organization:
        return filters.organization
    rows = db.rows(SQL["organization_of_contact"], contact_id=filters.contact)
    if not rows:
        raise OperatorError(
            f"crm.contacts has no contact {filters.contact}: pass its --organization."
        )
    found: UUID = rows[0]["organization_id"]
    return found


def find_message(db: Database, message_id: UUID) -> Row:
    """Return the message without its address and content; OperatorError if there is none."""
    return require_row(
        db.rows(SQL["message"], id=message_id), "message", message_id, "messages list"
    )


def history_of(db: Database, message_id: UUID) -> tuple[list[Row], list[Row]]:
    """Return the attempts and the events of a message, oldest first."""
    return (
        db.rows(SQL["message_attempts"], id=message_id),
        db.rows(SQL["message_events"], id=message_id),
    )


def require_resolvable(message: Row, decision: Decision) -> None:
    """Raise OperatorError unless an operator may decide this about the message."""
    state = message["state"]
    if state == "uncertain" or (state == "held" and decision == "resend"):
        return
    if state == "held":
        raise OperatorError(
            f"The message {message['id']} is held and was not sent: pass --resend."
            " A held message that is not resent fails when it expires."
        )
    raise OperatorError(
        f"The message {message['id']} is {state}: only held and uncertain messages wait for a"
        " decision."
    )


def resolve(
    db: Database,
    messages: Sequence[Row],
    decision: Decision,
    by: str,
    note: str | None,
    now: datetime,
) -> list[UUID]:
    """Apply the decision in one transaction; return the messages that it changed.

    A message that has left its state in the meantime, by evidence for example, stays as it is.
    """
    held = [message["id"] for message in messages if message["state"] == "held"]
    uncertain = [message["id"] for message in messages if message["state"] == "uncertain"]
    state = "pending" if decision == "resend" else decision
    with db.transaction():
        rows = db.rows(LEDGER["resend_held"], ids=held, now=now) if held else []
        if uncertain:
            rows += db.rows(LEDGER["resolve_uncertain"], ids=uncertain, state=state, now=now)
        ids = [row["id"] for row in rows]
        db.execute(
            SQL["note_resolution"], ids=ids, now=now, decision=decision, by=by, note=note or ""
        )
    return ids
