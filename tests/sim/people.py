"""Changes of contacts, chosen by the seed: each as SQL, and as a change of the expected state."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from tests.sim.history import CONTACTS, ORGANIZATIONS, Edit, Event, History
from tests.sim.scores import INTEREST, Key, Kind, Known, Signal

# The last organization has the most changes.
KEYS: list[Key] = [
    (ORGANIZATIONS[organization], contact)
    for organization, contact in zip(
        (0, 1, 2, 0, 1, 2, 2, 2, 2), [*CONTACTS, *(UUID(int=2_000 + n) for n in range(3))],
        strict=True,
    )
]  # fmt: skip
STRANGER: Key = (ORGANIZATIONS[0], UUID(int=9_999))
KINDS = ("PRICING_PAGE", "DEMO_REQUEST", "EMAIL_OPEN", "WEBSITE_VISIT", "CUSTOM_TYPE")
FACTORS = (
    ("fit", "has_email"), ("fit", "company_size"), ("fit", "company_size_mid"),
    ("fit", "seniority"), ("engagement", "recent_activity"),
    ("engagement", "recent_activity_some"), ("engagement", "content_download"),
    ("intent", "PRICING_PAGE"), ("intent", "EMAIL_OPEN"),
)  # fmt: skip
FIELDS: tuple[Any, ...] = (
    {}, {"direct_phone": "1"}, {"company_size": "mid", "seniority": "vp"}, {"seniority": "c_level"},
    {"company_size": "enterprise", "direct_phone": " "}, {"seniority": ["vp"]}, ["smb"], "text",
)  # fmt: skip


Effect = Callable[[Known], object]


@dataclass(frozen=True)
class Change:
    """A change of a score's input: its SQL, and its effect on the expected state."""

    at: datetime
    sql: str
    values: Mapping[str, Any]
    effect: Effect
    signal: Signal | None = None  # a new one


@dataclass(frozen=True)
class Ask:
    """A message that requests a contact's score."""

    at: datetime
    key: Key
    context: Mapping[str, float] | None
    number: int

    @property
    def name(self) -> str:
        return f"ask-{self.number}"

    def body(self) -> dict[str, Any]:
        data: dict[str, Any] = {"organizationId": str(self.key[0]), "contactId": str(self.key[1])}
        return {
            "type": "scoring.CalculateScore",
            "correlationId": self.name,
            "data": data | ({"context": self.context} if self.context else {}),
        }


def put(table: str, key: object, value: object) -> Effect:
    """An upsert."""
    return lambda known: getattr(known, table).update({key: value})


def replace(table: str, key: object, value: object) -> Effect:
    """An update, which changes nothing without a row."""
    return lambda known: key in getattr(known, table) and put(table, key, value)(known)


def drop(table: str, key: object) -> Effect:
    return lambda known: getattr(known, table).pop(key, None)


@dataclass
class Dice:
    """Random times of the simulation, at a given rate per day."""

    rng: Random
    start: datetime
    days: int

    def moments(self, a_day: float) -> Iterator[datetime]:
        for _ in range(round(a_day * self.days)):
            yield self.start + timedelta(days=self.rng.uniform(0, self.days))

    def maybe(self, moment: datetime, chance: float) -> datetime | None:
        return moment if self.rng.random() < chance else None


def changes(rng: Random, start: datetime, days: int) -> list[Change]:
    """All changes of contacts, signals and configurations in a simulation."""
    dice = Dice(rng, start, days)
    drawn = [*_contacts(dice), *_signals(dice), *_factors(dice), *_kinds(dice)]
    return [change for change in drawn if change.at < start + timedelta(days=days)]


def asks(rng: Random, start: datetime, days: int) -> list[Ask]:
    """Messages at any time, sometimes several together."""
    dice = Dice(rng, start, days)
    asked: list[Ask] = []
    for at in dice.moments(1.5):
        for _ in range(rng.choice([1, 1, 2, 5])):
            key = STRANGER if rng.random() < 0.1 else rng.choice(KEYS)
            asked.append(Ask(at, key, _context(rng), len(asked)))
    return asked


def acknowledgements(rng: Random, start: datetime, days: int) -> list[datetime]:
    """The time at which an alert is acknowledged."""
    return list(Dice(rng, start, days).moments(1.5))


def of_event(event: Event) -> Change:
    """Activity that the analytics jobs count too."""
    values = {name: value for name, value in vars(event).items() if name != "visible_at"}
    key = (event.organization_id, event.contact_id)
    return Change(
        event.visible_at,
        f"insert into analytics.contact_activity ({', '.join(values)})"
        f" values ({', '.join(f':{name}' for name in values)})",
        values,
        lambda known: known.events[key].append((event.event_type, event.occurred_at)),
    )


def of_edit(history: History, edit: Edit) -> Change:
    """A later change of an event; without the event it changes nothing."""
    event, became = edit.event, edit.became

    def effect(known: Known) -> None:
        was = (event.event_type, event.occurred_at)
        if was not in known.events[event.organization_id, event.contact_id]:
            return
        known.events[event.organization_id, event.contact_id].remove(was)
        history.final[event.id] = became
        if became:
            now = (became.event_type, became.occurred_at)
            known.events[became.organization_id, became.contact_id].append(now)

    if became is None:
        sql = "delete from analytics.contact_activity where id = :id"
        return Change(edit.at, sql, {"id": event.id}, effect)
    names = ("event_type", "contact_id", "event_source")
    values = {name: getattr(became, name) for name in names}
    return Change(
        edit.at,
        f"update analytics.contact_activity set {', '.join(f'{n} = :{n}' for n in names)}"
        " where id = :id",
        {"id": event.id} | values,
        effect,
    )


def purge(rng: Random, start: datetime, days: int) -> Change:
    """A tenant deletes the events of the months before, and declares it in the same statement."""
    organization = rng.choice(ORGANIZATIONS)
    before = start.replace(day=1)

    def effect(known: Known) -> None:
        for key, events in known.events.items():
            if key[0] == organization:
                events[:] = [(kind, at) for kind, at in events if at >= before]

    return Change(
        start + timedelta(days=rng.uniform(0.5, days - 1)),
        ", purged as (delete from analytics.contact_activity"
        " where organization_id = :organization and occurred_at < :before)"
        " select ops.purged_before(cast(:before as date), :organization)",
        {"organization": organization, "before": before},
        effect,
    )


def _context(rng: Random) -> dict[str, float] | None:
    if rng.random() < 0.6:
        return None
    names = rng.sample(["engagement", "demographic", "intent"], rng.randint(1, 3))
    return {name: rng.choice([0, 3, 12.5, 40, 90, -7]) for name in names}


def _contacts(dice: Dice) -> Iterator[Change]:
    for key in KEYS:
        yield _added(dice, dice.maybe(dice.start, 0.7) or next(dice.moments(1)), key)
    for at in dice.moments(2):
        yield _changed(dice, at, dice.rng.choice(KEYS))
    for at in dice.moments(0.15):
        key = dice.rng.choice(KEYS)
        yield Change(
            at, "delete from crm.contacts where id = :id", {"id": key[1]}, drop("contacts", key)
        )  # fmt: skip
        if dice.rng.random() < 0.7:
            yield _added(dice, at + timedelta(hours=dice.rng.uniform(0, 50)), key)


def _added(dice: Dice, at: datetime, key: Key) -> Change:
    fields = _fields(dice)
    return Change(
        at,
        "insert into crm.contacts (id, organization_id, email, phone, custom_fields)"
        " values (:id, :org, :email, :phone, cast(:custom as jsonb)) on conflict (id) do nothing",
        {"id": key[1], "org": key[0], **_columns(fields)},
        lambda known: known.contacts.setdefault(key, fields),
    )


def _changed(dice: Dice, at: datetime, key: Key) -> Change:
    fields = _fields(dice)
    return Change(
        at,
        "update crm.contacts set email = :email, phone = :phone,"
        " custom_fields = cast(:custom as jsonb) where id = :id",
        {"id": key[1], **_columns(fields)},
        replace("contacts", key, fields),
    )


def _fields(dice: Dice) -> dict[str, Any]:
    return {
        "email": dice.rng.choice([None, " ", "a@b.example"]),
        "phone": dice.rng.choice([None, "", "1"]),
        "custom_fields": dice.rng.choice(FIELDS),
    }


def _columns(fields: Mapping[str, Any]) -> dict[str, Any]:
    custom = json.dumps(fields["custom_fields"])
    return {"email": fields["email"], "phone": fields["phone"], "custom": custom}


def _signals(dice: Dice) -> Iterator[Change]:
    drawn = [_signal(dice, at) for at in dice.moments(5)]
    for at, id_, signal in drawn:
        yield Change(
            at,
            "insert into scoring.intent_signals (id, organization_id, contact_id, signal_type,"
            " detected_at, weight, decay_model, decay_hours, expires_at) values (:id, :org,"
            " :contact, :kind, :detected_at, cast(:weight as numeric), :model, :hours,"
            " :expires_at)",
            {"id": id_, "org": signal.key[0], "contact": signal.key[1]}
            | {name: value for name, value in vars(signal).items() if name != "key"},
            put("signals", id_, signal),
            signal,
        )
    for at in dice.moments(0.7):
        yield _signal_changed(dice, at, *dice.rng.choice(drawn)[1:])


def _signal(dice: Dice, at: datetime) -> tuple[datetime, UUID, Signal]:
    rng = dice.rng
    return (
        at,
        UUID(int=rng.getrandbits(128)),
        Signal(
            key=STRANGER if rng.random() < 0.03 else rng.choice(KEYS),
            kind=rng.choice(KINDS),
            # Some arrive late, some have a future time.
            detected_at=at - timedelta(hours=rng.choice([0, 0, 0.01, 3, 80, -2])),
            weight=rng.choice([None, None, 5.0, 12.5, 40.0, -10.0, 99.99]),
            model=rng.choice(["linear", "exponential", "step"]),
            hours=rng.choice([None, None, 2, 24, 100]),
            expires_at=dice.maybe(at + timedelta(hours=rng.uniform(-1, 60)), 0.2),
        ),
    )


def _signal_changed(dice: Dice, at: datetime, id_: UUID, signal: Signal) -> Change:
    if dice.rng.random() < 0.4:
        return Change(
            at, "delete from scoring.intent_signals where id = :id", {"id": id_},
            drop("signals", id_),
        )  # fmt: skip
    became = Signal(**(vars(signal) | {"weight": 7.5, "expires_at": at + timedelta(hours=9)}))
    return Change(
        at,
        "update scoring.intent_signals set weight = cast(:weight as numeric), expires_at = :expires"
        " where id = :id",
        {"id": id_, "weight": became.weight, "expires": became.expires_at},
        replace("signals", id_, became),
    )


def _factors(dice: Dice) -> Iterator[Change]:
    for at in dice.moments(0.7):
        name = (dice.rng.choice(ORGANIZATIONS), *dice.rng.choice(FACTORS))
        output = (dice.rng.choice([None, 0, 25, -5, 60]), dice.rng.random() < 0.7)
        yield Change(
            at,
            "insert into scoring.scoring_configs values (:org, :category, :factor, :weight,"
            " :enabled) on conflict (organization_id, category, factor) do update"
            " set weight = excluded.weight, enabled = excluded.enabled",
            dict(
                zip(("org", "category", "factor", "weight", "enabled"), name + output, strict=True)
            ),
            put("factors", name, output),
        )


def _kinds(dice: Dice) -> Iterator[Change]:
    for at in [dice.start] * 4 + list(dice.moments(0.7)):
        name = (dice.rng.choice(ORGANIZATIONS), dice.rng.choice(KINDS))
        kind = Kind(
            weight=dice.rng.choice([None, None, 11.0, 33.25]),
            hours=dice.rng.choice([None, None, 12, 400]),
            tier=dice.rng.choice([None, "critical", "high", "medium", "low"]),
            enabled=dice.rng.random() < 0.85,
        )
        yield Change(
            at,
            "insert into scoring.signal_configs values (:org, :kind, cast(:weight as numeric),"
            " :hours, :tier, :enabled) on conflict (organization_id, signal_type) do update set"
            " weight = excluded.weight, decay_hours = excluded.decay_hours, tier = excluded.tier,"
            " enabled = excluded.enabled",
            {"org": name[0], "kind": name[1], **vars(kind)},
            put("kinds", name, kind),
        )


assert set(KINDS) - {"CUSTOM_TYPE"} <= set(INTEREST)
