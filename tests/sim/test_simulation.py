"""The fast set: a few seeds, three days each. `make sim` runs many, a fortnight each."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

import pytest

from mauntic.database.embedded.server import Server
from mauntic.database.url import connect
from tests.scratch import scratch_database
from tests.sim.simulation import Simulation
from tests.sim.verdict import problems
from tests.thorough import THOROUGH

SEEDS = range(4 if THOROUGH else 2)  # the odd ones split their windows
DAYS = 3
CHANGING = (
    "ops.job_runs, ops.dead_letters, crm.contact_changes, scoring.recompute_backlog,"
    " scoring.lead_scores, scoring.signal_alerts, analytics.contact_activity"
)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_simulation_ends_as_the_oracle_says(seed: int, database: str) -> None:
    simulation = Simulation(seed, database, DAYS)
    try:
        simulation.run()
        assert problems(simulation) == [], f"replay it with: make sim SEED={seed} DAYS={DAYS}"
    finally:
        simulation.close()


def test_a_seed_decides_over_everything(postgres: Server, migrated: str) -> None:
    """Repeating a seed gives the same faults, answers and errors at the same times.

    In the second run a vacuum often moves the rows, as the server does at any time: nothing depends
    on where a row is stored.
    """
    with scratch_database(postgres, migrated) as database:
        once = run_two_days(database)
    with scratch_database(postgres, migrated) as database, closing(connect(database)) as admin:
        again = run_two_days(database, partial(admin.run, f"vacuum (analyze) {CHANGING}"))
    assert len(once) > 100
    assert once == again


def run_two_days(database: str, often: Callable[[], object] = bool) -> list[dict[str, Any]]:
    """Return the events of a simulation, in which `often` runs a hundred times."""
    simulation = Simulation(3, database, days=2)
    for share in range(100):
        moment = simulation.start + (simulation.end - simulation.start) * share / 100
        simulation.at(moment, often)
    try:
        return simulation.run().events
    finally:
        simulation.close()
