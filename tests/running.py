"""Run a job as consume would, on a real Postgres."""

from __future__ import annotations

import asyncio
from datetime import datetime

from shared.flow.window_run import run_window
from shared.jobs import WindowJob
from shared.messages import WindowMessage
from shared.outcome import Outcome
from tests.fakes import FakeDelivery, World


def run_job(
    job: WindowJob, database: str, planned: datetime, world: World | None = None
) -> Outcome:
    """Run the window of a planned time; each call is a message of its own."""
    world = world or World(database, now=planned)
    message = job.message.model_validate({"type": job.type, "scheduledFor": planned})
    assert isinstance(message, WindowMessage)
    ports = world.ports()
    try:
        delivery = FakeDelivery(message.body(), id=f"message-{id(ports)}", sent_at=planned)
        return asyncio.run(run_window(job, message, delivery, ports))
    finally:
        ports.db.close()
