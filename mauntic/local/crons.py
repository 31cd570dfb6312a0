"""Fire the workers' crons on schedule, in UTC, once per planned minute, as the platform does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any

from cronsim import CronSim

from mauntic.local.control_client import Control, RuntimeFailed

Say = Callable[..., None]

POLL_S = 0.5  # how late a cron may fire, and how soon a new one is used


class CronClock:
    """The next planned time of every cron of every worker."""

    def __init__(self, control: Control, workers: Sequence[dict[str, Any]], say: Say) -> None:
        self._control = control
        self._say = say
        self.set(workers)

    def set(self, workers: Sequence[dict[str, Any]]) -> None:
        """Replace all crons."""
        self._crons = [(worker["name"], cron) for worker in workers for cron in worker["crons"]]

    def run_until(self, stop: threading.Event) -> Callable[[], None]:
        """Fire crons until `stop` is set; runs in a thread."""

        def run() -> None:
            since = datetime.now(UTC)
            while not stop.wait(POLL_S):
                now = datetime.now(UTC)
                for fire in planned_fires(self._crons, since, now):
                    threading.Thread(target=self._fire_one, args=fire, daemon=True).start()
                since = max(since, now)  # no cron fires twice if the clock is set back

        return run

    def _fire_one(self, worker: str, cron: str, planned: datetime) -> None:
        self._say("cron.fired", worker=worker, cron=cron, planned=planned.isoformat())
        try:
            outcome = self._control.fire_cron(worker, cron, planned)
        except RuntimeFailed as error:
            outcome = {"outcome": "exception", "error": str(error)}
        if outcome["outcome"] != "ok":
            self._say(
                "cron.failed",
                level="error",
                worker=worker,
                cron=cron,
                traceback=outcome.get("error"),
            )


def planned_fires(
    crons: Sequence[tuple[str, str]], since: datetime, now: datetime
) -> list[tuple[str, str, datetime]]:
    """Return (worker, cron, planned time) of the newest fire of each cron after `since`, in order.

    Earlier fires, missed while the machine was asleep, are left out: the platform does not repeat
    them either, and the newest tick catches up the due windows.

    >>> ten, half_past = (datetime(2026, 3, 1, 10, minute, tzinfo=UTC) for minute in (0, 30))
    >>> crons = [("one", "*/15 * * * *"), ("two", "20 * * * *")]
    >>> [(worker, at.minute) for worker, _, at in planned_fires(crons, ten, half_past)]
    [('two', 20), ('one', 30)]
    """
    just_after = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    newest = ((*cron, next(CronSim(cron[1], just_after, reverse=True))) for cron in crons)
    return sorted((fire for fire in newest if fire[2] > since), key=itemgetter(2))
