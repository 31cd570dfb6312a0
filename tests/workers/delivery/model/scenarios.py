"""Bounded worlds, and for each condition the world that shows what it is for."""

from __future__ import annotations

from tests.workers.delivery.model.machine import Scenario

ONE = Scenario(
    "one message",
    outcomes=("accepted", "unknown", "refused", "suppress", "defer", "pause"),
    events={"claim": 2, "feed": 1, "crash": 1, "suppress": 1, "evidence": 1, "expire": 1},
)
TWO = Scenario(
    "two messages",
    messages=2,
    events={"claim": 2, "crash": 1, "suppress": 1, "evidence": 1},
)
NEIGHBORS = Scenario(
    "two messages and a wrong one",
    messages=2,
    outcomes=("refused", "all_refused"),
    events={"claim": 2},
)
REPETITION = Scenario(
    "repetition",
    repeats=True,
    configs=2,
    outcomes=("accepted", "unknown", "defer"),
    events={"claim": 3, "crash": 1, "evidence": 1},
)
ENDED_REPETITION = Scenario(
    "repetition that ends",
    repeats=True,
    outcomes=("accepted", "unknown", "refused"),
    events={"claim": 3, "suppress": 1, "expire": 1, "cancel": 1, "broken_template": 1, "feed": 1},
)
HELD = Scenario(
    "held",
    outcomes=("accepted", "retry"),
    events={"claim": 3, "feed": 1, "operator": 1, "dead_letter": 1, "expire": 1},
)
LATE = Scenario(
    "late and repeated verdicts",
    outcomes=("accepted", "defer", "unknown"),
    events={"claim": 3, "lost_answer": 1, "operator": 1, "evidence": 1},
)
LAPSES = Scenario("lapses", events={"claim": 4, "crash": 1, "feed": 1})
RECONCILED = Scenario(
    "reconcile",
    outcomes=("accepted", "unknown"),
    events={"claim": 2, "reconcile": 1, "suppress": 1, "crash": 1, "produce": 1},
)
PAUSED = Scenario(
    "pause",
    messages=2,
    cap=1,
    outcomes=("accepted", "unknown"),
    events={"claim": 2, "pause": 1, "resume": 1},
)
WARM_UP = Scenario(
    "warm-up",
    messages=2,
    cap=1,
    outcomes=("accepted", "unknown", "refused"),
    events={"claim": 2, "crash": 1, "broken_template": 1},
)
STALE_PLACE = Scenario(
    "warm-up and a stale reservation",
    messages=2,
    cap=1,
    outcomes=("accepted",),
    events={"claim": 3},
)
WARM_REPETITION = Scenario(
    "warm-up and repetition",
    repeats=True,
    cap=1,
    events={"claim": 3, "crash": 1, "suppress": 1},
)

SCENARIOS = (
    ONE, TWO, NEIGHBORS, REPETITION, ENDED_REPETITION, HELD, LATE, LAPSES, RECONCILED, PAUSED,
    WARM_UP, STALE_PLACE, WARM_REPETITION,
)  # fmt: skip

# The world in which a promise is broken without the condition.
WITHOUT = {
    "key_is_new": RECONCILED,
    "held_is_closed": HELD,
    "sending_is_closed": ONE,
    "unknown_keeps_config": REPETITION,
    "call_state": ONE,
    "call_token": REPETITION,
    "second_check": ONE,
    "place_before_call": WARM_UP,
    "place_is_ours": STALE_PLACE,
    "place_given_back_once": PAUSED,
    "place_kept_after_call": WARM_UP,
    "new_place_for_repetition": WARM_REPETITION,
    "verdict_state": LATE,
    "verdict_token": LATE,
    "evidence_counts": REPETITION,
    "refusal_of_all_is_of_none": NEIGHBORS,
    "hold_is_kept": ONE,
    "one_repetition": REPETITION,
    "unknown_is_not_hidden": ENDED_REPETITION,
    "repetition_is_checked": RECONCILED,
    "dead_letter_spares_calls": HELD,
    "final_stays": ONE,
}
