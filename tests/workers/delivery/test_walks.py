"""Random walks over the real statements: crashes, lost answers, suppressions between any two
statements, two consumers in each other's way. What the ledger promises holds after each."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest

from delivery.domain.transitions import TRANSITIONS
from delivery.store import feedback, sweeps
from mauntic.database.url import connect
from shared.errors import DatabaseUnreachable
from shared.ports import Database
from tests.thorough import THOROUGH
from tests.workers.delivery.provider import ANSWERS, Crash, Postmark
from tests.workers.delivery.stage import Stage, org
from tests.workers.delivery.wrapped_database import Wrapped

WALKS = 60 if THOROUGH else 6
STEPS = 50
MESSAGES = 24
CONTACTS = 24
TRACE = """
create table public.changes (id bigserial, message_id uuid, old_state text, new_state text);
create function public.trace() returns trigger language plpgsql security definer as $$
begin
    insert into public.changes (message_id, old_state, new_state)
    values (new.id, case when tg_op = 'UPDATE' then old.state end, new.state);
    return new;
end $$;
create trigger trace after insert or update of state on delivery.messages
for each row execute function public.trace();
"""
ALLOWED = {(source, target) for row in TRANSITIONS for target in row.targets
           for source in (row.sources or (None,))}  # fmt: skip


@dataclass
class Walk:
    """One walk. `clock` counts the statements of all consumers; `blocked_at` says when a contact
    was suppressed."""

    stage: Stage
    random: Random
    provider: Postmark = field(default_factory=Postmark)
    messages: list[UUID] = field(default_factory=list)
    contact_of: dict[UUID, int] = field(default_factory=dict)
    clock: int = 0
    begun_at: int = 0
    blocked_at: dict[int, int] = field(default_factory=dict)
    evidence_at: dict[UUID, int] = field(default_factory=dict)
    faults: float = 0.06
    depth: int = 0
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        stage = self.stage
        with closing(connect(stage.url)) as owner:
            owner.run(TRACE)
        stage.outside.secrets["DELIVERY_MODE"] = "live"
        stage.outside.http = self.provider
        stage.outside.random = 0.5
        stage.organization()
        stage.config()
        for number in range(1, CONTACTS + 1):
            stage.contact(number)
        stage.around = self.wrapped
        self.provider.answer = self.answer
        self.provider.during = self.during

    # -- what happens between the statements of a consumer

    def wrapped(self, db: Database) -> Database:
        return Wrapped(db, self.before, self.after)

    def before(self, name: str, is_open: bool) -> None:
        if not is_open:
            self.meddle()
        self.clock += 1
        if name == "begin_call":
            self.begun_at = self.clock

    def after(self, name: str, is_open: bool) -> None:
        fault = self.random.random()
        if fault < self.faults / 3:
            raise Crash
        if fault < self.faults * 2 / 3:
            raise DatabaseUnreachable("the answer was lost")
        if not is_open:
            self.meddle()

    def during(self, messages: list[UUID]) -> None:
        self.check_call(messages)
        self.meddle()

    def answer(self, messages: list[UUID]) -> str:
        if self.random.random() < self.faults:
            return "crash"
        return self.random.choice((*ANSWERS, "accept", "accept", "accept"))

    def meddle(self) -> None:
        """Somebody else does something at this moment."""
        if self.depth or self.random.random() > 0.3:
            return
        self.depth += 1
        begun_at = self.begun_at
        try:
            self.random.choice(
                [
                    self.consume,
                    self.consume,
                    self.sweep,
                    self.block,
                    self.learn,
                    self.wait,
                    self.wait,
                ]
            )()
        finally:
            self.depth -= 1
            self.begun_at = begun_at

    # -- steps

    def insert(self) -> None:
        if len(self.messages) < MESSAGES:
            contact = len(self.messages) + 1
            is_own = self.random.random() < 0.5
            message = self.stage.message(
                contact,
                1,
                **{"class": "transactional" if is_own else "marketing"},
                on_uncertain="retry" if is_own else "hold",
            )
            self.messages.append(message)
            self.contact_of[message] = contact

    def feed(self) -> None:
        with suppress(Crash, DatabaseUnreachable):
            self.stage.feed()

    def consume(self) -> None:
        """A reference may come at any time, twice, late, and to two consumers."""
        count = self.random.randint(1, 5)
        chosen = [self.random.choice(self.messages) for _ in range(count)] if self.messages else []
        if chosen:
            with suppress(Crash, DatabaseUnreachable):
                self.stage.send(*chosen)

    def sweep(self) -> None:
        with closing(self.stage.outside.ports().db) as db:
            for name in sweeps.SWEEPS:
                sweeps.sweep(db, name, self.stage.outside.now)

    def wait(self) -> None:
        self.stage.outside.now += self.random.choice(
            [timedelta(seconds=20), timedelta(minutes=6), timedelta(minutes=11)]
        )

    def block(self) -> None:
        """Suppress an address; more often one of a message that waits for its call."""
        rows = self.stage.db.rows("select id from delivery.messages where state = 'claimed'")
        claimed = sorted(self.contact_of[row["id"]] for row in rows)
        contact = self.random.choice(claimed or [self.random.randint(1, CONTACTS)])
        if self.random.random() < 0.5 and contact not in self.blocked_at:
            self.stage.db.rows(
                "select delivery.suppress(:org, :address)",
                org=org(), address=f"p{contact}@people.example",
            )  # fmt: skip
            self.blocked_at[contact] = self.clock

    def learn(self) -> None:
        """The provider reports a message that it has."""
        known = set(self.provider.accepted) & set(self.messages)
        if known:
            message = self.random.choice(sorted(known))
            with closing(self.stage.outside.ports().db) as db:
                feedback.record_evidence(db, [(org(), message)], self.stage.outside.now)
            self.evidence_at.setdefault(message, self.clock)

    def step(self) -> None:
        self.random.choice(
            [self.insert, self.insert, self.feed, self.consume, self.consume, self.consume,
             self.sweep, self.wait, self.block, self.learn]
        )()  # fmt: skip

    def finish(self) -> None:
        """No more faults: everything comes to rest."""
        self.faults = 0.0
        self.provider.answer = lambda messages: "accept"
        for _ in range(6):
            self.stage.outside.now += timedelta(hours=10)
            self.sweep()
            self.feed()
            self.stage.send(*self.messages)
        self.stage.outside.now += timedelta(hours=100)
        for _ in range(3):
            self.sweep()

    # -- promises

    def check_call(self, messages: list[UUID]) -> None:
        for message in messages:
            contact = self.contact_of[message]
            if self.blocked_at.get(contact, self.clock + 1) < self.begun_at:
                self.problems.append(f"{message} is called after the suppression")
            if self.evidence_at.get(message, self.clock + 1) < self.begun_at:
                self.problems.append(f"{message} is called after evidence")

    def check(self) -> None:
        times = Counter(self.provider.accepted)
        for message in self.messages:
            row = self.stage.row(message)
            if times[message] > 1 + row["possible_duplicate"]:
                self.problems.append(f"{message} was accepted {times[message]} times")
            calls = [c for c in self.provider.received if message in c.messages]
            attempts = self.stage.attempts(message)
            if len(attempts) != row["attempts"] or len(calls) > len(attempts):
                self.problems.append(f"{message}: {len(calls)} calls, {len(attempts)} attempts")
            unknown = [own for own in attempts if own["verdict"] in (None, "unknown")]
            if len(unknown) > 1 + row["possible_duplicate"]:
                self.problems.append(f"{message} was called again after an unknown call")
            if row["state"] in ("skipped", "failed") and times[message]:
                self.problems.append(f"{message} is {row['state']}, and the provider has it")
            if row["finished_at"] is None and row["state"] != "held":
                self.problems.append(f"{message} is {row['state']} for ever")
        changes = self.stage.db.rows("select distinct old_state, new_state from public.changes")
        pairs = {(row["old_state"], row["new_state"]) for row in changes}
        self.problems += [f"no row allows {pair}" for pair in pairs - ALLOWED]


@pytest.fixture
def walk(stage: Stage, request: Any) -> Walk:
    return Walk(stage, Random(request.param))


@pytest.mark.parametrize("walk", range(WALKS), indirect=True)
def test_a_walk_keeps_the_promises(walk: Walk) -> None:
    for _ in range(STEPS):
        walk.step()
    walk.finish()
    walk.check()
    assert walk.problems == [], json.dumps(walk.problems, indent=1)
