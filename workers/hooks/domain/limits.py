"""How many requests an isolate accepts: a flood of one sender must not fill the queue."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

KEPT_MAX = 4_096  # buckets of a rate in memory


@dataclass(frozen=True)
class Rate:
    """`burst` requests at once, and `per_s` more in each second."""

    burst: int
    per_s: float


WEBHOOKS = Rate(burst=1_000, per_s=200)  # of a provider config
UNSUBSCRIBES = Rate(burst=5, per_s=1 / 60)  # of a link
REPORTS = Rate(burst=1, per_s=1 / 60)  # log lines of an event that a stranger can cause


@dataclass
class Limits:
    """A bucket of tokens for each rate and key, the most recent ones only: memory stays flat.

    Only verified keys get here, so a stranger cannot displace a bucket.
    """

    buckets: dict[Rate, OrderedDict[UUID | str, tuple[float, datetime]]] = field(
        default_factory=dict
    )

    def allows(self, key: UUID | str, rate: Rate, now: datetime) -> bool:
        """Take a token of the key's bucket; return False if there is none."""
        kept = self.buckets.setdefault(rate, OrderedDict())
        tokens, since = kept.pop(key, (float(rate.burst), now))
        passed_s = max(0.0, (now - since).total_seconds())
        tokens = min(float(rate.burst), tokens + passed_s * rate.per_s)
        is_allowed = tokens >= 1
        kept[key] = (tokens - 1 if is_allowed else tokens, max(now, since))
        if len(kept) > KEPT_MAX:
            kept.popitem(last=False)
        return is_allowed
