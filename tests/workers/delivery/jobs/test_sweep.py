"""The job of every five minutes."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from delivery.jobs.sweep import JOB
from shared.jobs import Run
from shared.windows import Window
from tests.workers.delivery.stage import NOW, Stage


def test_the_sweep_returns_lost_messages_to_the_queue(stage: Stage) -> None:
    stage.organization()
    stage.contact(1)
    lost, waiting = stage.message(), stage.message(1, 1, channel="sms")
    stage.feed()
    stage.later(minutes=16)
    ports = stage.ports()
    window = Window(NOW, NOW + timedelta(minutes=5))

    async def run() -> None:
        await JOB.handler(Run(window, NOW, None, ports, "cron"))

    asyncio.run(run())
    ports.db.close()
    assert len(stage.outside.producers["SEND_EMAIL"].sent) == 2
    [reference] = stage.outside.producers["SEND_SMS"].sent
    assert reference["data"]["messageId"] == str(waiting)
    assert stage.state(lost)[0] == "queued"
    counts = {(e["type"], e["status"]): e["count"] for e in stage.outside.named("delivery.open")}
    assert counts == {("email", "queued"): 1, ("sms", "queued"): 1}
