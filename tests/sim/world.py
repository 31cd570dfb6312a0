"""The platform's other services: they change what scores depend on, and take up alerts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from pg8000.exceptions import DatabaseError

from tests.sim.notary import NOTE
from tests.sim.people import Change
from tests.sim.scores import Kind, Known

LOCKED = "55P03"
OPEN = (
    "select 1 from scoring.signal_alerts where organization_id = :org and contact_id = :contact"
    " and signal_type = :kind and status = 'open'"
)
ACKNOWLEDGE = (
    "update scoring.signal_alerts set status = 'acknowledged', acknowledged_at = :now,"
    " acknowledged_by = 'somebody' where id = (select id from scoring.signal_alerts"
    " where status = 'open' order by deadline desc, organization_id, contact_id, signal_type"
    " limit 1) returning organization_id, contact_id, signal_type, created_at"
)
EXPIRED_EARLY = "select signal_type from scoring.signal_alerts where expired_at > :now"


@dataclass(frozen=True)
class Alert:
    """One that a signal opened, as there was none open of its contact and type."""

    organization_id: UUID
    contact_id: UUID
    signal_type: str
    created_at: datetime


@dataclass
class World:
    """Does what was drawn, and keeps account of it in the order in which it came to pass."""

    clock: Callable[[], datetime]
    db: Any = None
    applied: list[tuple[datetime, Change]] = field(default_factory=list)
    known: Known = field(default_factory=Known)
    alerts: dict[Alert, str] = field(default_factory=dict)  # to its tier
    acknowledged: set[Alert] = field(default_factory=set)
    wrongs: list[str] = field(default_factory=list)
    deferred: list[Callable[[], None]] = field(default_factory=list)

    def change(self, change: Change) -> None:
        """What is ingested later than planned says so."""
        alert = self._alert_of(change)
        values = dict(change.values)
        if "created_at" in values and self.clock() > change.at:
            values["created_at"] = self.clock()
        again = partial(self.change, change)
        number = len(self.applied) + 1
        if self._run(NOTE + change.sql, again, number=number, **values) is None:
            return
        self.applied.append((self.clock(), change))
        change.effect(self.known)
        self.alerts.update(alert)

    def acknowledge(self) -> None:
        """Somebody takes up the alert that has most time left."""
        early = self._run(EXPIRED_EARLY, self.acknowledge, now=self.clock())
        self.wrongs += [f"an alert of {kind} expired before its deadline" for [kind] in early or []]
        rows = self._run(ACKNOWLEDGE, self.acknowledge, now=self.clock())
        self.acknowledged |= {Alert(*row) for row in rows or []}

    def catch_up(self) -> None:
        """What a lock had kept waiting."""
        deferred, self.deferred = self.deferred, []
        for action in deferred:
            action()

    def _alert_of(self, change: Change) -> dict[Alert, str]:
        """The alert that a new signal must open, with its tier."""
        signal = change.signal
        if signal is None:
            return {}
        kind = self.known.kinds.get((signal.key[0], signal.kind), Kind())
        if not (kind.enabled and kind.tier):
            return {}
        org, contact = signal.key
        if self.db.run(OPEN, org=org, contact=contact, kind=signal.kind):
            return {}
        return {Alert(org, contact, signal.kind, signal.detected_at): kind.tier}

    def _run(self, sql: str, again: Callable[[], None], **values: Any) -> list[Any] | None:
        """None where a stalled invocation holds a lock: then it is done when that one ends."""
        try:
            return self.db.run(sql, **values) or []
        except DatabaseError as error:
            if error.args[0]["C"] != LOCKED:
                raise
            self.deferred.append(again)
            return None
