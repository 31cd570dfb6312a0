"""mauntic/local/crons.py: the times of fires, and crons that are added while the clock runs."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from itertools import pairwise, takewhile
from queue import Queue
from typing import Any

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from mauntic.local import crons
from mauntic.local.crons import CronClock, planned_fires

TEN = datetime(2026, 3, 1, 10, tzinfo=UTC)


def test_of_what_a_sleeping_machine_missed_the_newest_of_each_cron_fires() -> None:
    """After sixty hours: the 1st at ten to the 3rd at 22:00."""
    crons = [("one", "0 * * * *"), ("one", "*/15 * * * *"), ("two", "0 12 * * *")]
    until = TEN + timedelta(hours=60)
    fires = planned_fires([*crons, ("two", "0 3 1 * *")], TEN, until)
    assert [(cron, at.day, at.hour) for _, cron, at in fires] == [
        ("0 12 * * *", 3, 12), ("0 * * * *", 3, 22), ("*/15 * * * *", 3, 22),
    ]  # fmt: skip
    assert planned_fires(crons, until, until) == []
    assert planned_fires([], TEN, until) == []


@given(
    cron=st.sampled_from(["* * * * *", "*/15 * * * *", "0 * * * *", "0 2 * * *", "0 3 1 * *"]),
    since_s=st.integers(0, 100_000),
    naps_s=st.lists(st.integers(0, 5_000), min_size=1, max_size=20),
)
def test_however_often_it_looks_a_planned_time_fires_once(
    cron: str, since_s: int, naps_s: list[int]
) -> None:
    """Only the last of the planned times between two polls fires, and it never fires again."""
    looks = [TEN + timedelta(seconds=since_s)]
    for nap_s in naps_s:
        looks.append(looks[-1] + timedelta(seconds=nap_s))
    for since, now in pairwise(looks):
        planned = list(takewhile(lambda at, end=now: at <= end, CronSim(cron, since)))  # type: ignore[misc]
        fired = [at for _, _, at in planned_fires([("one", cron)], since, now)]
        assert fired == planned[-1:]


class Moving:
    """Replaces `datetime`: three minutes later at each call."""

    at = TEN

    @classmethod
    def now(cls, _zone: Any) -> datetime:
        cls.at += timedelta(minutes=3)
        return cls.at


class Control:
    """Records the fires."""

    def __init__(self) -> None:
        self.fired: Queue[tuple[str, str]] = Queue()

    def fire_cron(self, worker: str, cron: str, _at: datetime) -> dict[str, str]:
        self.fired.put((worker, cron))
        return {"outcome": "ok"}


def test_a_new_cron_fires_without_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if there was none before."""
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
