"""The platform and its people: they write what the worker reads, at any moment."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from delivery.store import feedback, sweeps
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
insert into delivery.suppressions (organization_id, channel, address, reason, scope)
values (:organization_id, :channel, :address, 'manual', :scope) on conflict do nothing
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
    again: Callable[[timedelta, Callable[[], None]], None]
    facts: dict[tuple[str, UUID], list[tuple[int, Any]]] = field(default_factory=dict)
    resent: dict[UUID, int] = field(default_factory=dict)
    settled: set[UUID] = field(default_factory=set)
    created: dict[int, datetime] = field(default_factory=dict)
    is_calm: bool = False

    # -- what there is at the beginning

    def set_up(self, start: datetime) -> None:
        for number in range(1, plan.ORGANIZATIONS + 1):
            self._organization(number, start)
        for person in map(plan.Contact, range(plan.CONTACTS)):
            self._contact(person)
        for number in range(1, 7):
            self._do(
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
        self._do(
            "insert into delivery.organization_settings (organization_id, from_address,"
            " postal_address, caps, quiet_from, quiet_until) values (:own,"
            " 'Acme <news@acme.example>', '1 Road', cast(:caps as jsonb),"
            " cast(:quiet_from as time), cast(:quiet_until as time))",
            own=own, caps=json.dumps(caps), quiet_from=quiet[0], quiet_until=quiet[1],
        )  # fmt: skip
        age = timedelta(hours=5) if number == 1 else timedelta(days=400)
        self.created[number] = start - age
        self._do(
            "insert into delivery.sending_domains (organization_id, domain, status, created_at)"
            " values (:own, 'acme.example', 'verified', :at)",
            own=own, at=start - age,
        )  # fmt: skip
        self._do(
            "insert into content.templates (id, organization_id, type, subject, body_html)"
            " values (:id, :own, 'email', 'News', '<p>{{contact.first_name}} {{variables.ref}}')",
            id=plan.template(number), own=own,
        )  # fmt: skip
        self._do(
            "insert into journey.journeys (id, organization_id, name, status)"
            " values (:id, :own, 'Name', 'active')",
            id=plan.journey(number), own=own,
        )  # fmt: skip

    def _contact(self, person: plan.Contact) -> None:
        own = plan.organization(person.organization)
        ids = {"id": plan.contact(person.number), "own": own}
        self._do(
            "insert into crm.contacts"
            " (id, organization_id, first_name, email, phone, custom_fields)"
            " values (:id, :own, 'Zoe', :email, :phone, cast(:custom as jsonb))",
            **ids, email=person.email, phone=person.phone,
            custom=json.dumps({"_consent_preferences": {"sms": True, "push": True}}),
        )  # fmt: skip
        self._do(
            "insert into journey.journey_executions (id, journey_id, organization_id, contact_id)"
            " values (:execution, :journey, :own, :id)",
            **ids, execution=plan.execution(person.number),
            journey=plan.journey(person.organization),
        )  # fmt: skip
        for device, endpoint in person.devices:
            _, public, auth = plan.keys()
            self._do(
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
        self._do(
            "insert into delivery.provider_configs (id, organization_id, channel, provider_type,"
            " config, priority, per_second) values (:id, :own, :channel, :name,"
            " cast(:config as jsonb), :priority, :rate)",
            id=plan.config(number), own=plan.organization(own), channel=channel, name=name,
            config=json.dumps(stored), priority=priority, rate=rate,
        )  # fmt: skip

    # -- what happens

    def fan_out(self, burst: plan.Burst) -> None:
        own = plan.campaign_organization(burst.campaign)
        self._do(
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
                lambda: self._pause_campaign(self.rng.randint(1, 6)),
                lambda: self._pause_journey(number),
                lambda: self._set_domain(number, "pending"),
                lambda: self._set_active(self.rng.randrange(len(plan.CONFIGS)), False),
                lambda: self._delete(person),
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
            own = row["campaign_id"].int - 5_000
            choices += [lambda: self._pause_campaign(own)] * 3
            if self.rng.random() < 0.1:
                choices.append(lambda: self._set("campaign", plan.campaign(own), "canceled"))
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

    def report(self, reference: str) -> None:
        """A provider reports that it has a message."""
        db = self.connect()
        rows = db.rows(
            "select organization_id, id from delivery.messages where idempotency_key = :own"
            " or cast(id as text) = :own or replace(cast(id as text), '-', '') = :own",
            own=reference,
        )
        for row in rows:
            feedback.record_evidence(db, [(row["organization_id"], row["id"])], self.clock())
        db.close()

    # -- single changes

    def _suppress(self, number: int, channel: str, address: str) -> None:
        self._do(
            SUPPRESS, organization_id=plan.organization(number), channel=channel, address=address,
            scope=self.rng.choice(("all", "marketing")),
        )  # fmt: skip

    def _set_status(self, person: plan.Contact, status: str) -> None:
        own = plan.contact(person.number)
        self._do("update crm.contacts set status = :status where id = :id", id=own, status=status)
        self._note("contact", own, status)

    def _delete(self, person: plan.Contact) -> None:
        own = plan.contact(person.number)
        self._do("delete from crm.contacts where id = :id", id=own)
        self._note("contact", own, "deleted")

    def _pause_organization(self, number: int) -> None:
        self.set_paused(number, self.clock())
        self.again(self._while(), lambda: self.set_paused(number, None))

    def set_paused(self, number: int, at: datetime | None) -> None:
        own = plan.organization(number)
        self._do(
            "update delivery.organization_settings set marketing_paused_at = :at"
            " where organization_id = :own",
            at=at, own=own,
        )  # fmt: skip
        self._note("organization", own, "active" if at is None else "paused")

    def _pause_campaign(self, number: int) -> None:
        own = plan.campaign(number)
        if self.latest("campaign", own) == "canceled":
            return
        self._set("campaign", own, "paused")
        if self.rng.random() < 0.95:
            self.again(self._while(), lambda: self._resume_campaign(own))

    def _resume_campaign(self, own: UUID) -> None:
        if self.latest("campaign", own) == "paused":
            self._set("campaign", own, "sending")

    def _pause_journey(self, number: int) -> None:
        own = plan.journey(number)
        self._set("journey", own, "paused")
        self.again(self._while(), lambda: self._set("journey", own, "active"))

    def _set(self, name: str, own: UUID, status: str) -> None:
        table = {
            "campaign": "campaign.campaigns",
            "journey": "journey.journeys",
            "execution": "journey.journey_executions",
        }[name]
        self._do(f"update {table} set status = :status where id = :own", status=status, own=own)
        self._note(name, own, status)

    def _set_domain(self, number: int, status: str) -> None:
        self._do(
            "update delivery.sending_domains set status = :status where organization_id = :own",
            status=status, own=plan.organization(number),
        )  # fmt: skip
        if status == "pending":
            self.again(self._while(), lambda: self._set_domain(number, "verified"))

    def _set_active(self, number: int, is_active: bool) -> None:
        self._do(
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

    def _note(self, name: str, own: UUID, value: str) -> None:
        """Nothing else runs between the commit and this: the newest moment is its own."""
        self.facts.setdefault((name, own), []).append((self.server.moment, value))

    def _do(self, sql: str, **parameters: Any) -> None:
        db = self.connect()
        db.execute(sql, **parameters)
        moment = self.server.moment
        db.close()
        assert moment == self.server.moment
