"""What must hold after the quiet time. Each function gives its problems in a few sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date
from typing import Any
from unittest.mock import patch
from uuid import UUID

from delivery.domain.transitions import allows
from shared.warmup import caps
from tests.sim.deliveries import campaign_verdict, feedback_verdict, plan
from tests.sim.deliveries.evidence import Evidence, Row
from tests.sim.deliveries.simulation import FEW, Simulation
from tests.sim.saying import some

PAUSED = {
    "campaign_paused": "campaign",
    "journey_paused": "journey",
    "organization_paused": "organization",
}
MAY_HAVE_ARRIVED = (None, "unknown", "accepted")


def problems(simulation: Simulation) -> list[str]:
    own = Evidence.read(simulation)
    with patch.object(caps, "CAPS", FEW):
        checks = (*CHECKS, *campaign_verdict.CHECKS, *feedback_verdict.CHECKS)
        found = [problem for check in checks for problem in check(own)]
    return found


def _nothing_raised(own: Evidence) -> Iterator[str]:
    yield from some("raised", own.simulation.crashes)
    yield from some("logged", [e for e in own.simulation.events if e["event"] == "job.crashed"])
    yield from some("seen by a provider", own.simulation.providers.wrongs)
    yield from some("seen at the hooks worker", own.simulation.internet.wrongs)
    yield from some("lost by its dead-letter queue", own.simulation.broker.lost)
    yield from some("still in its queue", own.simulation.broker.waiting)


def _every_key_has_a_message(own: Evidence) -> Iterator[str]:
    keys = Counter((m["organization_id"], m["idempotency_key"]) for m in own.messages.values())
    yield from some("key with several messages", [key for key, n in keys.items() if n > 1])
    have = {key for _, key in keys}
    wanted = {one.key for one in own.simulation.wanted}
    wanted |= {burst.key(person) for burst in own.simulation.bursts for person in burst.contacts}
    missing = [key for key in wanted - have if not any(key in text for text in own.dead)]
    yield from some("key without a message", sorted(missing))


def _every_message_ends(own: Evidence) -> Iterator[str]:
    """It is final, or it waits for the end of a pause that a person must end."""
    facts = own.simulation.platform
    open_ones = []
    for row in own.messages.values():
        if row["finished_at"] is not None:
            continue
        cause = {
            "campaign": row["campaign_id"],
            "journey": row["journey_id"],
            "organization": row["organization_id"],
        }.get(PAUSED.get(row["reason"] or "", ""))
        name = PAUSED.get(row["reason"] or "")
        if not (
            row["state"] == "deferred" and cause and name and facts.latest(name, cause) == "paused"
        ):
            open_ones.append((row["id"], row["state"], row["reason"], row["not_before"]))
    yield from some("message that does not end", open_ones)


def _changes_are_in_the_table(own: Evidence) -> Iterator[str]:
    wrong = Counter(
        (row["statement"], row["old_state"], row["new_state"])
        for row in own.changes
        if row["old_state"] != row["new_state"]
        and not allows(row["statement"], row["old_state"], row["new_state"])
    )
    yield from some("change that no transition allows", list(wrong.items()))


def _a_final_message_stays(own: Evidence) -> Iterator[str]:
    wrong = [
        (row["message_id"], row["statement"], row["old_state"], row["new_state"])
        for row in own.changes
        if row["old_state"] in ("sent", "skipped", "failed") and row["new_state"] != "sent"
    ]
    yield from some("final message that was opened", wrong)


def _accepted_once(own: Evidence) -> Iterator[str]:
    """More than once only where a repetition was allowed, and marked."""
    promised = own.on_uncertain()
    wrong = []
    for message_id, row in own.messages.items():
        count = len(own.accepted(message_id))
        most = 1 + (promised.get(message_id) == "retry")
        most += own.simulation.platform.resent.get(message_id, 0)
        if count > most or (count > 1 and not row["possible_duplicate"]):
            wrong.append((message_id, count, most, row["possible_duplicate"]))
    yield from some("message that was accepted too often", wrong)


def _no_call_after_an_unknown_one(own: Evidence) -> Iterator[str]:
    """Except the one that was allowed, with the same config."""
    promised = own.on_uncertain()
    too_many: list[tuple[Any, ...]] = []
    elsewhere = []
    for message_id, attempts in own.attempts.items():
        row = own.messages[message_id]
        arrived = [a for a in attempts if a["verdict"] in MAY_HAVE_ARRIVED]
        most = 1 + (promised.get(message_id) == "retry")
        most += own.simulation.platform.resent.get(message_id, 0)
        if len(arrived) > most:
            too_many.append((message_id, [a["verdict"] for a in attempts]))
        if arrived and any(
            a["provider_config_id"] != arrived[0]["provider_config_id"]
            for a in attempts[attempts.index(arrived[0]) :]
        ):
            elsewhere.append(message_id)
        after = attempts[attempts.index(arrived[0]) + 1 :] if arrived else []
        if after and not row["possible_duplicate"]:
            too_many.append((message_id, "not marked", [a["verdict"] for a in attempts]))
    yield from some("call after an unknown one", too_many)
    yield from some("other provider after an unknown call", elsewhere)


def _calls_have_their_attempts(own: Evidence) -> Iterator[str]:
    rows = [row for attempts in own.attempts.values() for row in attempts]
    counted = Counter(row["call_id"] for row in rows)
    wrong = [c["id"] for c in own.calls if counted[c["id"]] != c["message_count"]]
    yield from some("call without an attempt for each message", wrong)
    calls = {own_call["id"] for own_call in own.calls}
    yield from some("attempt without a call", [c for c in counted if c not in calls])
    attempted = {(row["call_id"], row["message_id"]) for row in rows}
    unknown = [
        (seen.call_id, message_id)
        for message_id, all_seen in own.seen.items()
        for seen in all_seen
        if (seen.call_id, message_id) not in attempted
    ]
    yield from some("request with a message that its call does not have", unknown)


def _verdicts_are_true(own: Evidence) -> Iterator[str]:
    """What an attempt says of its message is what the provider did with it in this call."""
    wrong, foreign = [], []
    for message_id, attempts in own.attempts.items():
        for row in attempts:
            seen = [s for s in own.seen[message_id] if s.call_id == row["call_id"]]
            has_it = any(s.provider_id for s in seen)
            if row["code"] == "looked_up":  # it finds the message, not the call
                has_it = bool(own.accepted(message_id))
            if row["verdict"] == "accepted" and not has_it:
                wrong.append((message_id, "accepted", "not taken"))
            if row["verdict"] not in MAY_HAVE_ARRIVED and has_it:
                wrong.append((message_id, row["verdict"], "taken"))
        ids = {s.provider_id for s in own.seen[message_id]}
        own_id = own.messages[message_id]["provider_message_id"]
        if own_id is not None and own_id not in ids:
            foreign.append((message_id, own_id))
        is_answered = any(row["verdict"] == "accepted" for row in attempts)
        if is_answered and own.messages[message_id]["provider_message_id"] is None:
            foreign.append((message_id, "no id"))
    yield from some("verdict that is not true", wrong)
    yield from some("id of another message", foreign)


def _no_message_ends_untruly(own: Evidence) -> Iterator[str]:
    """`sent` has been accepted; `skipped` and `failed` hide no accepted call."""
    wrong = []
    for message_id, row in own.messages.items():
        if message_id in own.simulation.platform.settled:
            continue
        is_taken = bool(own.accepted(message_id))
        if (row["state"] == "sent") > is_taken or (
            row["state"] in ("skipped", "failed") and is_taken
        ):
            wrong.append((message_id, row["state"], row["reason"], is_taken))
    yield from some("message with an untrue end", wrong)


def _no_message_fails_for_another(own: Evidence) -> Iterator[str]:
    """What is refused has a fault of its own."""
    wrong = []
    for message_id, row in own.messages.items():
        contact = plan.Contact(row["contact_id"].int - 1_000)
        is_ours = row["reason"] in ("template", "dead_letter", "operator")
        if row["state"] == "failed" and not is_ours and not contact.has_a_fault:
            wrong.append((message_id, row["reason"], row["class"]))
    yield from some("message that failed without a fault", wrong)


def _events_are_written_once(own: Evidence) -> Iterator[str]:
    wrong = []
    for message_id, row in own.messages.items():
        expected = int(row["state"] == "sent" and message_id not in own.simulation.platform.settled)
        found = own.activities[f"msg:{message_id}:sent"]
        if found != expected and message_id not in own.simulation.platform.settled:
            wrong.append((message_id, row["state"], found))
    yield from some("message without its one event", wrong)


def _nothing_is_sent_against_a_decision(own: Evidence) -> Iterator[str]:
    """No statement that began after the decision was committed sets `sending`."""
    wrong = []
    for change in own.changes:
        row, moment = own.messages[change["message_id"]], change["moment"]
        if change["new_state"] != "sending":
            continue
        if cause := _forbidden(own, row, change["address"], moment):
            wrong.append((row["id"], moment, cause))
    for message_id, all_seen in own.seen.items():
        row = own.messages[message_id]
        for seen in all_seen:
            if seen.checked_at and (cause := _forbidden(own, row, row["address"], seen.checked_at)):
                wrong.append((message_id, seen.checked_at, f"repeated: {cause}"))
    yield from some("call that was begun after it was forbidden", wrong)


def _forbidden(own: Evidence, row: Row, address: str | None, moment: int) -> str | None:
    is_marketing = row["class"] == "marketing"

    def value(name: str, about: UUID | None) -> Any:
        found = own.simulation.platform.facts.get((name, about), []) if about else []
        return next((value for at, value in reversed(found) if at < moment), None)

    for suppression in own.suppressions:
        if (
            suppression["moment"] < moment
            and suppression["organization_id"] == row["organization_id"]
            and suppression["channel"] == row["channel"]
            and suppression["address"] == address
            and (suppression["scope"] == "all" or is_marketing)
        ):
            return "suppressed"
    statuses = reversed(own.statuses[row["contact_id"]])
    status = next((found for at, found in statuses if at < moment), None)
    if value("contact", row["contact_id"]) == "deleted":
        status = "deleted"
    if (
        status in ("do_not_contact", "deleted")
        or (status == "bounced" and row["channel"] == "email")
        or (status == "unsubscribed" and row["channel"] == "email" and is_marketing)
    ):
        return str(status)
    if value("campaign", row["campaign_id"]) in ("paused", "canceled"):
        return "campaign"
    if value("execution", row["journey_execution_id"]) == "canceled":
        return "execution"
    if value("journey", row["journey_id"]) == "paused":
        return "journey"
    is_paused = value("organization", row["organization_id"]) == "paused"
    return "organization" if is_paused and is_marketing else None


def _caps_hold(own: Evidence) -> Iterator[str]:
    """Of a warming domain and day the calls that may have arrived are at most its cap."""
    used: Counter[tuple[UUID, date]] = Counter()
    without = []
    begun: dict[UUID, int] = Counter()
    for change in own.changes:
        if change["new_state"] != "sending":
            continue
        message_id = change["message_id"]
        row = own.messages[message_id]
        attempt = own.attempts[message_id][begun[message_id]]
        begun[message_id] += 1
        if row["channel"] != "email" or row["organization_id"] != plan.organization(1):
            continue
        if change["warmup_day"] is None:
            without.append(message_id)
        elif attempt["verdict"] in MAY_HAVE_ARRIVED:
            used[row["organization_id"], change["warmup_day"]] += 1
    yield from some("call without a place of the warm-up", without)
    yield from some(
        "day of warm-up with too many calls",
        [(k[0].int, str(k[1]), n, _cap(own, *k)) for k, n in used.items() if n > _cap(own, *k)],
    )


def _cap(own: Evidence, organization: UUID, day: date) -> int:
    created = own.simulation.platform.created[organization.int]
    return caps.cap((day - created.date()).days + 1) or 1_000_000


CHECKS = (
    _nothing_raised,
    _every_key_has_a_message,
    _every_message_ends,
    _changes_are_in_the_table,
    _a_final_message_stays,
    _accepted_once,
    _no_call_after_an_unknown_one,
    _calls_have_their_attempts,
    _verdicts_are_true,
    _no_message_ends_untruly,
    _no_message_fails_for_another,
    _events_are_written_once,
    _nothing_is_sent_against_a_decision,
    _caps_hold,
)
