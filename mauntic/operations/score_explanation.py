"""Explain a contact's score: facts from Postgres, the computation in plain Python."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from mauntic.errors import OperatorError
from mauntic.operations.statements import SQL
from scoring.domain.engagement import ENGAGEMENT_TYPES
from scoring.reference.score import (
    CATEGORY_OF,
    ENGAGEMENT_SPAN,
    Contact,
    Event,
    FactorConfig,
    Score,
    Settings,
    Signal,
    SignalConfig,
    score,
)
from shared.ports import Database, Row

WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Explanation:
    """The score at `t`, the stored score, and the stored score of a week before."""

    organization_id: UUID
    contact_id: UUID
    t: datetime
    score: Score
    stored: Row | None
    week_ago: Row | None

    def factors(self) -> list[Row]:
        """Return each factor of fit and engagement with its points."""
        points = self.score.components
        return [
            {"category": category, "factor": name, "points": points[name]}
            for name, category in CATEGORY_OF.items()
            if name in points
        ]

    def signals(self) -> list[Row]:
        """Return each live signal with its decayed points."""
        return [
            {
                "signal": signal.signal.type,
                "detected_at": signal.signal.detected_at,
                "model": signal.signal.decay_model,
                "weight": signal.weight,
                "decay": round(signal.decay, 3),
                "points": round(signal.points, 2),
            }
            for signal in self.score.signals
        ]

    def as_json(self) -> dict[str, Any]:
        """Return the explanation as plain values."""
        made = self.score
        return {
            "organization_id": self.organization_id,
            "contact_id": self.contact_id,
            "at": self.t,
            "total": made.total,
            "grade": made.grade,
            "fit": made.fit,
            "engagement": made.engagement,
            "intent": made.intent,
            "factors": self.factors(),
            "signals": self.signals(),
            "stored": self.stored,
            "week_ago": self.week_ago,
        }


def find_contact(db: Database, named: str) -> Row:
    """Return the contact with this id or e-mail address; OperatorError for none or several."""
    found = db.rows(SQL["find_contacts"], contact=named)
    if not found:
        raise OperatorError(f"No contact found with the id or e-mail address {named}.")
    if len(found) > 1:
        ids = ", ".join(str(row["contact_id"]) for row in found)
        raise OperatorError(f"Several contacts have the address {named}. Use an id: {ids}.")
    return found[0]


def explain(db: Database, contact: Row, t: datetime) -> Explanation:
    """Compute the score of a contact (a row of `find_contact`) at `t`, and read the stored one."""
    key = {"organization_id": contact["organization_id"], "contact_id": contact["contact_id"]}
    stored = db.rows(SQL["stored_score"], **key)
    week_ago = db.rows(SQL["score_on"], **key, date=(t - WEEK).date())
    return Explanation(
        **key,
        t=t,
        score=score(
            Contact(contact["email"], contact["phone"], contact["custom_fields"]),
            _events(db, key, t),
            _signals(db, key, t),
            _settings(db, contact["organization_id"]),
            t,
        ),
        stored=stored[0] if stored else None,
        week_ago=week_ago[0] if week_ago else None,
    )


def request_recompute(
    db: Database, organization_id: UUID | None = None, contact_id: UUID | None = None
) -> None:
    """Request scores of an organization, one contact or all contacts through the change feed."""
    if contact_id:
        db.execute(SQL["request_contact"], contact_id=contact_id)
    else:
        db.execute(SQL["request_organizations"], organization_id=organization_id)


def count_contacts(
    db: Database, organization_id: UUID | None = None, contact_id: UUID | None = None
) -> int:
    """Count the contacts that `request_recompute` would request."""
    [row] = db.rows(SQL["count_contacts"], organization_id=organization_id, contact_id=contact_id)
    return int(row["count"])


def _events(db: Database, key: dict[str, UUID], t: datetime) -> list[Event]:
    rows = db.rows(
        SQL["engagement_events"],
        **key,
        start=t - ENGAGEMENT_SPAN,
        t=t,
        event_types=list(ENGAGEMENT_TYPES),
    )
    return [Event(row["event_type"], row["occurred_at"]) for row in rows]


def _signals(db: Database, key: dict[str, UUID], t: datetime) -> list[Signal]:
    return [
        Signal(
            type=row["signal_type"],
            detected_at=row["detected_at"],
            weight=_number(row["weight"]),
            decay_model=row["decay_model"],
            decay_hours=row["decay_hours"],
            expires_at=t if row["expired"] else None,
        )
        for row in db.rows(SQL["contact_signals"], **key, t=t)
    ]


def _settings(db: Database, organization_id: UUID) -> Settings:
    factors = db.rows(SQL["factor_configs"], organization_id=organization_id)
    signals = db.rows(SQL["signal_configs"], organization_id=organization_id)
    return Settings(
        {
            (row["category"], row["factor"]): FactorConfig(row["weight"], row["enabled"])
            for row in factors
        },
        {
            row["signal_type"]: SignalConfig(
                _number(row["weight"]), row["decay_hours"], row["enabled"]
            )
            for row in signals
        },
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
