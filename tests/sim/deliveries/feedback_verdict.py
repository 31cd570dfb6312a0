"""What providers have reported, applied once each in plain Python, and compared with the rows.

Each event has a few possible times: its own, not after it was received and not before the message
was sent; which of its receptions was applied, and when the message counted as sent, may vary.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from tests.sim.deliveries import plan
from tests.sim.deliveries.evidence import Evidence, Row
from tests.sim.deliveries.reports import Report
from tests.sim.saying import some

COLUMNS = ("delivered", "bounced", "complained", "unsubscribed", "opened", "clicked", "failed")
ONCE = ("delivered", "bounced", "complained", "unsubscribed")
GRAVITY = ("unsubscribe", "invalid", "bounce", "complaint", "manual")
OWN_IDS = ("pm:", "sg:", "svix:", "tw:", "msg:")


@dataclass
class Oracle:
    """The reports that must have been applied, by message; those that may have been."""

    evidence: Evidence
    applied: dict[UUID, list[Report]] = field(default_factory=lambda: defaultdict(list))
    waiting: list[Report] = field(default_factory=list)

    @classmethod
    def of(cls, evidence: Evidence) -> Oracle:
        own = cls(evidence)
        for report in evidence.simulation.internet.reports:
            if report.is_foreign:
                continue
            message = evidence.messages[UUID(report.message)]
            if own._is_applied(report, message):
                own.applied[message["id"]].append(report)
            else:
                own.waiting.append(report)
        return own

    def _is_applied(self, report: Report, message: Row) -> bool:
        """By our id, or by the provider's, if the ledger has it."""
        if report.names_message:
            return True
        if len(self.evidence.accepted(message["id"])) > 1:  # which id it has may have changed
            return (message["organization_id"], report.event_id) in self.evidence.events
        assert report.config is not None
        is_known = message["provider_message_id"] == report.provider_id
        return is_known and self._is_alone(report)

    def _is_alone(self, report: Report) -> bool:
        of_config = plan.config(report.config or 0)
        having = [
            row["id"]
            for row in self.evidence.messages.values()
            if row["provider_message_id"] == report.provider_id
            and row["provider_config_id"] == of_config
        ]
        return len(having) == 1

    def times(self, report: Report, message: Row) -> set[datetime]:
        sent = self.evidence.sent_times[message["id"]]
        return {
            max(min(report.at or received, received), moment)
            for received in report.received
            for moment in sent
        }


def every_event_is_recorded_once(own: Evidence) -> Iterator[str]:
    oracle = Oracle.of(own)
    expected = Counter(
        (own.messages[message_id]["organization_id"], report.event_id)
        for message_id, reports in oracle.applied.items()
        for report in reports
    )
    expected |= Counter(
        (row["organization_id"], f"msg:{row['id']}:sent")
        for row in own.messages.values()
        if row["state"] == "sent"
    )
    of_others = {
        (plan.organization(plan.CONFIGS[r.config or 0][0]), r.event_id)
        for r in own.simulation.internet.reports
        if r.is_foreign
    }
    found = {key for key in own.events if key[1].startswith(OWN_IDS)}
    yield from some("event that is not recorded", sorted(expected.keys() - found))
    yield from some("event without a report", sorted(found - expected.keys()))
    waiting = {report.event_id for report in oracle.waiting} | {event for _, event in of_others}
    yield from some("event that does not wait", sorted(waiting - own.unmatched))
    yield from some("event that waits in vain", sorted(own.unmatched - waiting))


def an_event_is_evidence(own: Evidence) -> Iterator[str]:
    """A message of which a provider has reported anything is sent, whatever its state was."""
    wrong = [
        (message_id, own.messages[message_id]["state"], own.messages[message_id]["reason"])
        for message_id in Oracle.of(own).applied
        if own.messages[message_id]["state"] != "sent"
    ]
    yield from some("message that is not sent although its provider has it", wrong)


def times_are_the_earliest(own: Evidence) -> Iterator[str]:
    """Columns have the earliest time, and the gravest kind of bounce."""
    oracle = Oracle.of(own)
    wrong: list[tuple[Any, ...]] = []
    for message_id, row in own.messages.items():
        reports = oracle.applied.get(message_id, [])
        for kind in COLUMNS:
            of_kind = [oracle.times(report, row) for report in reports if report.kind == kind]
            if not _fits(row[f"{kind}_at"], of_kind):
                wrong.append((message_id, kind, str(row[f"{kind}_at"]), _said(of_kind)))
        bounces = {report.is_hard for report in reports if report.kind == "bounced"}
        kind_of_bounce = None if not bounces else "hard" if True in bounces else "soft"
        if row["bounce_kind"] != kind_of_bounce:
            wrong.append((message_id, row["bounce_kind"], kind_of_bounce))
    yield from some("column that is not the earliest time", wrong)


def _fits(found: datetime | None, possible: Sequence[set[datetime]]) -> bool:
    if found is None or not possible:
        return found is None and not possible
    lowest, highest = min(map(min, possible)), min(map(max, possible))
    return lowest <= found <= highest and any(found in times for times in possible)


def _said(possible: Sequence[set[datetime]]) -> list[list[str]]:
    return [sorted(f"{moment:%d %H:%M:%S.%f}" for moment in times) for times in possible]


def the_gravest_outcome_counts(own: Evidence) -> Iterator[str]:
    """A complaint or a bounce outranks a delivery, whatever came first."""
    oracle = Oracle.of(own)
    wrong = []
    for message_id, row in own.messages.items():
        kinds = {report.kind for report in oracle.applied.get(message_id, [])}
        ranked = ["complained", "bounced", "failed", "delivered"]
        if "delivered" in kinds:
            ranked.remove("failed")
        expected = next((kind for kind in ranked if kind in kinds), row["state"])
        if own.outcomes[message_id] != expected:
            wrong.append((message_id, own.outcomes[message_id], expected))
    yield from some("outcome", wrong)


def activities_follow(own: Evidence) -> Iterator[str]:
    """One activity for each kind of event that a message has once, one for each open and click."""
    oracle = Oracle.of(own)
    expected: dict[str, tuple[str, Any, set[datetime]]] = {}
    for message_id, reports in oracle.applied.items():
        row = own.messages[message_id]
        source = _source(row)
        for report in reports:
            name = f"{row['channel']}_{report.kind}"
            if report.kind in ONCE:
                times = {row[f"{report.kind}_at"]}
                expected[f"msg:{message_id}:{report.kind}"] = (name, source, times)
            elif report.kind in ("opened", "clicked"):
                expected[report.event_id] = (name, source, oracle.times(report, row))
    found = {
        row["event_id"]: row
        for row in own.activity
        if not row["event_id"].endswith(":sent")
    }  # fmt: skip
    yield from some("activity that is missing", sorted(expected.keys() - found.keys()))
    yield from some("activity that has no event", sorted(found.keys() - expected.keys()))
    wrong = [
        (event_id, found[event_id]["event_type"], str(found[event_id]["occurred_at"]))
        for event_id, (name, source, times) in expected.items()
        if event_id in found
        and (
            found[event_id]["event_type"] != name
            or found[event_id]["event_source"] != source
            or found[event_id]["occurred_at"] not in times
        )
    ]
    yield from some("activity that is not its event", wrong)


def _source(row: Row) -> str | None:
    if row["campaign_id"]:
        return str(row["campaign_id"])
    return f"journey:{row['journey_id']}" if row["journey_id"] else None


def suppressions_follow(own: Evidence) -> Iterator[str]:
    """Each address that bounced hard, complained or unsubscribed, with the gravest reason."""
    reasons: dict[tuple[Any, ...], set[str]] = defaultdict(set)
    optional: set[tuple[Any, ...]] = set()
    oracle = Oracle.of(own)
    for message_id, reports in oracle.applied.items():
        row = own.messages[message_id]
        person = plan.Contact(row["contact_id"].int - 1_000)
        address = person.email if row["channel"] == "email" else person.phone
        for report in reports:
            if not report.suppression:
                continue
            scope = "marketing" if report.suppression == "unsubscribe" else "all"
            key = (row["organization_id"], row["channel"], address, scope)
            if own.was_deleted(row["contact_id"]):  # its address may be gone
                optional.add(key)
            reasons[key].add(report.suppression)
    for key in own.manual:
        reasons[key].add("manual")
        optional.discard(key)
    found = {
        (row["organization_id"], row["channel"], row["address"], row["scope"]): row
        for row in own.suppressed
        if row["expires_at"] is None
    }
    for key in [key for key in (*reasons, *found) if _is_of_a_fault(key[2])]:
        reasons.pop(key, None)
        found.pop(key, None)
    missing = reasons.keys() - found.keys() - optional
    yield from some("suppression that is missing", sorted(missing, key=str))
    yield from some("suppression without a cause", sorted(found.keys() - reasons.keys(), key=str))
    wrong = [
        (key, found[key]["reason"], sorted(possible))
        for key, possible in reasons.items()
        if key in found
        and key not in optional
        and found[key]["reason"] != max(possible, key=GRAVITY.index)
    ]
    yield from some("suppression with another reason", wrong)


def _is_of_a_fault(address: str) -> bool:
    """A provider's answer to a call suppresses it."""
    return address.startswith(("inactive", "refused")) or address.endswith("88")


def statuses_follow(own: Evidence) -> Iterator[str]:
    """What the platform has set stays; otherwise a bounce or an unsubscription ends `active`."""
    kinds: dict[UUID, set[str]] = defaultdict(set)
    for message_id, reports in Oracle.of(own).applied.items():
        row = own.messages[message_id]
        if row["channel"] == "email":
            kinds[row["contact_id"]] |= {
                "bounced" if r.kind == "bounced" else r.kind
                for r in reports
                if r.kind == "unsubscribed" or r.is_hard
            }
    wrong = []
    for row in own.contacts:
        contact_id = row["id"]
        platform = own.simulation.platform.latest("contact", contact_id)
        possible = {platform} if platform else kinds.get(contact_id) or {"active"}
        if row["status"] not in possible:
            wrong.append((contact_id, row["status"], sorted(possible)))
    yield from some("status of a contact", wrong)


def the_platform_gets_each_event(own: Evidence) -> Iterator[str]:
    """Each event of a message at least once, with one `eventId`."""
    meant: dict[str, set[tuple[Any, ...]]] = defaultdict(set)
    for body in own.simulation.published:
        data = body["data"]
        about = (body["type"].removeprefix("delivery.Message").lower(), data.get("messageId"))
        meant[body["eventId"]].add((*about, body["occurredAt"]))
    yield from some("eventId of two events", [k for k, about in meant.items() if len(about) > 1])
    found = Counter(next(iter(about))[:2] for about in meant.values())
    expected: Counter[tuple[str, str]] = Counter()
    for message_id, reports in Oracle.of(own).applied.items():
        for report in reports:
            expected[report.kind, str(message_id)] += 1
    for row in own.messages.values():
        expected["sent", str(row["id"])] += row["state"] == "sent"
    for change in own.changes:
        is_new = change["new_state"] == "failed" != change["old_state"]
        expected["failed", str(change["message_id"])] += is_new
    expected = +expected
    yield from some("event that the platform lacks", sorted((expected - found).items()))
    yield from some("event that the platform got too often", sorted((found - expected).items()))
    yield from some("event that waits in the outbox", own.outbox)


CHECKS = (
    every_event_is_recorded_once,
    an_event_is_evidence,
    times_are_the_earliest,
    the_gravest_outcome_counts,
    activities_follow,
    suppressions_follow,
    statuses_follow,
    the_platform_gets_each_event,
)
