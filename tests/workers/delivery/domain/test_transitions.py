"""The rows of the state machine are those of the document that the worker implements."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from delivery.domain.transitions import (
    FINAL,
    GUARDS,
    STATES,
    TRANSITIONS,
    WITH_A_CALL,
    Actor,
    Transition,
)

# "Message ledger" of the contract on journeys and deliveries, the table word by word: from, to,
# when, by. The document is the project's specification; the code does not produce this text.
DOCUMENT = """
(insert) | `pending`; `deferred` with a future `not_before`; `skipped` | producer inserts | producer
`pending`, `deferred` (due) | `queued` | in-flight limits have room | feeder
`pending`, `queued` (due), `deferred` (due); `claimed` with an expired lease (`lapses + 1`) | \
`claimed`, `skipped`, `deferred` | reference arrives; checks run | claim
`held` | `pending` | redrive, `messages resolve --resend` | operator
`sending` | `claimed` | call-level `refused` of several messages | verdict
any state with a call | `sent` | `accepted` or evidence | verdict, feedback
`claimed` | `sending`; `skipped`, `deferred` (second check) | immediately before the call | call
`claimed` | `failed`, `template` | rendering fails | call
`claimed` | `pending` | 120 s call budget used up; lease expired (`lapses + 1`) | consumer, sweep
`claimed` | `held` | third lapse | sweep
`pending`, `queued`, `claimed` | `held` | dead letter with reason `failed` (an exception of ours) | on_dead
`sending` | by verdict | the call ended | verdict
`sending` | `uncertain` | lease expired | sweep
`uncertain` | `sent`, `failed`, `pending`, final `uncertain` | evidence, operator, \
`on_uncertain = retry`, 48 h | feedback, reconcile, sweep
`queued` | `pending` | `queued_until` passed | sweep
`pending`, `queued`, `deferred` | `skipped`, `expired` | `expires_at` passed | sweep
`held` | `failed`, `dead_letter` | `expires_at` passed | sweep
"""  # noqa: E501
# "Verdicts": the effect of each on a message in `sending`.
BY_VERDICT = {"sent", "failed", "skipped", "deferred", "held", "pending", "uncertain"}
# Sentences of other sections: which rules the table leaves out.
OTHER_RULES = {
    "the reservation of a warm-up place ends",
    "the campaign or the execution is canceled",
    "the reason of `infinity` no longer holds",
    "an operator resends or settles it",
    "after an unknown call, no second call follows or it is refused",
    "the call ended late: its verdict comes with the newest token",
    "a look-up or a repetition is evidence, in any state",
}
# An event is evidence of the feedback consumer; the state after it is `sent` from any state too.
ROWS = [[cell.strip() for cell in line.split(" | ")] for line in DOCUMENT.strip().splitlines()]


def words(cell: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", cell))


def states(cell: str) -> set[str]:
    if cell == "(insert)":
        return set()
    if cell == "any state with a call":
        return set(WITH_A_CALL)
    return BY_VERDICT if cell == "by verdict" else words(cell) & set(STATES)


def of_rule(rule: str, sources: set[str], targets: set[str]) -> list[Transition]:
    return [
        row
        for row in TRANSITIONS
        if row.rule == rule and set(row.sources) <= sources and set(row.targets) <= targets
    ]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[2]}"[:60])
def test_a_row_of_the_document_is_in_the_table(row: list[str]) -> None:
    source, target, rule, by = row
    found = of_rule(rule, states(source), states(target))
    assert set().union(*(one.sources for one in found)) == states(source)
    assert set().union(*(one.targets for one in found)) == states(target)
    assert set().union(*(one.by for one in found)) == set(by.split(", "))
    reasons = words(target) - set(STATES) - {"not_before"}
    assert set().union(*(one.reasons for one in found)) == reasons


def test_the_table_has_no_other_rows() -> None:
    for row in TRANSITIONS:
        fits = any(
            row in of_rule(rule, states(source), states(target)) for source, target, rule, _ in ROWS
        )
        assert fits != (row.rule in OTHER_RULES), row
    assert {row.rule for row in TRANSITIONS} >= OTHER_RULES


def test_every_name_is_used_and_declared() -> None:
    assert {name for row in TRANSITIONS for name in row.guards} == GUARDS.keys()
    assert {actor for row in TRANSITIONS for actor in row.by} == set(get_args(Actor))
    used = {state for row in TRANSITIONS for state in (*row.sources, *row.targets)}
    assert used == set(STATES)


def test_a_final_message_becomes_nothing_but_sent() -> None:
    left = {
        target for row in TRANSITIONS if set(row.sources) & set(FINAL) for target in row.targets
    }
    assert left == {"sent"}
