"""The state machine of a message, as data: which statement changes which state, and when.

A statement of `workers/delivery/sql/` changes a state only as a row of `TRANSITIONS` says.
docs/deliveries.md has a diagram of these rows. The model check of the tests explores them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

State = Literal[
    "pending", "queued", "deferred", "claimed", "sending",
    "sent", "skipped", "failed", "held", "uncertain",
]  # fmt: skip
Actor = Literal[
    "producer", "feeder", "claim", "call", "consumer", "verdict",
    "sweep", "feedback", "reconcile", "on_dead", "operator",
]  # fmt: skip

STATES: tuple[State, ...] = get_args(State)
# `uncertain` becomes final after 48 hours.
FINAL: tuple[State, ...] = ("sent", "skipped", "failed")
WITH_A_CALL: tuple[State, ...] = (
    "pending", "queued", "deferred", "claimed", "sending", "held", "uncertain", "skipped", "failed",
)  # fmt: skip

# Conditions of the statements. The model check fails without any one of them.
GUARDS = {
    "key_is_new": "a message is inserted once for each key of its organization",
    "held_is_closed": "a held message is neither fed nor claimed",
    "sending_is_closed": "a message in a call is not claimed",
    "unknown_keeps_config": "after an unknown attempt only the config of that attempt is used",
    "call_state": "a call begins only from the state claimed",
    "call_token": "a call begins only with the token of the newest claim",
    "second_check": "the statement that sets sending reads suppression, source and contact again",
    "place_before_call": "a place of the warm-up is reserved and committed before the call",
    "place_is_ours": "a place counts only while the state is claimed and the token is ours",
    "place_given_back_once": "the statement that decides a release also clears warmup_day",
    "place_kept_after_call": "the place of an unknown or accepted call is not released",
    "new_place_for_repetition": "uncertain to pending clears warmup_day",
    "verdict_state": "a verdict changes a message only in sending or uncertain, and not final",
    "verdict_token": "a verdict changes a message only while its token is the newest",
    "evidence_counts": "accepted and evidence make a message sent, from any state",
    "refusal_of_all_is_of_none": "a refusal of a whole call fails none of several messages",
    "hold_is_kept": "without on_uncertain = retry no call follows an unknown one",
    "one_repetition": "only one call follows an unknown one",
    "unknown_is_not_hidden": "after an unknown call skipped and failed become uncertain",
    "repetition_is_checked": "an idempotent repetition is made only while the second check allows",
    "dead_letter_spares_calls": "a dead letter holds no message that is in a call or was called",
    "final_stays": "the sweep changes no final message",
}


@dataclass(frozen=True)
class Transition:
    """Some source states and the states that follow, by one named statement.

    `rule` says when. Rows with the same `rule` belong together. No source: the message is inserted.
    """

    sources: tuple[State, ...]
    targets: tuple[State, ...]
    rule: str
    by: tuple[Actor, ...]
    statement: str
    guards: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


_NOT_CLAIMED: tuple[State, ...] = ("pending", "queued", "deferred")
_SECOND = ("call_state", "call_token", "second_check", "unknown_is_not_hidden")
_VERDICT = ("verdict_state", "verdict_token")
_HIDDEN = "after an unknown call, no second call follows or it is refused"

TRANSITIONS: tuple[Transition, ...] = (
    Transition(
        (), ("pending", "deferred", "skipped"), "producer inserts", ("producer",),
        "insert_messages", ("key_is_new",),
    ),
    Transition(
        (), ("pending", "skipped"), "producer inserts", ("producer",),
        "insert_recipients", ("key_is_new",),
    ),
    Transition(
        ("pending", "deferred"), ("queued",), "in-flight limits have room", ("feeder",),
        "feed", ("held_is_closed",),
    ),
    Transition(
        ("pending", "queued", "deferred", "claimed"), ("claimed", "skipped", "deferred"),
        "reference arrives; checks run", ("claim",), "claim",
        ("held_is_closed", "sending_is_closed", "unknown_keeps_config", "unknown_is_not_hidden"),
    ),
    Transition(
        ("claimed",), ("claimed", "deferred"), "the reservation of a warm-up place ends",
        ("claim",), "set_places", ("place_before_call", "place_is_ours"),
    ),
    Transition(
        ("held",), ("pending",), "redrive, `messages resolve --resend`", ("operator",),
        "resend_held",
    ),
    Transition(
        ("sending",), ("claimed",), "call-level `refused` of several messages", ("verdict",),
        "settle_call", ("refusal_of_all_is_of_none", *_VERDICT),
    ),
    Transition(
        WITH_A_CALL, ("sent",), "`accepted` or evidence", ("verdict",), "settle_call",
        ("evidence_counts",),
    ),
    Transition(
        WITH_A_CALL, ("sent",), "`accepted` or evidence", ("feedback",), "record_evidence",
        ("evidence_counts",),
    ),
    Transition(
        ("claimed",), ("sending", "skipped", "deferred"), "immediately before the call", ("call",),
        "begin_call", (*_SECOND, "place_given_back_once"),
    ),
    Transition(
        ("claimed",), ("failed",), "rendering fails", ("call",), "fail_rendering",
        ("unknown_is_not_hidden",), ("template",),
    ),
    Transition(
        ("claimed",), ("pending",), "120 s call budget used up; lease expired (`lapses + 1`)",
        ("consumer",), "release",
    ),
    Transition(
        ("claimed",), ("pending",), "120 s call budget used up; lease expired (`lapses + 1`)",
        ("sweep",), "sweep_lapsed",
    ),
    Transition(("claimed",), ("held",), "third lapse", ("sweep",), "sweep_lapsed"),
    Transition(
        ("pending", "queued", "claimed"), ("held",),
        "dead letter with reason `failed` (an exception of ours)", ("on_dead",), "hold_dead",
        ("dead_letter_spares_calls",),
    ),
    Transition(
        ("sending",),
        ("sent", "failed", "skipped", "deferred", "held", "pending", "uncertain"),
        "the call ended", ("verdict",), "settle_call",
        (*_VERDICT, "unknown_is_not_hidden", "place_kept_after_call"),
    ),
    Transition(("sending",), ("uncertain",), "lease expired", ("sweep",), "sweep_sending"),
    Transition(
        ("uncertain",), ("sent",), "evidence, operator, `on_uncertain = retry`, 48 h",
        ("feedback",), "record_evidence", ("evidence_counts",),
    ),
    Transition(
        ("uncertain",), ("sent", "failed"),
        "evidence, operator, `on_uncertain = retry`, 48 h", ("reconcile",), "settle_repetition",
        ("repetition_is_checked",),
    ),
    Transition(
        ("uncertain",), ("pending", "uncertain"),
        "evidence, operator, `on_uncertain = retry`, 48 h", ("sweep",), "sweep_uncertain",
        ("hold_is_kept", "one_repetition", "new_place_for_repetition", "final_stays"),
    ),
    Transition(("queued",), ("pending",), "`queued_until` passed", ("sweep",), "sweep_queued"),
    Transition(
        _NOT_CLAIMED, ("skipped",), "`expires_at` passed", ("sweep",), "sweep_expired",
        ("unknown_is_not_hidden", "final_stays"), ("expired",),
    ),
    Transition(
        ("held",), ("failed",), "`expires_at` passed", ("sweep",), "sweep_expired",
        ("unknown_is_not_hidden", "final_stays"), ("dead_letter",),
    ),
    # Rules of other sections than the table's.
    Transition(
        (*_NOT_CLAIMED, "held"), ("skipped",), "the campaign or the execution is canceled",
        ("sweep",), "sweep_canceled", ("unknown_is_not_hidden", "final_stays"),
    ),
    Transition(
        ("deferred",), ("deferred",), "the reason of `infinity` no longer holds", ("sweep",),
        "sweep_resumed",
    ),
    Transition(
        ("uncertain",), ("pending", "sent", "failed"), "an operator resends or settles it",
        ("operator",), "resolve_uncertain", ("new_place_for_repetition",),
    ),
    Transition(
        ("pending", "queued", "deferred", "claimed"), ("uncertain",), _HIDDEN, ("claim",), "claim",
        ("unknown_is_not_hidden",),
    ),
    Transition(
        ("claimed",), ("uncertain",), _HIDDEN, ("call",), "begin_call",
        ("unknown_is_not_hidden",),
    ),
    Transition(
        ("claimed",), ("uncertain",), _HIDDEN, ("call",), "fail_rendering",
        ("unknown_is_not_hidden",),
    ),
    Transition(
        (*_NOT_CLAIMED, "held"), ("uncertain",), _HIDDEN, ("sweep",), "sweep_expired",
        ("unknown_is_not_hidden",),
    ),
    Transition(
        (*_NOT_CLAIMED, "held"), ("uncertain",), _HIDDEN, ("sweep",), "sweep_canceled",
        ("unknown_is_not_hidden",),
    ),
    Transition(
        ("uncertain",),
        ("sent", "failed", "skipped", "deferred", "held", "pending", "uncertain"),
        "the call ended late: its verdict comes with the newest token", ("verdict",),
        "settle_call", _VERDICT,
    ),
    Transition(
        ("pending", "queued", "deferred", "claimed", "sending", "held", "skipped", "failed"),
        ("sent",), "a look-up or a repetition is evidence, in any state", ("reconcile",),
        "settle_repetition", ("evidence_counts",),
    ),
)  # fmt: skip


def allows(statement: str, source: State | None, target: State) -> bool:
    """Return True if a row lets the statement change `source` to `target`.

    >>> allows("feed", "pending", "queued"), allows("feed", "held", "queued")
    (True, False)
    """
    return any(
        row.statement == statement
        and target in row.targets
        and (source in row.sources if row.sources else source is None)
        for row in TRANSITIONS
    )
