"""The fast set: a few seeds, three days each. `make sim` runs many, a fortnight each."""

from __future__ import annotations

import pytest

from tests.sim.simulation import Simulation
from tests.sim.verdict import problems

SEEDS = range(4)  # the odd ones split their windows
DAYS = 3


@pytest.mark.parametrize("seed", SEEDS)
def test_a_simulation_ends_as_the_oracle_says(seed: int, database: str) -> None:
    simulation = Simulation(seed, database, DAYS)
    try:
        simulation.run()
        assert problems(simulation) == [], f"replay it with: make sim SEED={seed} DAYS={DAYS}"
    finally:
        simulation.close()


def test_a_seed_decides_over_everything(database: str) -> None:
    """Replaying one gives the same faults, messages and errors, to the last."""
    first, second = (Simulation(3, database, DAYS) for _ in range(2))
    assert first.history == second.history
    assert first.asks == second.asks
    assert [(one.at, one.values) for one in first.changes] == [
        (one.at, one.values) for one in second.changes
    ]
    assert first.faults.outages == second.faults.outages
    assert [at for at, *_ in first.actions] == [at for at, *_ in second.actions]
