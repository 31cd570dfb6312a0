"""The conditions of scores, alerts and threshold events. Each check yields its violations."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from shared.adapters.postgres.client import Postgres
from tests.sim.broker import Message
from tests.sim.people import STRANGER, Ask
from tests.sim.saying import differences, some
from tests.sim.scores import SLA_HOURS, Key, Kind, Known, Score, Signal, grade, score
from tests.sim.simulation import Simulation
from tests.sim.world import Alert

NAMES = ("fit_score", "engagement_score", "intent_score")
CONTEXT_CATEGORIES = {"demographic": "fit", "engagement": "engagement", "intent": "intent"}
THRESHOLDS = (20, 40, 60, 80)
POINTS_OFF_MAX = 0.0051  # components are stored in hundredths


@dataclass(frozen=True)
class Written:
    """A committed score, and the number of changes that it had seen."""

    key: Key
    changes: int
    row: dict[str, Any] | None  # None: removed

    @property
    def numbers(self) -> dict[str, int]:
        assert self.row is not None
        return {name: self.row[name] for name in NAMES}

    @property
    def t(self) -> datetime:
        assert self.row is not None
        return datetime.fromisoformat(self.row["scored_at"])

    @property
    def replaced(self) -> dict[str, float]:
        """Return the categories that a message's context had replaced."""
        assert self.row is not None
        components = self.row["components"]
        return {
            name: components[name] for name in CONTEXT_CATEGORIES.values() if name in components
        }

    def __str__(self) -> str:
        return f"score of {self.key[1].int} at {self.t:%m-%d %H:%M:%S}"


def written(db: Postgres) -> list[Written]:
    """Return every committed score, in order."""
    return [
        Written((row["organization_id"], row["contact_id"]), row["changes"], row["score"])
        for row in db.rows("select * from sim.scores order by id")
    ]


def computations(simulation: Simulation, db: Postgres) -> Iterator[str]:
    """Every written score was correct for its time and for the changes it had seen; time never went
    back.
    """
    known, seen = Known(), 0
    newest: dict[Key, datetime] = {}
    wrong: list[str] = []
    for one in written(db):
        for _, change in simulation.world.applied[seen : max(seen, one.changes)]:
            change.effect(known)
        seen = max(seen, one.changes)
        if one.row is None:
            newest.pop(one.key, None)
            continue
        if one.t < newest.get(one.key, one.t):
            wrong.append(f"the {one} was taken back from {newest[one.key]}")
        newest[one.key] = one.t
        wrong += _wrong(one, known)
    yield from some("was wrong when it was written", wrong)


def _wrong(one: Written, known: Known) -> Iterator[str]:
    """Describe the differences of a row from the expected score."""
    assert one.row is not None
    if one.key not in known.contacts:
        yield f"the {one} is nobody's"
        return
    expected = score(known, one.key, one.t)
    parts = expected.parts | {f"{name}_score": n for name, n in one.replaced.items()}
    if one.numbers != parts:
        yield f"the {one} is {one.numbers} and not {parts}"
    total = max(0, min(100, sum(one.numbers.values())))
    if (one.row["total_score"], one.row["grade"]) != (total, grade(total)):
        yield f"the {one} is {one.row['total_score']} {one.row['grade']} and not {total}"
    yield from _wrong_components(one, expected)


def _wrong_components(one: Written, expected: Score) -> Iterator[str]:
    assert one.row is not None
    points: dict[str, float] = {}
    for name in CONTEXT_CATEGORIES.values():
        text = {name: one.replaced[name]} if name in one.replaced else getattr(expected, name)
        points |= text
    found = one.row["components"]
    if found.keys() != points.keys() or any(
        abs(found[name] - points[name]) > POINTS_OFF_MAX for name in points
    ):
        yield f"the components of the {one} are {found} and not {points}"
    top = sorted(
        ((name, n) for name, n in found.items() if n > 0), key=lambda pair: (-pair[1], pair[0])
    )[:5]
    if [(gain["factor"], gain["points"]) for gain in one.row["top_contributors"]] != top:
        yield f"the top contributors of the {one} are {one.row['top_contributors']}"


def final_scores(simulation: Simulation, db: Postgres) -> Iterator[str]:
    """At the end every score is that of the last window, and no contact is in the backlog."""
    [last] = db.rows(
        "select max(window_end) as t from ops.job_runs"
        " where job_type = 'scoring.SignalDecay' and status = 'succeeded'"
    )
    known = simulation.world.known
    rows = {
        (row["organization_id"], row["contact_id"]): row
        for row in db.rows("select * from scoring.lead_scores")
    }
    expected = {
        key: score(known, key, max(last["t"], rows[key]["scored_at"] if key in rows else last["t"]))
        for key in known.contacts
    }
    found = {key: {name: row[name] for name in NAMES} for key, row in rows.items()}
    yield from differences("score", {k: one.parts for k, one in expected.items()}, found)
    waiting = db.rows("select * from scoring.recompute_backlog")
    yield from some("still waits in the backlog", waiting)


def history(simulation: Simulation, db: Postgres) -> Iterator[str]:
    """One row per contact and day: the day's last score."""
    expected: dict[tuple[Key, date], dict[str, int]] = {}
    for one in written(db):
        if one.row is None:
            expected = {known: row for known, row in expected.items() if known[0] != one.key}
        else:
            day = (one.t - timedelta(microseconds=1)).date()  # midnight ends a day
            expected[one.key, day] = one.numbers | {"total_score": one.row["total_score"]}
    found = {}
    for row in db.rows("select * from scoring.score_history"):
        key = ((row.pop("organization_id"), row.pop("contact_id")), row.pop("date"))
        found[key] = row
    yield from differences("day's score", expected, found)


def crossings(simulation: Simulation, db: Postgres) -> Iterator[str]:
    """Each crossing was published once; twice, with the same id, only after a failure."""
    expected: Counter[tuple[Any, ...]] = Counter()
    totals: dict[Key, int] = defaultdict(int)
    for one in written(db):
        if one.row is None:
            totals.pop(one.key, None)
            continue
        was, became = totals[one.key], one.row["total_score"]
        totals[one.key] = became
        for threshold in THRESHOLDS:
            if (was >= threshold) != (became >= threshold):
                direction = "up" if became > was else "down"
                expected[*one.key, became, was, threshold, direction, one.t] += 1
    sent: dict[str, list[Any]] = defaultdict(list)
    for body, invocation in simulation.crossings:
        sent[body["eventId"]].append((_crossed(body), invocation))
    yield from some("crossing has two contents", [s for s in sent.values() if len(dict(s)) > 1])
    found = Counter(copies[0][0] for copies in sent.values())
    yield from differences("crossing", expected, found)
    again = [
        crossed
        for copies in sent.values()
        for crossed, invocation in copies[:-1]
        if not invocation.met_trouble
    ]
    yield from some("was published again though nothing had failed", again)
    yield from some("is still unpublished", db.rows("select * from scoring.threshold_outbox"))


def _crossed(body: dict[str, Any]) -> tuple[Any, ...]:
    data = body["data"]
    return (
        UUID(data["organizationId"]), UUID(data["contactId"]), data["score"],
        data["previousScore"], data["threshold"], data["direction"],
        datetime.fromisoformat(body["occurredAt"]),
    )  # fmt: skip


@dataclass(frozen=True)
class Considered:
    """A signal that a fold looked at, with the tier that its type had then."""

    id: UUID
    signal: Signal
    tier: str
    at: datetime
    fold: int

    @property
    def alert(self) -> Alert:
        return Alert(*self.signal.key, self.signal.kind, self.signal.detected_at)

    @property
    def deadline(self) -> datetime:
        return self.signal.detected_at + timedelta(hours=SLA_HOURS[self.tier])


def considered(simulation: Simulation, db: Postgres) -> list[list[Considered]]:
    """Return the signals of each committed fold, in order."""
    known, seen = Known(), 0
    folds: list[list[Considered]] = []
    for row in db.rows("select * from sim.considered order by id"):
        for _, change in simulation.world.applied[seen : max(seen, row["changes"])]:
            change.effect(known)
        seen = max(seen, row["changes"])
        found = []
        for id_ in (one for one in row["signals"] if one in known.signals):
            signal = known.signals[id_]
            kind = known.kinds.get((signal.key[0], signal.kind), Kind())
            if kind.enabled and kind.tier:
                found.append(Considered(id_, signal, kind.tier, row["at"], len(folds)))
        folds.append(found)
    return folds


def alerts(simulation: Simulation, db: Postgres) -> Iterator[str]:
    """Each alert belongs to the newest signal of its fold; those past their time have expired."""
    [last] = db.rows(
        "select max(window_end) as t from ops.job_runs"
        " where job_type = 'scoring.AlertExpiry' and status = 'succeeded'"
    )
    folds = considered(simulation, db)
    possible: dict[Alert, set[str]] = defaultdict(set)
    for one in (one for fold in folds for one in newest(fold)):
        if one.deadline > one.at:
            possible[one.alert].add(one.tier)
    rows = db.rows("select * from scoring.signal_alerts")
    for row in rows:
        alert = Alert(*(row[name] for name in Alert._fields))
        if row["priority"] not in possible[alert]:
            yield f"{alert} is {row['priority']}, and its signal's {possible[alert] or 'none'}"
        deadline = alert.created_at + timedelta(hours=SLA_HOURS[row["priority"]])
        status = "expired" if deadline <= last["t"] else "open"
        if alert in simulation.world.acknowledged:
            status = "acknowledged"
        expected = (deadline, status, deadline if status == "expired" else None)
        if (row["deadline"], row["status"], row["expired_at"]) != expected:
            yield f"{alert} is {row['status']} until {row['deadline']} and not {expected}"
    if len({tuple(row[name] for name in Alert._fields) for row in rows}) != len(rows):
        yield "two alerts are of one signal"
    yield from some("was seen", simulation.world.wrongs)
    yield from some("opened no alert", list(_unalerted(simulation, folds, rows)))


def newest(fold: list[Considered]) -> list[Considered]:
    """Of several signals of a contact and type the newest counts."""
    by_key: dict[tuple[Key, str], Considered] = {}
    for one in sorted(fold, key=lambda one: one.signal.detected_at):
        by_key[one.signal.key, one.signal.kind] = one
    return list(by_key.values())


def _unalerted(
    simulation: Simulation, folds: list[list[Considered]], rows: list[dict[str, Any]]
) -> Iterator[str]:
    """Yield the signals that should have opened an alert: within their time, with none open."""
    again = {one.id: one.fold for fold in folds for one in fold}
    opened = [(Alert(*(row[n] for n in Alert._fields)), row) for row in rows]
    for one in (one for fold in folds for one in newest(fold)):
        if one.deadline <= one.at or again[one.id] > one.fold:
            continue
        blocking = [
            alert
            for alert, row in opened
            if alert == one.alert
            or (
                alert[:3] == one.alert[:3]
                and row["deadline"] > one.at
                and simulation.world.acknowledged.get(alert, one.at) >= one.at
            )
        ]
        if not blocking:
            yield f"{one.alert} at {one.at}"


def feed(simulation: Simulation, db: Postgres) -> Iterator[str]:
    """At the end the feed is empty."""
    yield from some("waits in the feed", db.rows("select * from crm.contact_changes"))
    yield from some("is half expanded", db.rows("select * from crm.expanded_changes"))
    yield from some("is asked for", db.rows("select * from scoring.alert_requests"))


def answers(simulation: Simulation, db: Postgres) -> Iterator[str]:
    """Each request got a score of its time, or a dead letter with the reason."""
    letters: dict[str, list[str]] = defaultdict(list)
    for row in db.rows("select body, reason from ops.dead_letters"):
        body = row["body"]
        if isinstance(body, dict) and str(body.get("correlationId", "")).startswith("ask-"):
            letters[body["correlationId"]].append(row["reason"])
    scored: dict[Key, list[Written]] = defaultdict(list)
    for one in written(db):
        if one.row is not None:
            scored[one.key].append(one)
    again: dict[str, list[Message]] = defaultdict(list)
    for message in simulation.asked_again:
        again[message.body["correlationId"]].append(message)
    spans = [
        Span(ask, message.sent_at, _last_ack(simulation, [message, *again[ask.name]]))
        for ask, message in simulation.asked
        # what the platform gave up is looked for by the check of messages
        if not any(m.id in simulation.broker.given_up for m in (message, *again[ask.name]))
    ]
    postponed = _postponed(simulation)
    for span in spans:
        may_wait = not span.ask.context and any(span.has(at) for at in postponed)
        yield from _answer(span, scored[span.ask.key], letters[span.ask.name], spans, may_wait)


def _last_ack(simulation: Simulation, messages: list[Message]) -> datetime | None:
    """Return when the last of a message and its replacements was acknowledged."""
    acks = [simulation.broker.acked.get(message.id) for message in messages]
    return None if None in acks else max(ack for ack in acks if ack)


def _postponed(simulation: Simulation) -> list[datetime]:
    """Return when messages were left to the backlog, because another run held their contacts."""
    return [one["at"] for one in simulation.events if one["event"] == "score.postponed"]


@dataclass(frozen=True)
class Span:
    """Return the period from the sending of a message to its last acknowledgement."""

    ask: Ask
    sent_at: datetime
    acked_at: datetime | None

    def has(self, moment: datetime) -> bool:
        return self.acked_at is not None and self.sent_at <= moment <= self.acked_at

    def is_alone(self, others: list[Span]) -> bool:
        """Of two contexts in a batch the last counts: only the batch knows which one it is."""
        return not any(
            other is not self
            and other.ask.key == self.ask.key
            and (self.has(other.sent_at) or other.has(self.sent_at))
            for other in others
        )


def _answer(
    span: Span, scored: list[Written], reasons: list[str], spans: list[Span], may_wait: bool
) -> Iterator[str]:
    ask, within = span.ask, [one for one in scored if span.has(one.t)]
    if span.acked_at is None:
        yield f"{ask.name} was never answered"
    if len(reasons) > 1 or not {*reasons} <= {"unknown_contact", "exhausted"}:
        yield f"{ask.name} died of {reasons}"
    if not within and not reasons and not may_wait:
        yield f"{ask.name} was acked without a score"
    if ask.key == STRANGER and not reasons:
        yield f"{ask.name} asks for a stranger and did not die"
    if ask.context and within and not reasons and span.is_alone(spans):
        text = {
            CONTEXT_CATEGORIES[name]: math.floor(points + 0.5)
            for name, points in ask.context.items()
        }
        if not any(one.replaced == text for one in within):
            yield f"{ask.name} says {text}, which no score heeded"


CHECKS = (computations, final_scores, history, crossings, alerts, feed, answers)
