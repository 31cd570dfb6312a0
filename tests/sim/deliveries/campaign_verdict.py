"""What must hold of campaigns and their runs, from the contract alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from tests.sim.deliveries import plan
from tests.sim.deliveries.campaigns import Planned
from tests.sim.deliveries.evidence import Evidence, Row
from tests.sim.saying import some

TIMES = ("delivered", "opened", "clicked", "bounced", "complained", "unsubscribed")


def campaigns_end(own: Evidence) -> Iterator[str]:
    """Every campaign whose start was asked for is sent or canceled, or says why it cannot start."""
    wrong = []
    for planned in own.simulation.campaigns.planned:
        row = own.campaigns[planned.id]
        is_late = (row["problem"] or "").startswith("late")
        if row["status"] not in ("sent", "canceled") and not is_late:
            wrong.append((planned.number, row["status"], row["problem"], planned.is_scheduled))
    yield from some("campaign that does not end", wrong)
    known = {planned.id for planned in own.simulation.campaigns.planned}
    runs = Counter(run["idempotency_key"] for run in own.runs if run["campaign_id"] in known)
    yield from some("run that started twice", [key for key, count in runs.items() if count > 1])
    open_jobs = [
        (job["idempotency_key"], job["status"])
        for job in own.jobs.values()
        if job["completed_at"] is None
    ]
    yield from some("run that does not end", open_jobs)


def ends_are_ends(own: Evidence) -> Iterator[str]:
    """A run ends with its last message, a campaign with its run; none opens again."""
    wrong = [
        (end["job_id"] or end["campaign_id"], end["open_messages"], end["open_parts"])
        for end in own.ends
        if end["open_messages"] or end["open_parts"]
    ]
    yield from some("end before every message is final", wrong)
    yield from some(
        "campaign that ends from another status",
        [end for end in own.ends if end["campaign_id"] and end["old_status"] != "sending"],
    )
    ended = {end["job_id"]: end["moment"] for end in own.ends if end["job_id"]}
    late = [
        (change["job_id"], change["message_id"])
        for change in own.changes
        if change["old_state"] is None
        and change["moment"] > ended.get(change["job_id"], change["moment"])
        and own.messages[change["message_id"]]["parent_id"] is None
    ]
    yield from some("message that was inserted into a run that has ended", late)
    yield from some("run that ended twice", _repeated([e["job_id"] for e in own.ends]))


def _repeated(ids: list[Any]) -> list[Any]:
    return [one for one, count in Counter(ids).items() if one and count > 1]


def every_recipient_has_a_row(own: Evidence) -> Iterator[str]:
    """Who was a member from the start of a run to the end of its fan-out has one message in it; who
    was none in that time has none."""
    missing, twice, foreign = [], [], []
    for run, planned in _runs(own):
        rows = own.of_job[run["job_id"]]
        counted = Counter(row["contact_id"] for row in rows)
        twice += [(planned.number, c) for c, count in counted.items() if count > 1]
        begin, end = run["moment"], _fanned_out(own, run["job_id"])
        for number in {*planned.members, *planned.others}:
            was = _membership(own, planned, number, begin, end)
            has_row = plan.contact(number) in counted
            if was == {True} and not has_row and not _was_canceled(own, planned, begin, end):
                missing.append((planned.number, run["idempotency_key"][-1], number))
            if was == {False} and has_row:
                foreign.append((planned.number, number))
        strangers = {c.int - 1_000 for c in counted} - {*planned.members, *planned.others}
        foreign += [(planned.number, number) for number in strangers]
    yield from some("member without a message in the run", missing)
    yield from some("member with several messages in a run", twice)
    yield from some("message of a run to a contact who was no member", foreign)


def _runs(own: Evidence) -> Iterator[tuple[Row, Planned]]:
    for run in own.runs:
        planned = own.simulation.campaigns.of(run["campaign_id"])
        if planned:
            yield run, planned


def _fanned_out(own: Evidence, job_id: UUID) -> int:
    return max((part["moment"] for part in own.parts if part["job_id"] == job_id), default=1 << 60)


def _membership(own: Evidence, planned: Planned, number: int, begin: int, end: int) -> set[bool]:
    """What the contact was at `begin` and became until `end`."""
    name = UUID(int=(planned.number << 32) + number)
    facts = list(own.simulation.platform.facts.get(("member", name), []))
    deleted = own.simulation.platform.facts.get(("contact", plan.contact(number)), [])
    facts += [(moment, False) for moment, value in deleted if value == "deleted"]
    facts.sort()
    before = [value for moment, value in facts if moment < begin]
    return {before[-1] if before else False, *(v for m, v in facts if begin <= m <= end)}


def _was_canceled(own: Evidence, planned: Planned, begin: int, end: int) -> bool:
    facts = own.simulation.platform.facts.get(("campaign", planned.id), [])
    return any(value == "canceled" and begin <= moment <= end for moment, value in facts)


def one_message_per_address(own: Evidence) -> Iterator[str]:
    """`duplicate_address` has a reason: another contact of the run has the address."""
    wrong = []
    for run, planned in _runs(own):
        by_address: dict[str, list[Row]] = defaultdict(list)
        for row in own.of_job[run["job_id"]]:
            person = plan.Contact(row["contact_id"].int - 1_000)
            by_address[person.email if planned.channel == "email" else person.phone].append(row)
        for rows in by_address.values():
            duplicates = [row for row in rows if row["reason"] == "duplicate_address"]
            if len(duplicates) == len(rows):
                wrong.append((planned.number, "none has it", rows[0]["contact_id"]))
            if sum(row["attempts"] > 0 for row in rows) > 1:
                wrong.append((planned.number, "several have it", rows[0]["contact_id"]))
    yield from some("address of a run", wrong)


def figures_are_counts(own: Evidence) -> Iterator[str]:
    """The figures of runs and campaigns equal a count of their messages."""
    wrong: list[tuple[Any, ...]] = []
    for run, planned in _runs(own):
        job, expected = own.jobs[run["job_id"]], _counted(own.of_job[run["job_id"]])
        found = {name: job["counts"].get(name, 0) for name in expected}
        if found != expected:
            wrong.append((planned.number, *sorted(expected.items() - found.items())))
        if job["status"] != _status(expected):
            wrong.append((planned.number, job["status"], _status(expected)))
        plain = tuple(job[f"{name}_count"] for name in ("recipient", "sent", "failed"))
        if plain != tuple(expected[name] for name in ("recipients", "sent", "failed")):
            wrong.append((planned.number, "job", plain))
    yield from some("figure of a run", wrong)
    wrong = []
    for planned in own.simulation.campaigns.planned:
        rows = [
            row
            for run, of in _runs(own)
            if of is planned
            for row in own.of_job[run["job_id"]]
        ]  # fmt: skip
        expected, row = _counted(rows), own.campaigns[planned.id]
        for name in ("sent", *TIMES):
            if row[f"{name}_count"] != expected[name]:
                wrong.append((planned.number, name, row[f"{name}_count"], expected[name]))
        if row["recipient_count"] != expected["recipients"]:
            wrong.append((planned.number, row["recipient_count"], expected["recipients"]))
    yield from some("figure of a campaign", wrong)


def _counted(rows: list[Row]) -> dict[str, int]:
    states = Counter(row["state"] for row in rows)
    found = {"recipients": len(rows), "open": sum(row["finished_at"] is None for row in rows)}
    found |= {name: states[name] for name in ("sent", "failed", "skipped", "uncertain")}
    return found | {name: sum(row[f"{name}_at"] is not None for row in rows) for name in TIMES}


def _status(counted: dict[str, int]) -> str:
    if not counted["failed"] and not counted["uncertain"]:
        return "sent"
    return "partial" if counted["sent"] or counted["uncertain"] else "failed"


CHECKS = (
    campaigns_end,
    ends_are_ends,
    every_recipient_has_a_row,
    one_message_per_address,
    figures_are_counts,
)
