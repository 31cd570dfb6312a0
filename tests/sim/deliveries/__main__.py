"""`python -m tests.sim.deliveries`: many seeds, a process for each core; or one, to look at."""

from __future__ import annotations

import sys

from tests.sim.deliveries.evidence import history_of
from tests.sim.deliveries.simulation import DAYS, Simulation
from tests.sim.deliveries.verdict import problems
from tests.sim.seeds import Command, Judged


def judge(seed: int, url: str, days: int) -> Judged:
    """Run one seed: what is wrong, and what it did."""
    simulation = Simulation(seed, url, days)
    try:
        simulation.run()
        return Judged(problems(simulation), str(history_of(simulation)))
    finally:
        simulation.close()


COMMAND = Command("python -m tests.sim.deliveries", __doc__ or "", judge, DAYS, "sim-deliveries")

if __name__ == "__main__":
    sys.exit(COMMAND.main())
