"""Twenty thousand messages of both workers, including failures, each accounted for."""

from __future__ import annotations

import json
import random
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from analytics.worker import WORKER as ANALYTICS
from bench.measure import Result
from bench.world import SQL, World
from mauntic.database.url import connect
from mauntic.local.control_client import Control, Event, LocalRuntime
from scoring.worker import WORKER as SCORING

SEED = 20260310
WAVE = 1_000  # fits into the local broker
SETTLED_TIMEOUT_S = 900
# Each category of message: its number in 20,000, and its possible outcomes.
ANALYTICS_KINDS = {
    "good": (9_000, {"ack"}),
    "flaky": (600, {"ack", "exhausted"}),  # fails every second time
    "stubborn": (60, {"exhausted"}),  # fails every time, with an error that is retried
    "broken": (240, {"failed"}),  # fails with an error that is not retried
    "invalid": (1_500, {"invalid"}),
    "unknown": (600, {"unknown_type"}),
}
SCORING_KINDS = {
    "good": (5_600, {"ack"}),
    "flaky": (400, {"ack", "exhausted"}),
    "stubborn": (40, {"exhausted"}),
    "broken": (160, {"failed"}),
    "stranger": (800, {"unknown_contact"}),
    "invalid": (600, {"invalid"}),
    "unknown": (400, {"unknown_type"}),
}
TROUBLE = {"flaky": ("40001", 0.5), "stubborn": ("40001", 1.0), "broken": ("P0001", 1.0)}

# The windows of a day have one category and are every second hour, because a run touches adjacent
# hours.
HOURS_A_DAY = 12
FIRST_DAY = datetime(2023, 1, 1, tzinfo=UTC)
ORGANIZATION = UUID(int=1)


@dataclass
class Sent:
    """The sent messages, and their outcomes in the workers' log."""

    # correlation id -> queue, category
    kinds: dict[str, tuple[str, str]] = field(default_factory=dict)
    finals: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    retries: int = 0
    handled_ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def listen(self, event: Event) -> None:
        """Process a log line; called in the runtime's thread."""
        text = event.get("text") or ""
        if not text.startswith('{"event": "queue.metric"'):
            return
        line = json.loads(text)
        self.handled_ms[line["queue"]].append(line["duration_ms"])
        if line["status"] == "retry":
            self.retries += 1
        else:
            self.finals[line["message_id"]].append(line["status"])


def run(world: World) -> list[Result]:
    """Send everything in waves, then look for every message in the log and in the tables."""
    url, sent = world.database("load", []), Sent()
    messages = _messages(world.events(1_000_000) / 1_000_000)
    with closing(connect(url)) as db, LocalRuntime(url, on_event=sent.listen) as runtime:
        _arrange(db, messages)
        began = time.perf_counter()
        memory = list(_send(runtime.control, messages, sent))
        handled_s = time.perf_counter() - began
        if not runtime.control.wait_idle(timeout_s=SETTLED_TIMEOUT_S):
            raise RuntimeError(f"not settled: {runtime.control.queues()}")
        settled_s = time.perf_counter() - began
        ended = _account(db, sent)
        rss_mb = sum(p["peakRssBytes"] for p in runtime.control.memory()["processes"]) / 1_048_576
    note = f"{len(messages) / handled_s:.0f} messages/s; {sent.retries} retries; {ended}"
    return [
        Result(f"{len(messages):,} messages handled", [handled_s * 1_000], note=note),
        Result("… and the last retry settled", [settled_s * 1_000]),
        *(_in_hand(*handled) for handled in sorted(sent.handled_ms.items())),
        Result("memory", [], note=f"{_isolates(memory)}; peak of workerd {rss_mb:.0f} MB"),
    ]


def _in_hand(queue: str, durations_ms: list[float]) -> Result:
    """Return the duration of deliveries, including the connection of their batch."""
    cuts_ms = statistics.quantiles(durations_ms, n=100)
    note = f"{len(durations_ms):,} deliveries: p95 {cuts_ms[94]:.0f} ms, p99 {cuts_ms[98]:.0f} ms"
    return Result(f"in hand, {queue}, median", [cuts_ms[49]], note=note)


Message = tuple[str, str, int, Any]  # queue, category, number, body


def _messages(scale: float) -> list[Message]:
    """Return all messages, shuffled. The numbers of a category begin on a separate day."""
    made = []
    for queue, kinds, body in (
        (ANALYTICS.main_queue.name, ANALYTICS_KINDS, _window_body),
        (SCORING.main_queue.name, SCORING_KINDS, _score_body),
    ):
        number = 0
        for category, (count, _) in kinds.items():
            for _ in range(round(count * scale)):
                made.append((queue, category, number, body(category, number)))
                number += 1
            number += -number % HOURS_A_DAY
    random.Random(SEED).shuffle(made)
    return made


def _hour(number: int) -> datetime:
    """Return the window's start: twelve per day."""
    day, of_day = divmod(number, HOURS_A_DAY)
    return FIRST_DAY + timedelta(days=day, hours=2 * of_day)


def _contact(number: int) -> UUID:
    return UUID(int=1_000_000 + number)


def _window_body(category: str, number: int) -> dict[str, Any]:
    planned = (_hour(number) + timedelta(hours=1)).isoformat()
    named = {"correlationId": f"{ANALYTICS.main_queue.name} {category} {number}"}
    match category:
        case "unknown":
            return named | {"type": "analytics.nobody"}
        case "invalid":
            planned = "no time"
    return named | {"type": "analytics.aggregate-hourly", "scheduledFor": planned}


def _score_body(category: str, number: int) -> dict[str, Any]:
    named = {"correlationId": f"{SCORING.main_queue.name} {category} {number}"}
    data = {"organizationId": str(ORGANIZATION), "contactId": str(_contact(number))}
    match category:
        case "unknown":
            return named | {"type": "scoring.nobody"}
        case "invalid":
            data["contactId"] = "nobody"
    return named | {"type": "scoring.CalculateScore", "data": data}


def _arrange(db: Any, messages: list[Message]) -> None:
    """Insert an event in each hour, the contacts except unknown ones, and the causes of
    failures.
    """
    hours: list[str] = []
    contacts: list[str] = []
    troubles = []
    for queue, category, number, _ in messages:
        if category in ("invalid", "unknown", "stranger"):
            continue
        is_window = queue == ANALYTICS.main_queue.name
        key = _hour(number).isoformat() if is_window else str(_contact(number))
        (hours if is_window else contacts).append(key)
        if category in TROUBLE:
            troubles.append((key, *TROUBLE[category]))
    db.run(SQL["load_events"], hours=hours, organization=ORGANIZATION)
    db.run(SQL["load_contacts"], contacts=contacts, organization=ORGANIZATION)
    db.run(SQL["load_trouble"])
    keys, codes, odds = (list(column) for column in zip(*troubles, strict=True))
    db.run(SQL["load_troubles"], keys=keys, codes=codes, odds=odds)


def _send(control: Control, messages: list[Message], sent: Sent) -> Iterator[dict[str, Any]]:
    """Send wave after wave, each after the previous one except its retries; return the isolates'
    memory after each.
    """
    for start in range(0, len(messages), WAVE):
        wave: dict[str, list[Any]] = defaultdict(list)
        for queue, category, _, body in messages[start : start + WAVE]:
            wave[queue].append(body)
            sent.kinds[body["correlationId"]] = queue, category
        for queue, bodies in wave.items():
            control.send(queue, bodies)
        while any(q["waiting"] or q["inFlight"] for q in control.queues().values()):
            time.sleep(0.02)
        yield control.memory()["workers"]


def _account(db: Any, sent: Sent) -> str:
    """Count the outcomes. Raise RuntimeError if a message has none, two, or an unexpected one."""
    if len(sent.finals) != len(sent.kinds) or any(len(ends) != 1 for ends in sent.finals.values()):
        raise RuntimeError(f"{len(sent.kinds)} messages were sent, {len(sent.finals)} have an end")
    letters = db.run("select body ->> 'correlationId', reason from ops.dead_letters")
    dead = dict(letters)
    if len(dead) != len(letters):
        raise RuntimeError("a message is dead twice")
    ends: Counter[str] = Counter()
    for name, (queue, category) in sent.kinds.items():
        kinds = ANALYTICS_KINDS if queue == ANALYTICS.main_queue.name else SCORING_KINDS
        end = dead.get(name, "ack")
        if end not in kinds[category][1]:
            raise RuntimeError(f"{name} ended as {end}")
        ends[end] += 1
    _compare_rows(db, sent, dead)
    return ", ".join(f"{count:,} {end}" for end, count in ends.most_common())


def _compare_rows(db: Any, sent: Sent, dead: dict[str, str]) -> None:
    """Check that finished work is in the tables exactly once. The run of another hour may have
    booked a dead hour with its day, but never twice.
    """
    done = Counter(queue for name, (queue, _) in sent.kinds.items() if name not in dead)
    [[succeeded]] = db.run("select count(*) from ops.job_runs where status = 'succeeded'")
    [[booked]] = db.run("select sum(count) from analytics.event_aggregates")
    [[scored]] = db.run("select count(*) from scoring.lead_scores")
    found = {ANALYTICS.main_queue.name: succeeded, SCORING.main_queue.name: scored}
    exhausted = sum(reason == "exhausted" for reason in dead.values())
    if found != done or not succeeded <= booked <= succeeded + exhausted:
        raise RuntimeError(f"{dict(done)} were done; in the tables: {found}, {booked} events")


def _isolates(memory: list[dict[str, Any]]) -> str:
    """Format each worker's memory after the first wave and after the last; it never shrinks."""
    return "; ".join(
        f"{name} {memory[0][name]['wasmBytes'] / 1_048_576:.0f} MB, in the end "
        f"{memory[-1][name]['wasmBytes'] / 1_048_576:.0f} MB"
        for name in memory[0]
    )
