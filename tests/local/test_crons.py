"""local/crons.py: what fires when, and crons that come while the clock runs."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from queue import Queue
from typing import Any

import pytest

from local import crons
from local.crons import CronClock, planned_fires

TEN = datetime(2026, 3, 1, 10, tzinfo=UTC)


def test_what_a_sleeping_machine_missed_fires_in_order_and_once() -> None:
    hourly = [("one", "0 * * * *"), ("two", "0 12 * * *")]
    until = TEN + timedelta(hours=2)
    fires = planned_fires(hourly, TEN, until)
    assert [(worker, at.hour) for worker, _, at in fires] == [("one", 11), ("one", 12), ("two", 12)]
    assert planned_fires(hourly, until, until) == []
    assert planned_fires([], TEN, until) == []


class Moving:
    """In place of `datetime`: three minutes later each time that it is asked."""

    at = TEN

    @classmethod
    def now(cls, _zone: Any) -> datetime:
        cls.at += timedelta(minutes=3)
        return cls.at


class Control:
    """Keeps what was fired."""

    def __init__(self) -> None:
        self.fired: Queue[tuple[str, str]] = Queue()

    def fire_cron(self, worker: str, cron: str, _at: datetime) -> dict[str, str]:
        self.fired.put((worker, cron))
        return {"outcome": "ok"}


def test_a_new_cron_fires_without_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where there was none before."""
    monkeypatch.setattr(crons, "POLL_S", 0.01)
    monkeypatch.setattr(crons, "datetime", Moving)
    control, stop = Control(), threading.Event()
    clock = CronClock(control, [{"name": "one", "crons": []}], lambda event, **fields: None)  # type: ignore[arg-type]
    thread = threading.Thread(target=clock.run_until(stop))
    thread.start()
    try:
        clock.set([{"name": "one", "crons": ["*/5 * * * *"]}])
        assert control.fired.get(timeout=10) == ("one", "*/5 * * * *")
    finally:
        stop.set()
        thread.join()
