"""The fast set: a few seeds, one day each. `make sim-deliveries` runs many, a fortnight each."""

from __future__ import annotations

import pytest

from tests.sim.deliveries.simulation import Simulation
from tests.sim.deliveries.verdict import problems
from tests.thorough import THOROUGH

SEEDS = range(8 if THOROUGH else 3)  # in seed 2, 6, … the first reference to each message is lost
DAYS = 1


@pytest.mark.parametrize("seed", SEEDS)
def test_deliveries_end_as_they_must(seed: int, database: str) -> None:
    simulation = Simulation(seed, database, DAYS)
    try:
        simulation.run()
        again = f"replay it with: make sim-deliveries SEED={seed} DAYS={DAYS}"
        assert problems(simulation) == [], again
    finally:
        simulation.close()
