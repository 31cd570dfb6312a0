"""Claim messages: lock, check, write. A claim is one transaction of at most six statements: the
first two go out together, and the commit with the last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from delivery.domain.claims import Claimed, Claims, Decision, Place, Waiting
from delivery.domain.outgoing import Channel
from delivery.store.statements import SQL
from shared.errors import DatabaseError
from shared.ports import Database, Row

LEASE = timedelta(minutes=5)
UNIQUE_VIOLATION = "23505"
ALONE_TRIES = 3

Reference = tuple[UUID, UUID]  # organization, message


def claim(
    db: Database,
    channel: Channel,
    references: Sequence[Reference],
    types: Mapping[str, Sequence[str]],
    captures: bool,
    now: datetime,
) -> Claims:
    """Claim the messages that may be sent now, in one transaction.

    `types` are the provider types that a class of message permits. `captures`: without a config of
    the channel a message is captured. Two messages of a job to one address are claimed one by one.
    """
    tries = ALONE_TRIES if len(references) == 1 else 1
    for left in reversed(range(tries)):
        try:
            with db.transaction():
                return _claim(db, channel, references, types, captures, now, commit=True)
        except DatabaseError as error:
            # Another consumer has claimed a message to this address: the next try sees it.
            if error.sqlstate != UNIQUE_VIOLATION or (len(references) == 1 and not left):
                raise
    claims = Claims()
    for reference in references:
        alone = claim(db, channel, [reference], types, captures, now)
        claims.claimed.extend(alone.claimed)
        _add(claims.places_back, alone.places_back)
        _add(claims.unavailable, alone.unavailable)
        claims.seen.update(alone.seen)
    return claims


def _claim(
    db: Database,
    channel: Channel,
    references: Sequence[Reference],
    types: Mapping[str, Sequence[str]],
    captures: bool,
    now: datetime,
    commit: bool = False,
) -> Claims:
    keys = _columns(references)
    _, rows = db.together(
        (SQL["lock_recipients"], keys),
        (SQL["lock_messages"], {**keys, "channel": channel, "now": now}),
    )
    waiting, later = _one_of_each_contact([_waiting(row) for row in rows])
    if not waiting:
        return Claims()
    decisions = decide(db, waiting, types, captures, now)
    decisions = _within_rates(db, waiting, decisions, now)
    written = _write(db, waiting, decisions, now, commit and channel != "push")
    claimed = [own.id for own in waiting if written[own.id]["state"] == "claimed"]
    if channel == "push" and claimed:
        to_a_device = {row["id"] for row in rows if row["device_id"] is not None}
        to_all = [own for own in claimed if own not in to_a_device]
        db.execute(SQL["insert_devices"], ids=to_all, now=now)
    return Claims(
        [
            Claimed(own, decisions[own.id], written[own.id]["token"], written[own.id]["warmup_day"])
            for own in waiting
            if written[own.id]["state"] == "claimed"
        ],
        _places_back(waiting, decisions, written, now.astimezone(UTC).date()),
        [(own.organization_id, own.id) for own in later],
        _unavailable(waiting, decisions),
        {row["id"] for row in rows},
    )


def _waiting(row: Row) -> Waiting:
    return Waiting(**{name: value for name, value in row.items() if name != "device_id"})


def _one_of_each_contact(waiting: Sequence[Waiting]) -> tuple[list[Waiting], list[Waiting]]:
    """Divide into the oldest marketing message of each contact and its others, which its caps
    count after it."""
    first: list[Waiting] = []
    later: list[Waiting] = []
    contacts: set[tuple[UUID, UUID]] = set()
    for own in sorted(waiting, key=lambda own: (own.created_at, own.id)):
        if own.contact_id is None or own.message_class != "marketing":
            first.append(own)
            continue
        key = (own.organization_id, own.contact_id)
        (later if key in contacts else first).append(own)
        contacts.add(key)
    return first, later


def decide(
    db: Database,
    waiting: Sequence[Waiting],
    types: Mapping[str, Sequence[str]],
    captures: bool,
    now: datetime,
) -> dict[UUID, Decision]:
    """Return what the checks 1 to 11 say of each message now. Changes nothing."""
    rows = db.rows(
        SQL["decide"],
        ids=[own.id for own in waiting],
        addresses=[own.address for own in waiting],
        other_addresses=[own.other_address for own in waiting],
        sender_domains=[own.sender_domain for own in waiting],
        marketing_types=list(types["marketing"]),
        transactional_types=list(types["transactional"]),
        captures=captures,
        now=now,
    )
    return {
        row["id"]: Decision(**{name: value for name, value in row.items() if name != "id"})
        for row in rows
    }


def _within_rates(
    db: Database, waiting: Sequence[Waiting], decisions: Mapping[UUID, Decision], now: datetime
) -> dict[UUID, Decision]:
    """Defer the messages for which their config has no token left, the newest ones."""
    by_config: dict[UUID, list[UUID]] = {}
    for own in sorted(waiting, key=lambda own: (own.message_class == "marketing", own.created_at)):
        config_id = decisions[own.id].config_id
        if decisions[own.id].state == "claimed" and config_id and decisions[own.id].is_limited:
            by_config.setdefault(config_id, []).append(own.id)
    limited = dict(decisions)
    if not by_config:
        return limited
    rows = db.rows(
        SQL["take_tokens"],
        config_ids=list(by_config),
        counts=[len(ids) for ids in by_config.values()],
        now=now,
    )
    for row in rows:
        for place, message_id in enumerate(by_config[row["id"]][row["granted"] :], 1):
            until = now + timedelta(seconds=place / row["per_second"])
            limited[message_id] = replace(
                limited[message_id], state="deferred", reason="rate", until=until
            )
    return limited


def _write(
    db: Database,
    waiting: Sequence[Waiting],
    decisions: Mapping[UUID, Decision],
    now: datetime,
    commit: bool,
) -> dict[UUID, Row]:
    own = [decisions[message.id] for message in waiting]
    values = {
        "ids": [message.id for message in waiting],
        "states": [decision.state for decision in own],
        "reasons": [decision.reason for decision in own],
        "untils": [decision.until for decision in own],
        "addresses": [decision.address for decision in own],
        "device_ids": [decision.device_id for decision in own],
        "lease_until": now + LEASE,
        "now": now,
        "today": now.astimezone(UTC).date(),
        "tomorrow": next_midnight(now),
    }
    [rows] = db.together((SQL["write_claims"], values), commit=commit)
    return {row["id"]: row for row in rows}


def _places_back(
    waiting: Sequence[Waiting],
    decisions: Mapping[UUID, Decision],
    written: Mapping[UUID, Row],
    today: date,
) -> dict[Place, int]:
    places: dict[Place, int] = {}
    for own in waiting:
        created_at = decisions[own.id].domain_created_at
        is_back = own.warmup_day == today and written[own.id]["warmup_day"] is None
        if is_back and own.sender_domain and created_at:
            _add(places, {(own.organization_id, own.sender_domain, created_at, today): 1})
    return places


def _unavailable(
    waiting: Sequence[Waiting], decisions: Mapping[UUID, Decision]
) -> dict[tuple[UUID, str], int]:
    """Count the messages that wait for an operator's correction."""
    counts: dict[tuple[UUID, str], int] = {}
    for own in waiting:
        reason = decisions[own.id].reason
        if reason in ("no_provider", "unverified_sender"):
            _add(counts, {(own.organization_id, reason): 1})
    return counts


def set_places(
    db: Database,
    claimed: Sequence[Claimed],
    untils: Sequence[datetime | None],
    reason: str,
    now: datetime,
) -> tuple[set[UUID], list[Claimed]]:
    """Give places to messages, or defer them to `until`.

    Return those that are still claimed, and those that have released a place of today.
    """
    by_id = {own.id: own for own in claimed}
    rows = db.rows(
        SQL["set_places"],
        ids=list(by_id),
        tokens=[own.token for own in claimed],
        untils=list(untils),
        addresses=[own.waiting.kept_address for own in claimed],
        reason=reason,
        today=now.astimezone(UTC).date(),
        tomorrow=next_midnight(now),
    )
    kept = {row["id"] for row in rows if row["state"] == "claimed"}
    return kept, [by_id[row["id"]] for row in rows if row["is_released"]]


def release(db: Database, claimed: Sequence[Claimed]) -> None:
    """Give claimed messages back: the next claim sends them."""
    if claimed:
        addresses = [own.waiting.kept_address for own in claimed]
        db.execute(SQL["release"], **_tokens(claimed), addresses=addresses)


def finish_captured(db: Database, claimed: Sequence[Claimed], now: datetime) -> None:
    """End messages of the mode shadow."""
    if claimed:
        db.execute(SQL["finish_captured"], **_tokens(claimed), now=now)


def load_content(db: Database, claimed: Sequence[Claimed]) -> dict[str, dict[UUID, Any]]:
    """Return templates, contents of runs, configs and devices of messages, by kind and id."""
    templates = {(own.waiting.organization_id, own.waiting.template_id) for own in claimed}
    named = [(organization, found) for organization, found in templates if found is not None]
    rows = db.rows(
        SQL["load_content"],
        template_organizations=[organization for organization, _ in named],
        template_ids=[found for _, found in named],
        run_ids=sorted({run_id for own in claimed if (run_id := own.waiting.run_id)}),
        config_ids=sorted({d.config_id for own in claimed if (d := own.decision).config_id}),
        device_ids=sorted({d.device_id for own in claimed if (d := own.decision).device_id}),
    )
    found: dict[str, dict[UUID, Any]] = {
        "template": {}, "run": {}, "config": {}, "device": {}
    }  # fmt: skip
    for row in rows:
        found[row["kind"]][row["id"]] = row["value"]
    return found


def unknown(db: Database, channel: Channel, references: Sequence[Reference]) -> dict[UUID, bool]:
    """Return the references without a message; True for one of another channel."""
    rows = db.rows(SQL["unknown_messages"], **_columns(references), channel=channel)
    return {row["id"]: row["is_elsewhere"] for row in rows}


def next_midnight(now: datetime) -> datetime:
    """Return when the next day (UTC) begins."""
    day = now.astimezone(UTC).date() + timedelta(days=1)
    return datetime.combine(day, time(), UTC)


def _columns(references: Sequence[Reference]) -> dict[str, list[UUID]]:
    return {
        "organization_ids": [organization_id for organization_id, _ in references],
        "ids": [message_id for _, message_id in references],
    }


def _tokens(claimed: Sequence[Claimed]) -> dict[str, Any]:
    return {"ids": [own.id for own in claimed], "tokens": [own.token for own in claimed]}


def _add(counts: dict[Any, int], more: Mapping[Any, int]) -> None:
    for key, count in more.items():
        counts[key] = counts.get(key, 0) + count
