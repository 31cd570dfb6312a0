"""The fast set: a few seeds, one day each. `make sim-deliveries` runs many, a fortnight each."""

from __future__ import annotations

import pytest

from mauntic.database.embedded.server import Server
from tests.scratch import scratch_database
from tests.sim.deliveries.evidence import history_of
from tests.sim.deliveries.simulation import Simulation
from tests.sim.deliveries.verdict import problems
from tests.thorough import THOROUGH, long

# In seed 2, 6, … the first reference to each message and to each part of a campaign is lost.
SEEDS = range(8) if THOROUGH else (1, 2)
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


@long
def test_a_seed_decides_over_everything(postgres: Server, migrated: str) -> None:
    """The same seed has the same calls and the same changes at the same moments."""
    histories = []
    for _ in range(2):
        with scratch_database(postgres, migrated) as database:
            simulation = Simulation(1, database, DAYS)
            simulation.run()
            histories.append(history_of(simulation))
            simulation.close()
    assert histories[0] == histories[1]
