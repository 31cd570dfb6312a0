"""What a seed decides about the platform: organizations, contacts, providers, messages."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from random import Random
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from delivery.domain.outgoing import Channel, MessageClass

ORGANIZATIONS, CONTACTS, DEVICES_MAX = 3, 60, 3
CROWD = 10_000  # the first of the contacts to whom only campaigns go
MESSAGES_A_DAY, BURSTS_A_DAY, BURST = 60, 1.5, (8, 40)
TOGETHER = 12  # messages of one organization that the platform sends within seconds
TEXT = {"text": "Hi {{contact.first_name}} #{{variables.ref}}"}
WITH_IMAGE = {"subject": "For {{contact.first_name}}", "html": "<p>{{variables.ref}}</p>"}
TITLE = {"title": "News", "body": "{{variables.ref}}"}
CONTENT: dict[Channel, dict[str, Any]] = {"email": WITH_IMAGE, "sms": TEXT, "push": TITLE}


def organization(number: int) -> UUID:
    return UUID(int=number)


def contact(number: int) -> UUID:
    return UUID(int=1_000 + number)


def campaign(number: int) -> UUID:
    return UUID(int=5_000 + number)


def journey(number: int) -> UUID:
    return UUID(int=6_000 + number)


def execution(number: int) -> UUID:
    return UUID(int=7_000 + number)


def config(number: int) -> UUID:
    return UUID(int=8_000 + number)


def template(number: int) -> UUID:
    return UUID(int=9_000 + number)


@dataclass(frozen=True)
class Contact:
    """A person; the address says how providers answer."""

    number: int

    @property
    def organization(self) -> int:
        return 1 + self.number % ORGANIZATIONS

    @property
    def has_a_fault(self) -> bool:
        """A provider does not take messages to this address."""
        return self.number % 20 in (7, 8) or self.owner % 20 in (7, 8) or self.number % 10 == 0

    @property
    def owner(self) -> int:
        """The contact who has this e-mail address too: some people share theirs."""
        is_shared = self.number >= CROWD and self.number % 21 == 4
        return self.number - ORGANIZATIONS if is_shared else self.number

    @property
    def email(self) -> str:
        name = {7: "refused", 8: "inactive"}.get(self.owner % 20, "p")
        return f"{name}{self.owner}@people.example"

    @property
    def phone(self) -> str:
        last = {7: "99", 8: "88"}.get(self.number % 20, "10")
        start = f"+1415555{self.number % 100:02}" if self.number < CROWD else f"+1415{self.number}"
        return f"{start}{last}"

    @property
    def devices(self) -> Iterator[tuple[UUID, str]]:
        for number in range(self.number % (DEVICES_MAX + 1) if self.number < CROWD else 0):
            end = {0: "inactive"}.get(self.number % 10, "d")
            yield (
                UUID(int=20_000 + 10 * self.number + number),
                f"https://updates.push.services.mozilla.com/{self.number}-{number}-{end}",
            )


# Organization, channel, provider, priority, messages a second, what else its secrets have.
CONFIGS: tuple[tuple[int, Channel, str, int, float | None], ...] = (
    (1, "email", "postmark", 2, None),
    (1, "email", "resend", 1, None),
    (2, "email", "sendgrid", 2, None),
    (2, "email", "postmark", 1, 4),
    (3, "email", "resend", 1, None),
    (1, "sms", "twilio", 1, None),
    (2, "sms", "twilio", 1, 1),
    (1, "push", "webpush", 1, None),
    (3, "push", "webpush", 1, None),
)


def secrets(number: int, provider_type: str) -> dict[str, str]:
    """Each config has a secret of its own, by which its provider knows it."""
    if provider_type == "twilio":
        return {"accountSid": f"AC{number}", "authToken": "t", "fromNumber": "+14155550100"}
    if provider_type == "webpush":
        private, public, _ = keys()
        return {
            "vapidPrivateKey": private, "vapidPublicKey": public, "subject": "mailto:a@b.example"
        }  # fmt: skip
    if provider_type == "postmark":
        hook = {"hookUser": "hook", "hookPassword": hook_secret(number)}
        return {"serverToken": f"config-{number}", "broadcastStream": "b", "stream": "s"} | hook
    if provider_type == "sendgrid":
        return {"apiKey": f"config-{number}", "webhookPublicKey": _webhook_key()[1]}
    encoded = base64.b64encode(hook_secret(number).encode()).decode()
    return {"apiKey": f"config-{number}", "hookSecret": f"whsec_{encoded}"}


def hook_secret(number: int) -> str:
    """The secret with which the provider of a config signs its webhooks."""
    return f"hook secret of {number}"


def signed(content: bytes) -> str:
    """The signature of a webhook of SendGrid."""
    return base64.b64encode(_webhook_key()[0].sign(content, ec.ECDSA(SHA256()))).decode()


@cache
def _webhook_key() -> tuple[ec.EllipticCurvePrivateKey, str]:
    private = ec.derive_private_key(12_345, ec.SECP256R1())
    public = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return private, base64.b64encode(public).decode()


@cache
def keys() -> tuple[str, str, str]:
    """A private key, its public key, and the secret of a subscription, in base64url."""
    pair = ec.generate_private_key(ec.SECP256R1())
    private = pair.private_numbers().private_value.to_bytes(32, "big")
    public = pair.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return _base64url(private), _base64url(public), _base64url(b"0123456789abcdef")


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@dataclass(frozen=True)
class Wanted:
    """A message that the platform sends in whole, `copies` times."""

    at: datetime
    key: str
    channel: Channel
    message_class: MessageClass
    contact: Contact
    campaign: int | None
    execution: int | None
    on_uncertain: str | None
    later: timedelta | None
    has_template: bool
    copies: int

    def body(self) -> dict[str, Any]:
        """The queue message."""
        number = self.contact.organization
        own: dict[str, Any] = {
            "organizationId": str(organization(number)),
            "idempotencyKey": self.key,
            "contactId": str(contact(self.contact.number)),
            "class": self.message_class,
            "variables": {"ref": self.key},
        }
        if self.has_template:
            own["templateId"] = str(template(number))
        else:
            own["content"] = CONTENT[self.channel]
        if self.campaign:
            own["campaignId"] = str(campaign(self.campaign))
        if self.execution:
            own["journeyExecutionId"] = str(execution(self.execution))
        if self.on_uncertain:
            own["onUncertain"] = self.on_uncertain
        if self.later:
            own["notBefore"] = (self.at + self.later).isoformat()
        return {"type": f"delivery.send-{self.channel}", "data": own}


@dataclass(frozen=True)
class Burst:
    """The recipients of a campaign, inserted at once as by the fan-out."""

    at: datetime
    campaign: int
    job_id: UUID
    contacts: tuple[Contact, ...]

    def rows(self) -> str:
        number = campaign_organization(self.campaign)
        return json.dumps(
            [
                {
                    "organization_id": str(organization(number)),
                    "key": self.key(person),
                    "contact_id": str(contact(person.number)),
                    "variables": {"ref": self.key(person)},
                }
                for person in self.contacts
            ]
        )

    def key(self, person: Contact) -> str:
        return f"campaign:{self.job_id}:{person.number}"


def campaign_organization(number: int) -> int:
    return 1 + number % ORGANIZATIONS


def wanted(rng: Random, start: datetime, days: int) -> list[Wanted]:
    """Messages in groups, as a provider's bulk calls need them."""
    drawn: list[Wanted] = []
    while len(drawn) < days * MESSAGES_A_DAY:
        at, own = start + timedelta(days=days) * rng.random(), rng.randint(1, ORGANIZATIONS)
        part = rng.choice((0.1, 0.5, 0.9))  # of marketing
        for _ in range(rng.randint(1, TOGETHER)):
            moment = at + timedelta(seconds=rng.uniform(0, 3))
            drawn.append(_wanted(rng, moment, own, part, len(drawn)))
    return drawn


def _wanted(rng: Random, at: datetime, own: int, part: float, number: int) -> Wanted:
    person = Contact(rng.randrange(CONTACTS // ORGANIZATIONS) * ORGANIZATIONS + own - 1)
    channels: tuple[Channel, ...] = ("email", "sms", "push")
    channel = rng.choices(channels, (6, 2, 2))[0]
    is_marketing = rng.random() < part
    with_campaign = is_marketing and rng.random() < 0.4
    may_repeat = not is_marketing or channel == "push"
    return Wanted(
        at=at,
        key=f"key-{number}",
        channel=channel,
        message_class="marketing" if is_marketing else "transactional",
        contact=person,
        campaign=rng.choice([n for n in range(1, 7) if campaign_organization(n) == own])
        if with_campaign
        else None,
        execution=person.number if rng.random() < 0.2 else None,
        on_uncertain=rng.choice((None, None, "hold", "retry")) if may_repeat else None,
        later=timedelta(hours=rng.uniform(0.1, 30)) if rng.random() < 0.1 else None,
        has_template=channel == "email" and rng.random() < 0.5,
        copies=2 if rng.random() < 0.15 else 1,
    )


def bursts(rng: Random, start: datetime, days: int) -> list[Burst]:
    drawn = []
    for number in range(max(1, round(days * BURSTS_A_DAY))):
        chosen = rng.randint(1, 6)
        own = campaign_organization(chosen)
        people = [p for p in map(Contact, range(CONTACTS)) if p.organization == own]
        some = rng.sample(people, min(len(people), rng.randint(*BURST)))
        at = start + timedelta(days=days) * rng.random()
        drawn.append(Burst(at, chosen, UUID(int=30_000 + number), tuple(some)))
    return drawn
