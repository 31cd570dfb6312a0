"""The platform's campaigns: it starts them, pauses and cancels them, and changes their segments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any
from uuid import UUID

from tests.sim.deliveries import plan
from tests.sim.deliveries.platform import Platform

A_DAY = 1.5
MEMBERS = (5, 26)
PART = 6  # members of one part
FIRST, SEGMENTS = 100, 60_000  # the first number of a campaign, and of a segment's id
AGAIN = 0.4  # have a second run
INSERT = (
    "insert into crm.segment_contacts (segment_id, contact_id, added_at)"
    " values (:segment, :contact, :now) on conflict do nothing"
)


@dataclass(frozen=True)
class Planned:
    """A campaign of the platform. `at` is when it starts, by a message or by its schedule."""

    number: int
    organization: int
    channel: str
    at: datetime
    is_scheduled: bool
    is_built_later: bool
    members: tuple[int, ...]
    others: tuple[int, ...]

    @property
    def id(self) -> UUID:
        return plan.campaign(self.number)

    @property
    def segment(self) -> UUID:
        return UUID(int=SEGMENTS + self.number)

    def message(self) -> dict[str, Any]:
        data = {
            "organizationId": str(plan.organization(self.organization)),
            "campaignId": str(self.id),
        }
        return {"type": "delivery.send-campaign", "data": data}


def planned(rng: Random, start: datetime, days: int) -> list[Planned]:
    drawn, next_one = [], plan.CROWD
    for number in range(FIRST, FIRST + max(2, round(days * A_DAY))):
        own = rng.randint(1, plan.ORGANIZATIONS)
        count = rng.randint(*MEMBERS)
        crowd = [n for n in range(next_one, next_one + 3 * count) if _is_of(n, own)]
        next_one += 3 * count
        known = [n for n in range(plan.CONTACTS) if _is_of(n, own)]
        people = crowd + rng.sample(known, rng.randint(0, 6))
        rng.shuffle(people)
        begun = max(3, len(people) * 4 // 5)
        at = start + timedelta(days=days) * rng.random() * 0.9
        drawn.append(
            Planned(
                number, own, "sms" if own != 3 and rng.random() < 0.2 else "email", at,
                rng.random() < 0.4, rng.random() < 0.2, tuple(people[:begun]),
                tuple(people[begun:]),
            )
        )  # fmt: skip
    return drawn


def _is_of(number: int, organization: int) -> bool:
    return plan.Contact(number).organization == organization


@dataclass
class Campaigns:
    """What the platform does with its campaigns, and what it knows of the members by moment."""

    rng: Random
    platform: Platform
    planned: list[Planned]
    send: Callable[[dict[str, Any]], object]

    def set_up(self) -> None:
        for number in range(1, plan.ORGANIZATIONS + 1):
            self.platform.do(
                "insert into content.templates (id, organization_id, type, body_text)"
                " values (:id, :own, 'sms', 'News of {{campaign.name}}#x')",
                id=plan.template(10 + number), own=plan.organization(number),
            )  # fmt: skip
        for own in self.planned:
            self._set_up(own)

    def _set_up(self, own: Planned) -> None:
        organization = plan.organization(own.organization)
        for number in sorted({*own.members, *own.others}):
            if number >= plan.CROWD:
                self.platform.add(plan.Contact(number))
        self.platform.do(
            "insert into crm.segments (id, organization_id, name, type)"
            " values (:id, :own, 'Name', :type)",
            id=own.segment, own=organization, type="dynamic" if own.is_built_later else "static",
        )  # fmt: skip
        is_sms = own.channel == "sms"
        self.platform.do(
            "insert into campaign.campaigns (id, organization_id, name, type, status, template_id,"
            " segment_id, scheduled_at) values (:id, :own, :name, :type, :status, :template,"
            " :segment, :at)",
            id=own.id, own=organization, name=f"number {own.number}", type=own.channel,
            status="scheduled" if own.is_scheduled else "draft",
            template=plan.template(own.organization + (10 if is_sms else 0)),
            segment=own.segment, at=own.at if own.is_scheduled else None,
        )  # fmt: skip
        for number in own.members:
            self._enter(own, number)

    def actions(self, own: Planned) -> list[tuple[datetime, Callable[[], object]]]:
        """What happens to a campaign, and when."""
        found: list[tuple[datetime, Callable[[], object]]] = []
        if not own.is_scheduled:
            for late_s in (0, 0.5, 700)[: self.rng.randint(1, 3)]:
                moment = own.at + timedelta(seconds=late_s) * self.rng.random()
                found.append((moment, lambda: self.start(own)))
        if own.is_built_later:
            found.append((own.at + timedelta(hours=self.rng.uniform(-1, 3)), self._built(own)))
        for number in own.others:
            found.append((self._near(own), partial(self._enter, own, number)))
        for number in self.rng.sample(own.members, 2):
            found.append((self._near(own), partial(self._leave, own, number)))
        for _ in range(self.rng.randint(0, 3)):
            found.append((self._near(own), self.against(own.id)))
        if self.rng.random() < AGAIN:
            for hours in (2, 9, 30, 80):
                moment = own.at + timedelta(hours=hours * self.rng.uniform(0.5, 1.5))
                found.append((moment, lambda: self._run_again(own)))
        return found

    def _near(self, own: Planned) -> datetime:
        return own.at + timedelta(seconds=self.rng.choice((-600, 4, 30, 1_000, 9_000))) * (
            self.rng.random()
        )

    def start(self, own: Planned) -> None:
        self.send(own.message())

    def start_again(self) -> None:
        """The platform starts the campaigns whose start was refused: the cause is gone."""
        for own in self.planned:
            if self.platform.do(
                "update campaign.campaigns set problem = null"
                " where id = :own and status = 'draft' and problem is not null",
                own=own.id,
            ):
                self.start(own)

    def of(self, campaign: UUID) -> Planned | None:
        return next((own for own in self.planned if own.id == campaign), None)

    def against(self, campaign: UUID) -> Callable[[], object]:
        """Something that a fan-out in progress must survive."""
        own = self.of(campaign)
        assert own
        choices: list[Callable[[], object]] = [
            lambda: self.platform.pause_campaign(own.id, is_forever=False),
            lambda: self.platform.pause_campaign(own.id, is_forever=False),
            lambda: self._leave(own, self.rng.choice(own.members)),
            lambda: self._enter(own, self.rng.choice(own.members + own.others)),
            lambda: self._delete(self.rng.choice(own.members)),
        ]
        if self.rng.random() < 0.25:
            choices.append(lambda: self.platform.cancel_campaign(own.id))
        return self.rng.choice(choices)

    def _run_again(self, own: Planned) -> None:
        """Increment the run of a campaign that was sent, and start it by a message."""
        if self.platform.do(
            "update campaign.campaigns set run = 2, status = 'draft'"
            " where id = :own and status = 'sent' and run = 1",
            own=own.id,
        ):
            self.platform.note("campaign", own.id, "draft")
            self.start(own)

    def _built(self, own: Planned) -> Callable[[], object]:
        return lambda: self.platform.do(
            "update crm.segments set state = 'ready', ready_version = criteria_version"
            " where id = :own",
            own=own.segment,
        )

    def _enter(self, own: Planned, number: int) -> None:
        contact = plan.contact(number)
        if self.platform.latest("contact", contact) == "deleted":
            return
        self.platform.do(INSERT, segment=own.segment, contact=contact, now=self.platform.clock())
        self._note(own, number, True)

    def _leave(self, own: Planned, number: int) -> None:
        self.platform.do(
            "delete from crm.segment_contacts"
            " where segment_id = :segment and contact_id = :contact",
            segment=own.segment, contact=plan.contact(number),
        )  # fmt: skip
        self._note(own, number, False)

    def _delete(self, number: int) -> None:
        if number >= plan.CROWD:
            self.platform.delete(plan.Contact(number))

    def _note(self, own: Planned, number: int, is_member: bool) -> None:
        self.platform.note("member", UUID(int=(own.number << 32) + number), is_member)
