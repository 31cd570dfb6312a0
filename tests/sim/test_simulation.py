"""The fast set: a few seeds, three days each. `make sim` runs many, a fortnight each."""

from __future__ import annotations

import pytest

from mauntic.database.embedded.server import Server
from tests.scratch import scratch_database
from tests.sim.simulation import Simulation
from tests.sim.verdict import problems
from tests.thorough import THOROUGH

SEEDS = range(4 if THOROUGH else 2)  # the odd ones split their windows
DAYS = 3


@pytest.mark.parametrize("seed", SEEDS)
def test_a_simulation_ends_as_the_oracle_says(seed: int, database: str) -> None:
    simulation = Simulation(seed, database, DAYS)
    try:
        simulation.run()
        assert problems(simulation) == [], f"replay it with: make sim SEED={seed} DAYS={DAYS}"
    finally:
        simulation.close()


def test_a_seed_decides_over_everything(postgres: Server, migrated: str) -> None:
    """Repeating a seed gives the same faults, answers and errors at the same times."""
    reported = []
    for _ in range(2):
        with scratch_database(postgres, migrated) as database:
            simulation = Simulation(3, database, days=2)
            simulation.run()
            simulation.close()
        reported.append(simulation.events)
    assert len(reported[0]) > 100
    assert reported[0] == reported[1]
