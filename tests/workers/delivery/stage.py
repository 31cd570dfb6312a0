"""An organization with contacts, a verified domain and a provider; and the worker next to it."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from delivery.domain.claims import Claims
from delivery.domain.messages import SendEmail, SendPush, SendSms
from delivery.domain.outgoing import Channel
from delivery.domain.verdict import Verdict
from delivery.jobs.sweep import JOB as SWEEP
from delivery.sending import batch, feeding
from delivery.sending.lane import permitted_types
from delivery.store import calls, claims, sweeps
from delivery.store.calls import Begun
from mauntic.database.url import connect
from shared.adapters.postgres.client import Postgres
from shared.outcome import Outcome
from shared.ports import Database, Ports, Row
from tests.fake_r2 import FakeR2, VirtualLoop
from tests.fakes import QueueBinding, World
from tests.roles import as_worker

Answer = TypeVar("Answer")
NOW = datetime(2026, 3, 10, 11, 0, 5, tzinfo=UTC)
KEY = "0f" * 32
MESSAGES: dict[str, Any] = {"email": SendEmail, "sms": SendSms, "push": SendPush}


def org(number: int = 1) -> UUID:
    return UUID(int=number)


def person(number: int) -> UUID:
    return UUID(int=1_000 + number)


def encrypted(secrets: dict[str, Any], key: str = KEY) -> str:
    """A config as the platform stores it."""
    nonce = os.urandom(12)
    ciphertext = AESGCM(bytes.fromhex(key)).encrypt(nonce, json.dumps(secrets).encode(), b"")
    return f"{base64.b64encode(nonce).decode()}:{base64.b64encode(ciphertext).decode()}"


@dataclass
class Stage:
    """`db` is the owner's. The worker works with its own role through `outside`."""

    url: str
    db: Postgres = field(init=False)
    outside: World = field(init=False)
    _worker: Postgres | None = None
    around: Callable[[Database], Database] = lambda db: db

    def __post_init__(self) -> None:
        self.db = Postgres(lambda: connect(self.url))
        self.outside = World(self.url, now=NOW, connect=as_worker)
        self.outside.secrets |= {
            "DELIVERY_MODE": "local",
            "PROVIDER_KEY": KEY,
            "HOOKS_BASE_URL": "https://hooks.example",
            "UNSUBSCRIBE_KEYS": "a key",
            "HTTP_ALLOWED_HOSTS": "api.postmarkapp.com,api.resend.com,api.sendgrid.com",
        }
        self.outside.buckets |= {
            "CAPTURED_R2": FakeR2(self.clock),
            "WARMUP_R2": FakeR2(self.clock),
        }
        self.outside.producers |= {
            name: QueueBinding() for name in ("SEND_EMAIL", "SEND_SMS", "SEND_PUSH")
        }

    def close(self) -> None:
        self.db.close()
        if self._worker is not None:
            self._worker.close()

    # -- the platform

    def organization(self, number: int = 1, **settings: Any) -> UUID:
        own = {
            "from_address": "Acme <news@acme.example>", "postal_address": "1 Road, Town", **settings
        }  # fmt: skip
        names = ", ".join(own)
        values = ", ".join(f":{name}" for name in own)
        self.db.execute(
            f"insert into delivery.organization_settings (organization_id, {names})"
            f" values (:organization_id, {values})",
            organization_id=org(number),
            **own,
        )
        self.domain(number)
        return org(number)

    def domain(self, number: int = 1, *, age_days: int = 400, status: str = "verified") -> None:
        self.db.execute(
            "insert into delivery.sending_domains (organization_id, domain, status, created_at)"
            " values (:org, 'acme.example', :status, :at)"
            " on conflict (organization_id, domain) do update"
            " set created_at = excluded.created_at, status = excluded.status",
            org=org(number),
            status=status,
            at=self.outside.now - timedelta(days=age_days),
        )

    def contact(self, number: int = 1, organization: int = 1, **columns: Any) -> UUID:
        own = {"email": f"p{number}@people.example", "phone": "+14155552671"} | columns
        own["custom_fields"] = json.dumps(own.get("custom_fields", {}))
        names = ", ".join(own)
        values = ", ".join(f":{name}" for name in own)
        self.db.execute(
            f"insert into crm.contacts (id, organization_id, {names})"
            f" values (:id, :organization_id, {values})",
            id=person(number),
            organization_id=org(organization),
            **own,
        )
        return person(number)

    def config(
        self,
        organization: int = 1,
        provider_type: str = "postmark",
        channel: Channel = "email",
        secrets: dict[str, Any] | None = None,
        **columns: Any,
    ) -> UUID:
        own = {"priority": 0, **columns}
        found = secrets or {"serverToken": "t", "broadcastStream": "b", "stream": "s"}
        names = ", ".join(own)
        values = ", ".join(f":{name}" for name in own)
        config_id = uuid4()
        self.db.execute(
            "insert into delivery.provider_configs"
            f" (id, organization_id, channel, provider_type, config, {names}) values"
            f" (:id, :org, :channel, :provider_type, cast(:config as jsonb), {values})",
            id=config_id,
            org=org(organization),
            channel=channel,
            provider_type=provider_type,
            config=json.dumps(encrypted(found)),
            **own,
        )
        return config_id

    def message(self, contact: int | None = 1, organization: int = 1, **columns: Any) -> UUID:
        """A row of the ledger, as a producer inserts it."""
        message_id = uuid4()
        own: dict[str, Any] = {
            "id": message_id,
            "organization_id": org(organization),
            "idempotency_key": str(message_id),
            "channel": "email",
            "class": "marketing",
            "contact_id": None if contact is None else person(contact),
            "content": {"subject": "Hello {{contact.first_name}}", "text": "Body", "html": "<p>B"},
            "expires_at": self.outside.now + timedelta(hours=72),
            "created_at": self.outside.now,
            **columns,
        }
        own["content"] = json.dumps(own["content"]) if own["content"] is not None else None
        names = ", ".join(own)
        values = ", ".join(f":{name}" for name in own)
        self.db.execute(f"insert into delivery.messages ({names}) values ({values})", **own)
        return message_id

    # -- the worker

    def clock(self) -> datetime:
        """The time; while the worker sleeps it goes on."""
        try:
            elapsed_s = asyncio.get_running_loop().time()
        except RuntimeError:
            elapsed_s = 0.0
        return self.outside.now + timedelta(seconds=elapsed_s)

    def ports(self) -> Ports:
        ports = self.outside.ports()
        return replace(ports, clock=self.clock, db=self.around(ports.db))

    def run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        """Run work in virtual time; afterwards it is later. Work within work has its own thread."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._run(work)
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(self._run, work).result()

    def _run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        loop = VirtualLoop()
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                return runner.run(work)
        finally:
            self.outside.now += timedelta(seconds=loop.elapsed_s)

    def feed(self, channel: Channel = "email") -> list[dict[str, Any]]:
        """Run the feeder; return the references that it has sent."""
        binding = self.outside.producers[feeding.BINDINGS[channel]]
        before = len(binding.sent)
        ports = self.ports()
        try:
            self.run(feeding.feed(channel, ports))
        finally:
            ports.db.close()
        return binding.sent[before:]

    def consume(
        self, bodies: Sequence[dict[str, Any]], channel: Channel = "email"
    ) -> list[Outcome]:
        """Run the job over a batch of queue messages."""
        messages: list[Any] = [MESSAGES[channel].model_validate(body) for body in bodies]
        ports = self.ports()
        try:
            return list(self.run(batch.send(channel, messages, ports)))
        finally:
            ports.db.close()

    def send(self, *ids: UUID, channel: Channel = "email", organization: int = 1) -> list[Outcome]:
        """Deliver references to messages, whether or not the feeder has sent them."""
        return self.consume([reference(own, channel, organization) for own in ids], channel)

    @property
    def worker(self) -> Postgres:
        """The database, with the rights of a worker."""
        if self._worker is None:
            self._worker = Postgres(lambda: as_worker(self.url))
        return self._worker

    def claim(self, *ids: UUID, channel: Channel = "email") -> Claims:
        """Claim without sending, as a consumer that stands still afterwards."""
        references = [(org(), own) for own in ids]
        types = permitted_types(channel)
        return claims.claim(self.worker, channel, references, types, True, self.outside.now)

    def begin(self, found: Claims, config_id: UUID | None = None) -> Begun:
        """Begin a call with all messages of a claim."""
        return calls.begin(self.worker, uuid4(), config_id, found.claimed, True, self.outside.now)

    def settle(self, begun: Begun, *verdicts: Verdict) -> dict[UUID, str]:
        """Write verdicts, or one for all messages of the call."""
        own = verdicts if len(verdicts) > 1 else verdicts * len(begun.messages)
        return calls.settle(self.worker, begun, own, 200, 0.5, self.outside.now)

    def later(self, **time: float) -> None:
        self.outside.advance(**time)

    def sweep(self) -> dict[str, int]:
        """Run the statements of the sweep; return how many rows each changed."""
        ports = self.ports()
        counts = {name: sweeps.sweep(ports.db, name, self.outside.now) for name in sweeps.SWEEPS}
        ports.db.close()
        return {name: count for name, count in counts.items() if count}

    # -- what has become of it

    def row(self, message_id: UUID) -> Row:
        [row] = self.db.rows("select * from delivery.messages where id = :id", id=message_id)
        return row

    def state(self, message_id: UUID) -> tuple[str, str | None]:
        row = self.row(message_id)
        return row["state"], row["reason"]

    def attempts(self, message_id: UUID) -> list[Row]:
        return self.db.rows(
            "select * from delivery.attempts where message_id = :id order by attempt", id=message_id
        )

    @property
    def captured(self) -> dict[str, Any]:
        bucket = self.outside.buckets["CAPTURED_R2"]
        assert isinstance(bucket, FakeR2)
        return {key: json.loads(text) for key, (text, _) in bucket.objects.items()}


def reference(
    message_id: UUID, channel: Channel = "email", organization: int = 1
) -> dict[str, Any]:
    data = {"organizationId": str(org(organization)), "messageId": str(message_id)}
    return {"type": f"delivery.send-{channel}", "data": data}


__all__ = ["KEY", "NOW", "SWEEP", "Stage", "encrypted", "org", "person", "reference"]
