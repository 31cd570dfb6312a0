"""Fires the workers' crons on schedule, in UTC, as the platform does: once a planned minute."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any

from cronsim import CronSim

from mauntic.local.control_client import Control, RuntimeFailed

Say = Callable[..., None]

POLL_S = 0.5  # how late a cron may fire, and how soon a new one is taken up


class CronClock:
    """Knows the next planned time of every cron of every worker."""

    def __init__(self, control: Control, workers: Sequence[dict[str, Any]], say: Say) -> None:
        self._control = control
        self._say = say
        self.set(workers)

    def set(self, workers: Sequence[dict[str, Any]]) -> None:
        """These crons from now on, in place of those before."""
        self._crons = [(worker["name"], cron) for worker in workers for cron in worker["crons"]]

    def run_until(self, stop: threading.Event) -> Callable[[], None]:
        """What a thread is to do: sleep, fire, and so on until `stop` is set."""

        def run() -> None:
            since = datetime.now(UTC)
            while not stop.wait(POLL_S):
                now = datetime.now(UTC)
                for fire in planned_fires(self._crons, since, now):
                    threading.Thread(target=self._fire_one, args=fire, daemon=True).start()
                since = max(since, now)  # a clock that is set back fires nothing twice

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

    Earlier fires, which a machine that slept has missed, are left out: the platform does not replay
    them either, and the newest tick catches up what is due.

    >>> ten, half_past = (datetime(2026, 3, 1, 10, minute, tzinfo=UTC) for minute in (0, 30))
    >>> crons = [("one", "*/15 * * * *"), ("two", "20 * * * *")]
    >>> [(worker, at.minute) for worker, _, at in planned_fires(crons, ten, half_past)]
    [('two', 20), ('one', 30)]
    """
    just_after = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    newest = ((*one, next(CronSim(one[1], just_after, reverse=True))) for one in crons)
    return sorted((fire for fire in newest if fire[2] > since), key=itemgetter(2))
