"""The job of every five minutes."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from delivery.jobs.sweep import JOB
from delivery.store import sweeps
from shared.jobs import Run
from shared.telemetry.delivery_metrics import Gauge
from shared.windows import Window
from tests.workers.delivery.stage import NOW, Stage, org


def test_the_sweep_measures_what_stands_open(stage: Stage) -> None:
    stage.organization()
    stage.contact(1)
    stage.message(1)
    stage.later(minutes=2)
    stage.message(1)
    for address, at in (("a@b.example", NOW), ("c@b.example", NOW - timedelta(days=1))):
        stage.db.execute(
            "insert into delivery.suppressions (organization_id, email, reason, created_at)"
            " values (:org, :address, 'bounce', :at)",
            org=org(),
            address=address,
            at=at,
        )
    ports = stage.ports()
    gauges = sweeps.gauges(ports.db, stage.outside.now)
    ports.db.close()
    counted = [gauge for gauge in gauges if gauge.count]
    assert counted == [
        Gauge("open", "email", "pending", 2, 120),
        Gauge("suppressed_today", "email", "", 1, 0),
    ]
    assert len(gauges) == 3 * 7 + 3, "none is a value too"


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
    gauges = [p for p in stage.outside.points if p["blobs"][0] == "delivery.gauge"]
    assert ["delivery.gauge", "open", "sms", "queued"] in [p["blobs"] for p in gauges]
