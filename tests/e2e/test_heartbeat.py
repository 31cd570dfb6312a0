"""The heartbeat on the real runtime."""

from __future__ import annotations

import pytest

from analytics.worker import WORKER
from tests.e2e.system import DAY, HOURLY, System
from tests.e2e.watcher import Watcher

pytestmark = pytest.mark.e2e


def test_a_tick_says_that_it_has_done_its_work_or_that_it_has_not(
    system: System, watcher: Watcher
) -> None:
    watcher.asked.clear()
    system.tick(DAY)
    assert watcher.asked == ["/ping/analytics"]
    system.run("alter table ops.schedules rename to elsewhere")
    try:
        system.control.fire_cron(WORKER.name, HOURLY, DAY)
        assert watcher.asked == ["/ping/analytics", "/ping/analytics/fail"]
        assert [one["error_class"] for one in system.logged("dispatch.ledger_unavailable")] == [
            "DatabaseError:42P01"
        ]
    finally:
        system.run("alter table ops.elsewhere rename to schedules")
