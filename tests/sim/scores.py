"""The expected scores: the contract's rules applied contact by contact.

Written from the contract alone, without the SQL or `workers/scoring/reference/`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

Key = tuple[UUID, UUID]  # organization, contact

DAYS_LOOKED_BACK = timedelta(days=30)
SIZES = {"smb": 5, "mid": 10, "enterprise": 15}
RANKS = {"c_level": 20, "vp": 15, "director": 10, "manager": 5}
INTEREST = {
    "PRICING_PAGE": 20, "DEMO_REQUEST": 30, "FREE_TRIAL": 25, "CONTACT_REQUEST": 20,
    "COMPETITOR_COMPARISON": 15, "CASE_STUDY_VIEW": 12, "FORM_SUBMISSION": 15,
    "CONTENT_DOWNLOAD": 10, "EMAIL_CLICK": 8, "WEBSITE_VISIT": 5, "EMAIL_OPEN": 3,
    "PROFILE_UPDATE": 2,
}  # fmt: skip
VISITS = ("email_opened", "email_clicked", "form_submitted", "page_visited")
SLA_HOURS = {"critical": 1, "high": 4, "medium": 24, "low": 72}


@dataclass(frozen=True)
class Signal:
    """A sign of interest. None means the organization's value, else the default."""

    key: Key
    kind: str
    detected_at: datetime
    weight: float | None
    model: str
    hours: int | None
    expires_at: datetime | None

    def left(self, t: datetime, usual_hours: int) -> float:
        """Return the remaining share at `t`, from 1 to 0."""
        age = (t - self.detected_at) / timedelta(hours=1)
        part = age / (self.hours or usual_hours)
        if not 0 <= part < 1 or (self.expires_at is not None and self.expires_at <= t):
            return 0
        if self.model == "step":
            return 1 if part < 0.5 else 0.5 if part < 0.75 else 0.25
        return 1 - part if self.model == "linear" else math.exp(-3 * part)


@dataclass(frozen=True)
class Kind:
    """An organization's settings of a type of signal."""

    weight: float | None = None
    hours: int | None = None
    tier: str | None = None
    enabled: bool = True


@dataclass
class Known:
    """The platform's data of contacts at some time."""

    contacts: dict[Key, dict[str, Any]] = field(default_factory=dict)
    events: dict[Key, list[tuple[str, datetime]]] = field(default_factory=lambda: defaultdict(list))
    signals: dict[UUID, Signal] = field(default_factory=dict)
    factors: dict[tuple[UUID, str, str], tuple[int | None, bool]] = field(default_factory=dict)
    kinds: dict[tuple[UUID, str], Kind] = field(default_factory=dict)

    def worth(self, organization: UUID, category: str, usual: float, *names: str) -> float:
        """Return the points of the first factor, of which the others are parents."""
        output = [self.factors.get((organization, category, name), (None, True)) for name in names]
        if not all(enabled for _, enabled in output):
            return 0
        return next((weight for weight, _ in output if weight is not None), usual)


@dataclass(frozen=True)
class Score:
    """Return the points by factor and category; `intent` are the sums of types, not yet rounded."""

    fit: Mapping[str, float]
    engagement: Mapping[str, float]
    intent: Mapping[str, float]

    @property
    def parts(self) -> dict[str, int]:
        """Return the three categories as stored."""
        interest = math.floor(sum(self.intent.values()) + 0.5 + 1e-9)
        return {
            "fit_score": int(sum(self.fit.values())),
            "engagement_score": int(sum(self.engagement.values())),
            "intent_score": interest,
        }


def score(known: Known, key: Key, t: datetime) -> Score:
    """The score of a contact at `t`."""
    return Score(_fit(known, key), _engagement(known, key, t), _intent(known, key, t))


def grade(total: int) -> str:
    return "FDCBA"[min(4, total // 20)]


def _fit(known: Known, key: Key) -> dict[str, float]:
    contact = known.contacts[key]
    own = contact["custom_fields"] if isinstance(contact["custom_fields"], dict) else {}
    filled = {
        "has_email": (contact["email"], 10),
        "has_phone": (contact["phone"], 15),
        "has_direct_phone": (own.get("direct_phone"), 10),
    }
    points = {
        name: known.worth(key[0], "fit", points, name) if str(text or "").strip() else 0
        for name, (text, points) in filled.items()
    }
    for whole, levels in (("company_size", SIZES), ("seniority", RANKS)):
        level = own.get(whole)
        usual = levels.get(level) if isinstance(level, str) else None
        names = (f"{whole}_{level}", whole)
        points[whole] = 0 if usual is None else known.worth(key[0], "fit", usual, *names)
    return points


def _engagement(known: Known, key: Key, t: datetime) -> dict[str, float]:
    recent = [kind for kind, at in known.events[key] if t - DAYS_LOOKED_BACK <= at < t]
    visits = sum(recent.count(kind) for kind in VISITS)
    level, usual = ("high", 15) if visits >= 10 else ("some", 10)
    names = (f"recent_activity_{level}", "recent_activity")
    downloaded = "content_download" in recent
    return {
        "recent_activity": known.worth(key[0], "engagement", usual, *names) if visits >= 3 else 0,
        "content_download": known.worth(key[0], "engagement", 10, "content_download")
        if downloaded
        else 0,
    }


def _intent(known: Known, key: Key, t: datetime) -> dict[str, float]:
    sums: dict[str, float] = defaultdict(float)
    for signal in known.signals.values():
        if signal.key != key:
            continue
        kind = known.kinds.get((key[0], signal.kind), Kind())
        own, enabled = known.factors.get((key[0], "intent", signal.kind), (None, True))
        if kind.enabled and enabled:
            output = (signal.weight, kind.weight, own, INTEREST.get(signal.kind, 0))
            weight = next(points for points in output if points is not None)
            sums[signal.kind] += weight * signal.left(t, kind.hours or 168)
    return {kind: points for kind, points in sums.items() if points}
