"""The platform and its people: they write what the worker reads, at any moment."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from delivery.store import sweeps
from shared.ports import Database
from tests.sim.deliveries import plan
from tests.sim.deliveries.connection import Server
from tests.sim.deliveries.recorder import NAMES

KEY = "0f" * 32
INSERT = """
insert into delivery.messages (
    organization_id, idempotency_key, channel, class, contact_id, campaign_id, job_id, template_id,
    variables, expires_at, created_at
)
select
    new.organization_id, new.key, 'email', 'marketing', new.contact_id, :campaign_id, :job_id,
    :template_id, new.variables, cast(:now as timestamptz) + interval '72 hours', :now
from jsonb_to_recordset(cast(:rows as jsonb)) as new (
    organization_id uuid, key text, contact_id uuid, variables jsonb
)
order by new.key
on conflict (organization_id, idempotency_key) do nothing
"""
NAMES[INSERT] = "insert_messages"
SUPPRESS = """
select delivery.suppress(
    organization_id => :organization_id, channel => :channel, address => :address,
    reason => 'manual', scope => :scope
)
"""
# Letters whose cause is gone: the operator sends them again.
REDRIVE = """
update ops.dead_letters set status = 'redriven'
where id in (
    select id from ops.dead_letters
    where status = 'dead' and job_type in (
        'delivery.ProviderEvents', 'delivery.Unsubscribe', 'delivery.send-campaign'
    )
    order by id
)
returning id, queue, body
"""
FOR_A_PERSON = """
select id, state from delivery.messages
where state = 'held'
    or (state = 'uncertain' and called_at < cast(:now as timestamptz) - interval '3 hours')
order by id
"""


@dataclass
class Platform:
    """`facts` has every value of what a check reads, with the moment of its commit."""

    rng: Random
    server: Server
    clock: Callable[[], datetime]
    connect: Callable[[], Database]
    again: Callable[[timedelta, Callable[[], object]], None]
    facts: dict[tuple[str, UUID], list[tuple[int, Any]]] = field(default_factory=dict)
    resent: dict[UUID, int] = field(default_factory=dict)
    settled: set[UUID] = field(default_factory=set)
    suppressed: set[tuple[UUID, str, str, str]] = field(default_factory=set)
    created: dict[int, datetime] = field(default_factory=dict)
    is_calm: bool = False

    # -- what there is at the beginning

    def set_up(self, start: datetime) -> None:
        for number in range(1, plan.ORGANIZATIONS + 1):
            self._organization(number, start)
        for person in map(plan.Contact, range(plan.CONTACTS)):
            self.add(person)
        for number in range(1, 7):
            self.do(
                "insert into campaign.campaigns (id, organization_id, name, type, status)"
                " values (:id, :organization_id, 'Name', 'email', 'sending')",
                id=plan.campaign(number),
                organization_id=plan.organization(plan.campaign_organization(number)),
            )
        for number, own in enumerate(plan.CONFIGS):
            self._config(number, *own)

    def _organization(self, number: int, start: datetime) -> None:
        own = plan.organization(number)
        caps = [{"channel": "email", "most": 3, "days": 2}] if number == 3 else []
        quiet = ("22:00", "07:00") if number == 2 else (None, None)
        self.do(
            "insert into delivery.organization_settings (organization_id, from_address,"
            " postal_address, caps, quiet_from, quiet_until) values (:own,"
            " 'Acme <news@acme.example>', '1 Road', cast(:caps as jsonb),"
            " cast(:quiet_from as time), cast(:quiet_until as time))",
            own=own, caps=json.dumps(caps), quiet_from=quiet[0], quiet_until=quiet[1],
        )  # fmt: skip
        age = timedelta(hours=5) if number == 1 else timedelta(days=400)
        self.created[number] = start - age
        self.do(
            "insert into delivery.sending_domains (organization_id, domain, status, created_at)"
            " values (:own, 'acme.example', 'verified', :at)",
            own=own, at=start - age,
        )  # fmt: skip
        self.do(
            "insert into content.templates (id, organization_id, type, subject, body_html)"
            " values (:id, :own, 'email', 'News', '<p>{{contact.first_name}} {{variables.ref}}')",
            id=plan.template(number), own=own,
        )  # fmt: skip
        self.do(
            "insert into journey.journeys (id, organization_id, name, status)"
            " values (:id, :own, 'Name', 'active')",
            id=plan.journey(number), own=own,
        )  # fmt: skip

    def add(self, person: plan.Contact) -> None:
        own = plan.organization(person.organization)
        ids = {"id": plan.contact(person.number), "own": own}
        self.do(
            "insert into crm.contacts"
            " (id, organization_id, first_name, email, phone, custom_fields)"
            " values (:id, :own, 'Zoe', :email, :phone, cast(:custom as jsonb))",
            **ids, email=person.email, phone=person.phone,
            custom=json.dumps({"_consent_preferences": {"sms": True, "push": True}}),
        )  # fmt: skip
        self.do(
            "insert into journey.journey_executions (id, journey_id, organization_id, contact_id)"
            " values (:execution, :journey, :own, :id)",
            **ids, execution=plan.execution(person.number),
            journey=plan.journey(person.organization),
        )  # fmt: skip
        for device, endpoint in person.devices:
            _, public, auth = plan.keys()
            self.do(
                "insert into delivery.device_tokens (id, organization_id, contact_id, kind, token,"
                " p256dh, auth) values (:device, :own, :id, 'webpush', :endpoint, :public, :auth)",
                **ids, device=device, endpoint=endpoint, public=public, auth=auth,
            )  # fmt: skip

    def _config(
        self, number: int, own: int, channel: str, name: str, priority: int, rate: float | None
    ) -> None:
        nonce = bytes(12)
        text = json.dumps(plan.secrets(number, name)).encode()
        sealed = AESGCM(bytes.fromhex(KEY)).encrypt(nonce, text, b"")
        stored = f"{base64.b64encode(nonce).decode()}:{base64.b64encode(sealed).decode()}"
        self.do(
            "insert into delivery.provider_configs (id, organization_id, channel, provider_type,"
            " config, priority, per_second) values (:id, :own, :channel, :name,"
            " cast(:config as jsonb), :priority, :rate)",
            id=plan.config(number), own=plan.organization(own), channel=channel, name=name,
            config=json.dumps(stored), priority=priority, rate=rate,
        )  # fmt: skip

    # -- what happens

    def fan_out(self, burst: plan.Burst) -> None:
        own = plan.campaign_organization(burst.campaign)
        self.do(
            INSERT,
            rows=burst.rows(),
            campaign_id=plan.campaign(burst.campaign),
            job_id=burst.job_id,
            template_id=plan.template(own),
            now=self.clock(),
        )

    def draw(self) -> Callable[[], None]:
        """An action that has nothing to do with a certain message."""
        person = plan.Contact(self.rng.randrange(plan.CONTACTS))
        number = self.rng.randint(1, plan.ORGANIZATIONS)
        return self.rng.choice(
            [
                lambda: self._suppress(person.organization, "email", person.email),
                lambda: self._pause_organization(number),
                lambda: self.pause_campaign(plan.campaign(self.rng.randint(1, 6))),
                lambda: self._pause_journey(number),
                lambda: self._set_domain(number, "pending"),
                lambda: self._set_active(self.rng.randrange(len(plan.CONFIGS)), False),
                lambda: self.delete(person),
            ]
        )

    def switch_off(self, number: int) -> None:
        """A provider is switched off for a while: the next one takes its place."""
        self._set_active(number, False)

    def against(self, row: dict[str, Any]) -> Callable[[], None]:
        """An action after which this message must not be sent, or not now."""
        number = row["organization_id"].int
        person = plan.Contact(row["contact_id"].int - 1_000)
        address = {"email": person.email, "sms": person.phone}.get(row["channel"])
        choices = [
            lambda: self._pause_organization(number),
            lambda: self._pause_organization(number),
            lambda: self._set_status(
                person, self.rng.choice(("unsubscribed", "do_not_contact", "bounced"))
            ),
        ]
        if address:
            choices.append(lambda: self._suppress(number, row["channel"], address))
        if row["campaign_id"]:
            own = row["campaign_id"]
            choices += [lambda: self.pause_campaign(own)] * 3
            if self.rng.random() < 0.1:
                choices.append(lambda: self.cancel_campaign(own))
        if row["journey_execution_id"]:
            execution = row["journey_execution_id"]
            choices.append(lambda: self._set("execution", execution, "canceled"))
            choices.append(lambda: self._pause_journey(number))
        return self.rng.choice(choices)

    def decide(self) -> None:
        """An operator looks at what waits for a person."""
        db, now = self.connect(), self.clock()
        for row in db.rows(FOR_A_PERSON, now=now):
            decision = self.rng.choice(("pending", "sent", "failed", None, None, None))
            if row["state"] == "held" and decision:
                sweeps.resend_held(db, [row["id"]], now)
            elif decision and sweeps.resolve_uncertain(db, [row["id"]], decision, now):
                if decision == "pending":
                    self.resent[row["id"]] = self.resent.get(row["id"], 0) + 1
                else:
                    self.settled.add(row["id"])
        db.execute(
            "update delivery.provider_configs set paused_until = null, paused_reason = null,"
            " failures = 0 where paused_until = 'infinity'"
        )
        db.close()

    def redrive(self, send: Callable[[str, Any], object]) -> None:
        """An operator sends dead letters again, after the faults are gone."""
        db = self.connect()
        rows = db.rows(REDRIVE)
        db.close()
        for row in sorted(rows, key=lambda row: row["id"]):
            send(row["queue"], row["body"])
        self.do(
            "update delivery.organization_settings set marketing_paused_at = null,"
            " marketing_paused_reason = null where marketing_paused_reason is not null"
        )

    # -- single changes

    def _suppress(self, number: int, channel: str, address: str) -> None:
        own, scope = plan.organization(number), self.rng.choice(("all", "marketing"))
        self.do(SUPPRESS, organization_id=own, channel=channel, address=address, scope=scope)
        self.suppressed.add((own, channel, address, scope))

    def _set_status(self, person: plan.Contact, status: str) -> None:
        own = plan.contact(person.number)
        if self.latest("contact", own) == "deleted":
            return
        self.do("update crm.contacts set status = :status where id = :id", id=own, status=status)
        self.note("contact", own, status)

    def delete(self, person: plan.Contact) -> None:
        own = plan.contact(person.number)
        self.do("delete from crm.contacts where id = :id", id=own)
        self.note("contact", own, "deleted")

    def _pause_organization(self, number: int) -> None:
        self.set_paused(number, self.clock())
        self.again(self._while(), lambda: self.set_paused(number, None))

    def set_paused(self, number: int, at: datetime | None) -> None:
        own = plan.organization(number)
        self.do(
            "update delivery.organization_settings set marketing_paused_at = :at"
            " where organization_id = :own",
            at=at, own=own,
        )  # fmt: skip
        self.note("organization", own, "active" if at is None else "paused")

    def pause_campaign(self, own: UUID, *, is_forever: bool | None = None) -> None:
        """Pause it if it is sending, mostly for a while."""
        if self._change_campaign(own, ("sending",), "paused"):
            is_forever = self.rng.random() < 0.05 if is_forever is None else is_forever
            if not (is_forever and own.int < plan.campaign(7).int):
                self.again(
                    self._while(), partial(self._change_campaign, own, ("paused",), "sending")
                )

    def cancel_campaign(self, own: UUID) -> None:
        self._change_campaign(own, ("scheduled", "sending", "paused"), "canceled")

    def _change_campaign(self, own: UUID, present: tuple[str, ...], status: str) -> bool:
        is_changed = self.do(
            "update campaign.campaigns set status = :status"
            " where id = :own and status = any(cast(:present as text[]))",
            status=status, own=own, present=list(present),
        )  # fmt: skip
        if is_changed:
            self.note("campaign", own, status)
        return bool(is_changed)

    def _pause_journey(self, number: int) -> None:
        own = plan.journey(number)
        self._set("journey", own, "paused")
        self.again(self._while(), lambda: self._set("journey", own, "active"))

    def _set(self, name: str, own: UUID, status: str) -> None:
        table = {
            "journey": "journey.journeys",
            "execution": "journey.journey_executions",
        }[name]
        self.do(f"update {table} set status = :status where id = :own", status=status, own=own)
        self.note(name, own, status)

    def _set_domain(self, number: int, status: str) -> None:
        self.do(
            "update delivery.sending_domains set status = :status where organization_id = :own",
            status=status, own=plan.organization(number),
        )  # fmt: skip
        if status == "pending":
            self.again(self._while(), lambda: self._set_domain(number, "verified"))

    def _set_active(self, number: int, is_active: bool) -> None:
        self.do(
            "update delivery.provider_configs set is_active = :is_active where id = :own",
            is_active=is_active, own=plan.config(number),
        )  # fmt: skip
        if not is_active:
            self.again(self._while(), lambda: self._set_active(number, True))

    # -- help

    def latest(self, name: str, own: UUID) -> Any:
        found = self.facts.get((name, own))
        return found[-1][1] if found else None

    def _while(self) -> timedelta:
        return timedelta(minutes=self.rng.choice((1, 4, 20, 90, 400)))

    def note(self, name: str, own: UUID, value: Any) -> None:
        """Nothing else runs between the commit and this: the newest moment is its own."""
        self.facts.setdefault((name, own), []).append((self.server.moment, value))

    def do(self, sql: str, **parameters: Any) -> int:
        db = self.connect()
        count = db.execute(sql, **parameters)
        moment = self.server.moment
        db.close()
        assert moment == self.server.moment
        return count
