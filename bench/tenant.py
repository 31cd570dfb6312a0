"""Late events on four weeks of days, of a small tenant and of the largest, at growing sizes.

The days have no cells, as in a month before the first run: an event on one has its key counted for
the whole day. None of the statements may come near the time limit of Hyperdrive.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

from analytics.store import hours
from analytics.store.hours import Hour
from analytics.store.statements import SQL as JOB_SQL
from bench.generate import Spread
from bench.measure import Result
from bench.world import DAY, HOUR, MONTH_START, SQL, World, plain
from mauntic.database.url import connect
from shared.adapters.postgres.client import Postgres
from shared.messages import Shard
from shared.windows import Window

TIMES = (1, 2, 4)
EVENTS = 2_500_000  # four times as many are a tenth of a hundred million a month
DAYS = 28
LARGEST_SHARE = 0.9
STATEMENT_MAX_MS = 20_000
SPAN = Window(MONTH_START, MONTH_START + DAYS * DAY)
NEXT_HOUR = Window(SPAN.end, SPAN.end + HOUR)


@dataclass
class Stopwatch(Postgres):
    """A database that records its slowest statement and its name."""

    url: str
    slowest_ms: float = 0.0
    slowest: str = ""
    names: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(lambda: connect(self.url))
        self.names = {sql: name for name, sql in JOB_SQL.blocks.items()}

    def _run(self, sql: str, parameters: dict[str, Any]) -> Any:
        started = time.perf_counter()
        result = super()._run(sql, parameters)
        duration_ms = (time.perf_counter() - started) * 1_000
        if duration_ms > self.slowest_ms:
            self.slowest_ms, self.slowest = duration_ms, self.names.get(sql, sql)
        return result


def run(world: World) -> list[Result]:
    """Run both tenants at each size, and the plain recount of the same days for comparison."""
    results = []
    for times in TIMES:
        results += _measure(world, times)
    return results


def _measure(world: World, times: int) -> list[Result]:
    name = f"tenant_{times}"
    spreads = [Spread(world.events(EVENTS * times), SPAN.start, DAYS * DAY)]
    url = world.database(name, spreads, largest_share=LARGEST_SHARE)
    with closing(connect(url)) as admin:
        smallest, largest = _ends(admin)
        plain_ms = plain(admin, "plain_hour", SPAN, "event_aggregates")
        results = []
        for label, organization in (("a small tenant", smallest), ("the largest", largest)):
            with _late_events(admin, organization):
                results += _late(url, f"{times}×, {label}", plain_ms)
        admin.run("truncate bench.event_aggregates")
    return results


def _ends(db: Any) -> tuple[str, str]:
    """Return the organizations with the fewest and with the most events."""
    rows = db.run(SQL["by_size"])
    return str(rows[0][0]), str(rows[-1][0])


@contextmanager
def _late_events(db: Any, organization: str) -> Iterator[None]:
    """Insert one event on each day, all ingested in the hour after the last, and book nothing."""
    db.run(SQL["late_events"], organization=organization, first=SPAN.start, days=DAYS, at=SPAN.end)
    yield
    db.run("delete from analytics.contact_activity where created_at >= :at", at=SPAN.end)
    for table in ("hourly_cells", "event_aggregates", "booking_turns"):
        db.run(f"truncate analytics.{table}")


def _late(url: str, name: str, plain_ms: float) -> list[Result]:
    with closing(Stopwatch(url)) as db:
        runs_ms = _run_of_shards(db)
        note = f"{len(runs_ms)} runs, the longest {max(runs_ms) / 1_000:.1f} s"
        return [
            Result(f"{name} / the plain recount", [sum(runs_ms)], [plain_ms], note=note),
            Result(
                f"{name}: slowest statement / allowed",
                [db.slowest_ms], [STATEMENT_MAX_MS], at_most=1, note=db.slowest,
            ),
        ]  # fmt: skip


def _run_of_shards(db: Postgres) -> list[float]:
    """Do the job's work run by run: the run that splits the window, and its shards."""
    durations_ms = []
    started = time.perf_counter()
    boxes: tuple[dict[str, Any], ...]
    with db.transaction():
        hour = Hour(NEXT_HOUR)
        hours.survey(db, hour)
        size = hours.size(db)
        boxes = hours.shards(db, size)
        if boxes:
            hours.leave_to_shards(db)
        else:
            _book(db, hour, size)
    durations_ms.append((time.perf_counter() - started) * 1_000)
    for box in boxes:
        started = time.perf_counter()
        with db.transaction():
            shard = Hour(NEXT_HOUR, Shard.model_validate(box))
            hours.survey(db, shard)
            _book(db, shard, hours.size(db))
        durations_ms.append((time.perf_counter() - started) * 1_000)
    return durations_ms


def _book(db: Postgres, hour: Hour, size: hours.Size) -> None:
    if hours.book(db, hour, size).rows_written == 0:
        raise RuntimeError(f"nothing was booked: {hour}")
