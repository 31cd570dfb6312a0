"""Explain whether a message would be sent now: the checks of a claim, without the claim."""

from __future__ import annotations

from datetime import datetime

from delivery.domain.claims import Waiting
from delivery.sending.lane import permitted_types
from delivery.store.claims import decide
from mauntic.operations.statements import SQL
from shared.ports import Database, Row

# Each check with the reasons that it gives, in the order of the claim.
CHECKS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("not expired", ("expired",)),
    (
        "campaign and journey run",
        (
            "campaign_canceled",
            "execution_canceled",
            "campaign_paused",
            "journey_paused",
            "organization_paused",
        ),
    ),
    ("has an address", ("unknown_contact", "no_address")),
    ("not suppressed", ("suppressed",)),
    ("status of the contact", ("do_not_contact", "bounced", "unsubscribed")),
    ("consent to marketing", ("no_consent",)),
    ("one message per address", ("duplicate_address",)),
    ("below the caps", ("capped",)),
    ("outside quiet hours", ("quiet_hours",)),
    ("verified sender", ("unverified_sender",)),
    ("a provider", ("no_provider",)),
)


def checks_now(db: Database, message: Row, now: datetime) -> list[Row]:
    """Return the checks in the order of a claim, with the result of each: passed, failed, or not
    reached.

    The claim's own statement decides, as if the message were claimed now. It changes nothing. The
    rate of the provider and the warm-up, checks 12 and 13, are decided by the claim itself.
    """
    [row] = db.rows(SQL["waiting_message"], id=message["id"])
    waiting = Waiting(**row)
    decisions = decide(db, [waiting], permitted_types(message["channel"]), False, now)
    return _results(decisions[waiting.id].reason)


def _results(reason: str | None) -> list[Row]:
    """Return a row for each check; the first that gives `reason` has failed.

    >>> [row["result"] for row in _results("suppressed")[2:6]]
    ['passed', 'failed', 'not reached', 'not reached']
    """
    failed = next((n for n, (_, reasons) in enumerate(CHECKS) if reason in reasons), len(CHECKS))
    rows = []
    for number, (name, _) in enumerate(CHECKS):
        result = "passed" if number < failed else "failed" if number == failed else "not reached"
        rows.append(
            {
                "check": number + 1,
                "name": name,
                "result": result,
                "reason": reason if number == failed else None,
            }
        )
    return rows
