"""The score of a contact: fit, engagement, intent. Pure.

`sql/parts/score.sql` computes the same over sets; property tests compare the two. The default
points are also in the table scoring.factors; a test compares them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import floor
from typing import Any

from scoring.reference.decay import age_h, decay

FACTORS: Mapping[str, Mapping[str, int]] = {
    "fit": {
        "has_email": 10,
        "has_phone": 15,
        "has_direct_phone": 10,
        "company_size_smb": 5,
        "company_size_mid": 10,
        "company_size_enterprise": 15,
        "seniority_c_level": 20,
        "seniority_vp": 15,
        "seniority_director": 10,
        "seniority_manager": 5,
    },
    "engagement": {
        "recent_activity_high": 15,
        "recent_activity_some": 10,
        "content_download": 10,
    },
    "intent": {
        "PRICING_PAGE": 20,
        "DEMO_REQUEST": 30,
        "FREE_TRIAL": 25,
        "CONTACT_REQUEST": 20,
        "COMPETITOR_COMPARISON": 15,
        "CASE_STUDY_VIEW": 12,
        "FORM_SUBMISSION": 15,
        "CONTENT_DOWNLOAD": 10,
        "EMAIL_CLICK": 8,
        "WEBSITE_VISIT": 5,
        "EMAIL_OPEN": 3,
        "PROFILE_UPDATE": 2,
    },
}
PARENTS = ("company_size", "seniority", "recent_activity")  # factors with levels
CATEGORY_OF = {
    "fit": "fit",
    "has_email": "fit",
    "has_phone": "fit",
    "has_direct_phone": "fit",
    "company_size": "fit",
    "seniority": "fit",
    "engagement": "engagement",
    "recent_activity": "engagement",
    "content_download": "engagement",
}  # components that are no signals; a category is one if a message replaced it

VISITS = frozenset({"email_opened", "email_clicked", "form_submitted", "page_visited"})
DOWNLOAD = "content_download"
ENGAGEMENT_SPAN = timedelta(days=30)
DECAY_HOURS = 168
INTENT_MAX = 1_000_000
CONTRIBUTORS_MAX = 5
GRADES = ((80, "A"), (60, "B"), (40, "C"), (20, "D"))


@dataclass(frozen=True)
class Contact:
    """The input of fit."""

    email: str | None = None
    phone: str | None = None
    custom_fields: Any = None


@dataclass(frozen=True)
class Event:
    """An activity of the contact."""

    type: str
    occurred_at: datetime


@dataclass(frozen=True)
class Signal:
    """A sign of interest. None means the organization's value, else the default."""

    type: str
    detected_at: datetime
    weight: float | None = None
    decay_model: str = "linear"
    decay_hours: int | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True)
class FactorConfig:
    """An organization's own points for a factor."""

    weight: int | None = None
    enabled: bool = True


@dataclass(frozen=True)
class SignalConfig:
    """An organization's settings for a type of signal."""

    weight: float | None = None
    decay_hours: int | None = None
    enabled: bool = True


@dataclass(frozen=True)
class Settings:
    """An organization's settings: by (category, factor), and by type of signal."""

    factors: Mapping[tuple[str, str], FactorConfig] = field(default_factory=dict)
    signals: Mapping[str, SignalConfig] = field(default_factory=dict)

    def points(self, category: str, factor: str) -> float | None:
        """Return the points of a factor; 0 if it is disabled, None if it is unknown."""
        own = self.factors.get((category, factor), FactorConfig())
        parent = next((name for name in PARENTS if factor.startswith(f"{name}_")), None)
        above = self.factors.get((category, parent or ""), FactorConfig())
        if not (own.enabled and above.enabled):
            return 0
        candidates = (own.weight, above.weight, FACTORS[category].get(factor))
        return next((points for points in candidates if points is not None), None)


@dataclass(frozen=True)
class Live:
    """A signal at a time: its weight, and the remaining share."""

    signal: Signal
    weight: float
    decay: float

    @property
    def points(self) -> float:
        return self.weight * self.decay


@dataclass(frozen=True)
class Score:
    """A score and its components."""

    fit: int
    engagement: int
    intent: int
    components: Mapping[str, float]
    signals: Sequence[Live] = ()

    @property
    def total(self) -> int:
        return max(0, min(100, self.fit + self.engagement + self.intent))

    @property
    def grade(self) -> str:
        return next((grade for least, grade in GRADES if self.total >= least), "F")

    @property
    def top_contributors(self) -> list[tuple[str, float]]:
        """The largest components; equal ones by name."""
        gains = [(factor, points) for factor, points in self.components.items() if points > 0]
        return sorted(gains, key=lambda gain: (-gain[1], gain[0]))[:CONTRIBUTORS_MAX]


def score(
    contact: Contact,
    events: Iterable[Event],
    signals: Iterable[Signal],
    settings: Settings,
    t: datetime,
) -> Score:
    """Return the score at time `t`. Later events and signals do not count."""
    fit = _fit(contact, settings)
    engagement = _engagement(list(events), settings, t)
    weighted = (_live(signal, settings, t) for signal in signals)
    live = [live_signal for live_signal in weighted if live_signal.points]
    total = round_half_up(sum(live_signal.points for live_signal in live))
    return Score(
        fit=sum(fit.values()),
        engagement=sum(engagement.values()),
        intent=max(-INTENT_MAX, min(INTENT_MAX, total)),
        components=_by_type(live) | fit | engagement,
        signals=live,
    )


def round_half_up(points: float) -> int:
    """Round half up, with a margin of a billionth: in any order of adding up, a half is a half.

    >>> round_half_up(7.5), round_half_up(7.499999999999999), round_half_up(-0.5)
    (8, 8, 0)
    """
    return floor(points + 0.5 + 1e-9)


def _fit(contact: Contact, settings: Settings) -> dict[str, int]:
    own = contact.custom_fields if isinstance(contact.custom_fields, dict) else {}
    return {
        "has_email": _if(_has_value(contact.email), "fit", "has_email", settings),
        "has_phone": _if(_has_value(contact.phone), "fit", "has_phone", settings),
        "has_direct_phone": _if(
            _has_value(own.get("direct_phone")), "fit", "has_direct_phone", settings
        ),
        "company_size": _level("company_size", own.get("company_size"), settings),
        "seniority": _level("seniority", own.get("seniority"), settings),
    }


def _engagement(events: Sequence[Event], settings: Settings, t: datetime) -> dict[str, int]:
    recent = [event.type for event in events if t - ENGAGEMENT_SPAN <= event.occurred_at < t]
    visits = sum(event_type in VISITS for event_type in recent)
    level = "recent_activity_high" if visits >= 10 else "recent_activity_some"
    return {
        "recent_activity": _if(visits >= 3, "engagement", level, settings),
        "content_download": _if(DOWNLOAD in recent, "engagement", "content_download", settings),
    }


def _live(signal: Signal, settings: Settings, t: datetime) -> Live:
    config = settings.signals.get(signal.type, SignalConfig())
    usual = settings.points("intent", signal.type)
    enabled = (
        config.enabled and settings.factors.get(("intent", signal.type), FactorConfig()).enabled
    )
    candidates = (signal.weight, config.weight, usual, 0)
    weight = next(points for points in candidates if points is not None) if enabled else 0
    hours = signal.decay_hours or config.decay_hours or DECAY_HOURS
    expired = signal.expires_at is not None and signal.expires_at <= t
    left = 0.0 if expired else decay(signal.decay_model, age_h(signal.detected_at, t), hours)
    return Live(signal, float(weight), left)


def _by_type(live: Iterable[Live]) -> dict[str, float]:
    """Return the points per type of signal, in hundredths; types whose points cancel out are left
    out.
    """
    sums: dict[str, float] = {}
    for live_signal in live:
        signal_type = live_signal.signal.type
        sums[signal_type] = sums.get(signal_type, 0) + live_signal.points
    return {
        f"intent:{name}" if name in CATEGORY_OF else name: floor(points * 100 + 0.5 + 1e-6) / 100
        for name, points in sums.items()
        if points
    }


def _if(condition: bool, category: str, factor: str, settings: Settings) -> int:
    return int(settings.points(category, factor) or 0) if condition else 0


def _level(factor: str, level: object, settings: Settings) -> int:
    is_known = isinstance(level, str) and f"{factor}_{level}" in FACTORS["fit"]
    return _if(is_known, "fit", f"{factor}_{level}", settings)


def _has_value(value: object) -> bool:
    return isinstance(value, str) and value.strip(" ") != ""
