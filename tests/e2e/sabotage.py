"""The system with a saboteur in its worker (`saboteur/entry.py`), seen from a test."""

from __future__ import annotations

import json
import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analytics.worker import WORKER
from tests.e2e.system import System, copied_project, until
from tests.workers.analytics import reservations

SABOTEUR = Path(__file__).parent / "saboteur" / "entry.py"


def sabotaged_project(folder: Path) -> Path:
    """A copy of the project whose analytics worker has the saboteur for its entry, and batches as
    large as the platform allows, which delay no other message."""
    config = copied_project(folder)
    topology = config.read_text().replace("max_batch_timeout = 5", "max_batch_timeout = 0")
    config.write_text(topology.replace("max_batch_size = 10\n", "max_batch_size = 100\n"))
    worker = folder / "workers" / "analytics"
    (worker / "entry.py").rename(worker / "own_entry.py")
    shutil.copy(SABOTEUR, worker)
    shutil.copy(str(reservations.__file__), worker)
    return config


@dataclass(frozen=True)
class Sabotaged:
    """The system, and the plan of its saboteur."""

    system: System

    def plan(
        self,
        points: dict[str, list[str]] | None = None,
        lease_s: float = 960,
        first_ceiling_s: int = 1,
        write_interval_s: float = 1.0,
        shard_events_target: int = 1_000_000,
    ) -> None:
        """Set the planned faults, the waits of leases, retries and counters, and the size of a
        shard.
        """
        self.ask(
            "/plan",
            points=points or {},
            lease_s=lease_s,
            first_ceiling_s=first_ceiling_s,
            write_interval_s=write_interval_s,
            shard_events_target=shard_events_target,
        )

    def ask(self, path: str, **fields: Any) -> Any:
        """Return the saboteur's answer."""
        body = {"worker": WORKER.name, "url": f"http://saboteur{path}", "method": "POST"}
        answer = self.system.control.ask("POST", "/fetch", body | {"body": json.dumps(fields)})
        assert answer["status"] == 200, answer
        return json.loads(answer["body"])

    def kill_workerd(self) -> None:
        """Kill the process with everything in its memory, and wait for the next one."""
        [before] = self.processes()
        os.kill(before, signal.SIGKILL)
        until(lambda: any(event["event"] == "restarted" for event in self.system.events), 60)
        [after] = self.processes()
        assert after != before

    def processes(self) -> list[int]:
        return [process["pid"] for process in self.system.control.memory()["processes"]]
