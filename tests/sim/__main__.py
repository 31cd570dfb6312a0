"""`python -m tests.sim`: many seeds, a process for each core; or one seed, to look at."""

from __future__ import annotations

import sys

from tests.sim.seeds import Command, Judged
from tests.sim.simulation import DAYS, Simulation
from tests.sim.verdict import problems


def judge(seed: int, url: str, days: int) -> Judged:
    """Run one seed: what is wrong."""
    simulation = Simulation(seed, url, days)
    try:
        simulation.run()
        return Judged(problems(simulation))
    finally:
        simulation.close()


COMMAND = Command("python -m tests.sim", __doc__ or "", judge, DAYS, "sim")

if __name__ == "__main__":
    sys.exit(COMMAND.main())
