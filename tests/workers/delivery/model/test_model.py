"""Every order of two consumers, a sweep, events and a crash keeps what the ledger promises."""

from __future__ import annotations

from functools import cache

import pytest

from delivery.domain.transitions import GUARDS, TRANSITIONS
from tests.workers.delivery.model.machine import Machine, Scenario, Violation
from tests.workers.delivery.model.scenarios import LAPSES, ONE, SCENARIOS, WITHOUT
from tests.workers.delivery.model.search import Graph, explore

# What the model leaves out: a message that is inserted, and a deferral whose end it does not time.
NOT_MODELED = {"insert_messages", "insert_recipients", "sweep_resumed"}


@cache
def explored(scenario: Scenario) -> tuple[Graph, Machine]:
    machine = Machine(scenario)
    return explore(machine), machine


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_order_keeps_the_promises(scenario: Scenario) -> None:
    """No promise is broken, and from each world every message still comes to rest."""
    graph, _ = explored(scenario)
    assert len(graph.worlds) > 500
    assert graph.stuck() == []


@pytest.mark.parametrize("guard", GUARDS)
def test_no_condition_can_be_left_out(guard: str) -> None:
    with pytest.raises(Violation):
        explore(Machine(WITHOUT[guard], frozenset(GUARDS) - {guard}))


@pytest.mark.parametrize(
    ("statement", "scenario"),
    [
        ("sweep_queued", LAPSES),
        ("sweep_lapsed", LAPSES),
        ("sweep_sending", ONE),
        ("sweep_uncertain", ONE),
    ],
)
def test_a_message_is_lost_without_a_sweep(statement: str, scenario: Scenario) -> None:
    assert explore(Machine(scenario, without=frozenset({statement}))).stuck()


def test_the_worlds_use_every_statement_of_the_table() -> None:
    """Where a row has several sources or targets, each target is reached by its statement."""
    used = set()
    for scenario in SCENARIOS:
        _, machine = explored(scenario)
        used |= {(statement, target) for statement, _, target in machine.used_rows}
    rows = {
        (row.statement, target)
        for row in TRANSITIONS
        for target in row.targets
        if row.statement not in NOT_MODELED
    }
    assert used | {("set_places", "claimed")} == rows
