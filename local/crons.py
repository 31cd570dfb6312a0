"""Fires the workers' crons on schedule, in UTC, as the platform does: once a planned minute."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from cronsim import CronSim

from local.runtime import Control, RuntimeFailed

Say = Callable[..., None]


class CronClock:
    """Knows the next planned time of every cron of every worker."""

    def __init__(self, control: Control, workers: Sequence[dict[str, Any]], say: Say) -> None:
        self._control = control
        self._say = say
        self._crons = [(worker["name"], cron) for worker in workers for cron in worker["crons"]]

    def run_until(self, stop: threading.Event) -> Callable[[], None]:
        """What a thread is to do: sleep, fire, and so on until `stop` is set."""

        def run() -> None:
            now = datetime.now(UTC)
            while self._crons:
                planned = min(next_fire(cron, now) for _, cron in self._crons)
                if stop.wait((planned - datetime.now(UTC)).total_seconds()):
                    return
                self._fire(planned, now)
                now = planned

        return run

    def _fire(self, planned: datetime, since: datetime) -> None:
        for worker, cron in self._crons:
            if next_fire(cron, since) == planned:
                threading.Thread(
                    target=self._fire_one, args=(worker, cron, planned), daemon=True
                ).start()

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


def next_fire(cron: str, after: datetime) -> datetime:
    """The first planned time after a moment.

    >>> next_fire("*/15 * * * *", datetime(2026, 3, 1, 10, 15, tzinfo=UTC)).isoformat()
    '2026-03-01T10:30:00+00:00'
    """
    return next(CronSim(cron, after))
