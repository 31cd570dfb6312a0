"""The platform's other services: they change scores' inputs and acknowledge alerts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from pg8000.exceptions import DatabaseError

from tests.sim.notary import NOTE
from tests.sim.people import Change
from tests.sim.scores import Known

LOCKED = "55P03"
ACKNOWLEDGE = (
    "update scoring.signal_alerts set status = 'acknowledged', acknowledged_at = :now,"
    " acknowledged_by = 'somebody' where id = (select id from scoring.signal_alerts"
    " where status = 'open' order by deadline desc, organization_id, contact_id, signal_type"
    " limit 1) returning organization_id, contact_id, signal_type, created_at"
)
# The effect of `mauntic jobs pause` and `resume`.
PAUSE = (
    "insert into ops.schedules (job_type, paused) values (:job_type, :paused)"
    " on conflict (job_type) do update set paused = excluded.paused"
)
EXPIRED_EARLY = "select signal_type from scoring.signal_alerts where expired_at > :now"


class Alert(NamedTuple):
    """The alert of a signal."""

    organization_id: UUID
    contact_id: UUID
    signal_type: str
    created_at: datetime


@dataclass
class World:
    """Applies the planned changes, and records them in the order in which they happened."""

    clock: Callable[[], datetime]
    db: Any = None
    applied: list[tuple[datetime, Change]] = field(default_factory=list)
    known: Known = field(default_factory=Known)
    acknowledged: dict[Alert, datetime] = field(default_factory=dict)
    wrongs: list[str] = field(default_factory=list)
    deferred: list[Callable[[], None]] = field(default_factory=list)

    def change(self, change: Change) -> None:
        """A late change contains its real time."""
        values = dict(change.values)
        if "created_at" in values and self.clock() > change.at:
            values["created_at"] = self.clock()
        again = partial(self.change, change)
        number = len(self.applied) + 1
        if self._run(NOTE + change.sql, again, number=number, **values) is None:
            return
        self.applied.append((self.clock(), change))
        change.effect(self.known)

    def acknowledge(self) -> None:
        """Acknowledge the alert with the most time left."""
        early = self._run(EXPIRED_EARLY, self.acknowledge, now=self.clock())
        self.wrongs += [f"an alert of {kind} expired before its deadline" for [kind] in early or []]
        rows = self._run(ACKNOWLEDGE, self.acknowledge, now=self.clock())
        self.acknowledged |= {Alert(*row): self.clock() for row in rows or []}

    def set_paused(self, job_type: str, paused: bool) -> None:
        """An operator pauses or resumes a schedule."""
        self._run(
            PAUSE, partial(self.set_paused, job_type, paused), job_type=job_type, paused=paused
        )

    def catch_up(self) -> None:
        """Apply the changes that a lock had delayed."""
        deferred, self.deferred = self.deferred, []
        for action in deferred:
            action()

    def _run(self, sql: str, again: Callable[[], None], **values: Any) -> list[Any] | None:
        """Return None if a suspended invocation holds a lock: the change is applied when it
        ends.
        """
        try:
            return self.db.run(sql, **values) or []
        except DatabaseError as error:
            if error.args[0]["C"] != LOCKED:
                raise
            self.deferred.append(again)
            return None
