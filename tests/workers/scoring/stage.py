"""A platform with contacts, events and signals: in Postgres, and the same in plain Python."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch
from uuid import UUID

from mauntic.database.url import connect
from scoring.reference.score import (
    Contact,
    Event,
    FactorConfig,
    Score,
    Settings,
    Signal,
    SignalConfig,
    score,
)
from scoring.store import statements
from scoring.store.fold import Folded, fold_changes
from shared.adapters.postgres.client import Postgres
from shared.ledger.shards import KeyRange
from shared.ports import Row
from tests.roles import ROLES, as_worker

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)

Key = tuple[int, int]  # organization, contact


def org(number: int) -> UUID:
    return UUID(int=number)


def person(number: int) -> UUID:
    return UUID(int=1_000 + number)


class _Undo(Exception):
    """Rolls a transaction back."""


@dataclass
class Known:
    """The settings of one organization in plain Python."""

    factors: dict[tuple[str, str], FactorConfig] = field(default_factory=dict)
    signals: dict[str, SignalConfig] = field(default_factory=dict)


class Stage:
    """Every change is made in the database and in plain Python.

    `db` is the owner's connection: for the platform's writers and for inspection. Jobs run as the
    workers' role.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.db = Postgres(lambda: connect(url))
        self.worker = Postgres(lambda: as_worker(url))
        self.is_undone = False
        self.forget()

    def forget(self) -> None:
        """Forget the state in plain Python; the tables keep theirs."""
        self.contacts: dict[Key, Contact] = {}
        self.events: dict[Key, list[Event]] = {}
        self.signals: dict[Key, list[Signal]] = {}
        self.known: dict[int, Known] = {}

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Undo everything in this block afterwards: fast, for many examples."""
        self.forget()
        self.is_undone = True
        try:
            with suppress(_Undo), self.db.transaction():
                yield
                raise _Undo
        finally:
            self.is_undone = False

    def add_contact(
        self, key: Key, email: str | None = None, phone: str | None = None, custom: Any = None
    ) -> None:
        self.contacts[key] = Contact(email, phone, custom)
        self.db.execute(
            "insert into crm.contacts (id, organization_id, email, phone, custom_fields)"
            " values (:id, :org, :email, :phone, cast(:custom as jsonb))",
            id=person(key[1]),
            org=org(key[0]),
            email=email,
            phone=phone,
            custom=json.dumps({} if custom is None else custom),
        )

    def change_contact(self, key: Key, email: str | None) -> None:
        was = self.contacts[key]
        self.contacts[key] = Contact(email, was.phone, was.custom_fields)
        self.db.execute(
            "update crm.contacts set email = :email where id = :id", email=email, id=person(key[1])
        )

    def add_event(self, key: Key, event: Event) -> None:
        self.events.setdefault(key, []).append(event)
        self.db.execute(
            "insert into analytics.contact_activity"
            " (organization_id, contact_id, event_type, occurred_at)"
            " values (:org, :contact, :type, :at)",
            org=org(key[0]),
            contact=person(key[1]),
            type=event.type,
            at=event.occurred_at,
        )

    def add_signal(self, key: Key, signal: Signal) -> None:
        self.signals.setdefault(key, []).append(signal)
        self.db.execute(
            "insert into scoring.intent_signals (organization_id, contact_id, signal_type,"
            " detected_at, weight, decay_model, decay_hours, expires_at) values (:org, :contact,"
            " :type, :at, cast(:weight as numeric), :model, :hours, :expires)",
            org=org(key[0]),
            contact=person(key[1]),
            type=signal.type,
            at=signal.detected_at,
            weight=signal.weight,
            model=signal.decay_model,
            hours=signal.decay_hours,
            expires=signal.expires_at,
        )

    def set_factor(
        self, organization: int, category: str, factor: str, config: FactorConfig
    ) -> None:
        self.known.setdefault(organization, Known()).factors[category, factor] = config
        self.db.execute(
            "insert into scoring.scoring_configs"
            " values (:org, :category, :factor, :weight, :enabled)"
            " on conflict (organization_id, category, factor) do update"
            " set weight = excluded.weight, enabled = excluded.enabled",
            org=org(organization),
            category=category,
            factor=factor,
            weight=config.weight,
            enabled=config.enabled,
        )

    def set_signal(
        self, organization: int, kind: str, config: SignalConfig, tier: str | None = None
    ) -> None:
        self.known.setdefault(organization, Known()).signals[kind] = config
        self.db.execute(
            "insert into scoring.signal_configs"
            " values (:org, :kind, cast(:weight as numeric), :hours, :tier, :enabled) on conflict"
            " (organization_id, signal_type) do update set weight = excluded.weight,"
            " decay_hours = excluded.decay_hours, tier = excluded.tier, enabled = excluded.enabled",
            org=org(organization),
            kind=kind,
            weight=config.weight,
            hours=config.decay_hours,
            tier=tier,
            enabled=config.enabled,
        )

    def expected(self, key: Key, t: datetime) -> Score:
        """Return the expected score in plain Python."""
        known = self.known.get(key[0], Known())
        return score(
            self.contacts[key],
            self.events.get(key, []),
            self.signals.get(key, []),
            Settings(known.factors, known.signals),
            t,
        )

    @contextmanager
    def job(self) -> Iterator[Postgres]:
        """A transaction with a job's rights. What is undone is one transaction of the owner, which
        takes the role in the meantime.
        """
        if not self.is_undone:
            with self.worker.transaction():
                yield self.worker
            return
        self.db.execute(f"set local role {ROLES.workers}")
        yield self.db
        self.db.execute("reset role")

    def fold(self, t: datetime = NOON) -> Folded:
        """Fold pending changes, in a transaction."""
        with self.job() as db:
            return fold_changes(db, t)

    def batch(self, t: datetime = NOON) -> statements.Scored:
        """As BatchRecompute does it."""
        self.fold(t)
        with self.job() as db:
            return statements.recompute_backlog(db, KeyRange(), t)

    def request(self, *keys: Key) -> statements.Requested:
        """As CalculateScore does it."""
        with self.job() as db:
            return statements.request_contacts(db, [(org(o), person(c)) for o, c in keys])

    def decay(self, t: datetime = NOON) -> statements.Scored:
        """As SignalDecay does it."""
        with self.job() as db:
            return statements.recompute_due(db, KeyRange(), t)

    def rows(self, table: str = "lead_scores") -> list[Row]:
        return self.db.rows(f"select * from scoring.{table} order by organization_id, contact_id")

    def row(self, key: Key) -> Row:
        [row] = self.db.rows(
            "select * from scoring.lead_scores"
            " where organization_id = :org and contact_id = :contact",
            org=org(key[0]),
            contact=person(key[1]),
        )
        return row

    def numbers(self) -> dict[Key, tuple[int, int, int, int, str]]:
        """The stored scores."""
        return {
            (row["organization_id"].int, row["contact_id"].int - 1_000): (
                row["total_score"],
                row["fit_score"],
                row["engagement_score"],
                row["intent_score"],
                row["grade"],
            )
            for row in self.rows()
        }

    def expected_numbers(self, t: datetime) -> dict[Key, tuple[int, int, int, int, str]]:
        """Return the expected scores in plain Python."""
        scores = {key: self.expected(key, t) for key in self.contacts}
        return {
            key: (one.total, one.fit, one.engagement, one.intent, one.grade)
            for key, one in scores.items()
        }

    def waiting(self) -> list[Key]:
        """Return the contacts in the backlog, after folding pending changes."""
        self.fold()
        return self.entries()

    def entries(self) -> list[Key]:
        return [
            (row["organization_id"].int, row["contact_id"].int - 1_000)
            for row in self.rows("recompute_backlog")
        ]


@contextmanager
def no_lock_met(stage: Stage) -> Iterator[None]:
    """Skip locked rows instead of waiting for them."""
    seen: list[str] = []

    def noted(execute: Callable[..., int]) -> Callable[..., int]:
        def note(sql: str, **parameters: Any) -> int:
            seen.append(sql)
            return execute(sql, **parameters)

        return note

    with ExitStack() as patches:
        for db in (stage.db, stage.worker):
            patches.enter_context(patch.object(db, "execute", noted(db.execute)))
        yield
    assert seen
    assert "rollback to savepoint unless_locked" not in seen


@contextmanager
def locked(stage: Stage, sql: str, **parameters: Any) -> Iterator[None]:
    """Another transaction holds what the statement locks. A statement that waits fails soon."""
    database = stage.url.rpartition("/")[2]
    stage.db.execute(f"alter database {database} set lock_timeout = '2s'")
    stage.db.execute("set lock_timeout = '2s'")
    with closing(Postgres(lambda: connect(stage.url))) as other, other.transaction():
        other.execute(sql, **parameters)
        yield


@contextmanager
def opened(url: str) -> Iterator[Stage]:
    stage = Stage(url)
    with closing(stage.db), closing(stage.worker):
        yield stage
