"""Webhooks that no provider should send: published records with a defect, signed or not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from twilio.request_validator import RequestValidator

from delivery.providers.bodies import basic
from tests.workers.delivery.feedback.published import MAIL, Example
from tests.workers.delivery.providers import test_resend, test_sendgrid, test_sns
from tests.workers.hooks.internet import BASE, hook_url

CANARY = "zq7canary"  # part of each address and text: no log line may have it
TEXTS = [
    "", " ", "\0", "\ud800", "é" * 300, "\N{PILE OF POO}" * 600, "\u202e", "null", "-1",
    "1" * 5_000, "' or 1=1 --", "{}", "[]", f"{CANARY}@mail.example", "a" * 70_000,
]  # fmt: skip
NUMBERS = [0, -1, 1e400, float("nan"), 2**63, -(2**63), 10**400, 1e-320, True, None]
TIMES = [
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-13-01T00:00:00Z", "now",
    "2026-03-10T11:02:00+00:00:30", "2026-03-10", "infinity", -62_135_596_800, 253_402_300_799,
    1e18, "1969-12-31T23:59:59Z", "٢٠٢٦-03-10T11:02:00Z",
]  # fmt: skip
DEPTHS = [10, 65, 900, 30_000]
MANY = 1_500  # events of one webhook: more than a transaction has
LARGE_BYTES = [70_000, 999_000, 1_000_001]


@dataclass(frozen=True)
class Strange:
    """The body of a request, and its headers."""

    body: bytes
    headers: Mapping[str, str]


def value(rng: random.Random) -> Any:
    """A value of a wrong type, or an absurd one."""
    kind = rng.randrange(6)
    if kind == 0:
        return [value(rng) for _ in range(rng.randrange(3))]
    if kind == 1:
        return {rng.choice(["message_id", "id", ""]): value(rng)}
    noise = "".join(chr(rng.randrange(1, 0x2_FFFF)) for _ in range(rng.choice([5, 3_000])))
    return rng.choice([*TEXTS, *NUMBERS, *TIMES, noise])


def with_defect(rng: random.Random, record: Any, others: list[str]) -> Any:
    """The record, in which a field is missing, moved, or has a strange value. `others` are ids."""
    changed = deepcopy(record)
    places = list(_places(changed))
    for _ in range(rng.choice([1, 1, 2, 5])):
        holder, name = rng.choice(places)
        action = rng.randrange(5)
        if action == 0:
            holder.pop(name, None)
        elif action == 1:
            holder[name] = rng.choice(others)
        elif action == 2:
            holder[str(rng.choice(TEXTS[:9]))] = value(rng)
        else:
            holder[name] = value(rng)
    return changed


def _places(record: Any) -> Any:
    """The fields of a record: the object that has it, and its name."""
    for inner in record.values() if isinstance(record, dict) else record:
        if isinstance(inner, dict | list):
            yield from _places(inner)
    if isinstance(record, dict):
        yield from ((record, name) for name in list(record))


def text_of(rng: random.Random, record: Any) -> bytes:
    """The record as JSON, some of it cut off, nested, or in another encoding."""
    plain = json.dumps(record)
    match rng.randrange(12):
        case 0:
            return plain[: rng.randrange(len(plain))].encode()
        case 1:
            depth = rng.choice(DEPTHS)
            opening, closing = rng.choice([("[", "]"), ('{"a":', "}")])
            return (opening * depth + plain + closing * depth).encode()
        case 2:
            depth = rng.choice(DEPTHS)
            return (plain[:-1] + ', "deep": ' + "[" * depth + "]" * depth + plain[-1]).encode()
        case 3:
            return plain.encode(rng.choice(["utf-16", "utf-32", "utf-8-sig"]))
        case 4:
            return rng.choice([b"", b"null", b"[]", b"{}", b"7", b'"', b"\xff\xfe", b"[" * 60_000])
        case 5:
            place = rng.randrange(len(plain))
            return plain[:place].encode() + rng.randbytes(3) + plain[place:].encode()
        case 6 if isinstance(record, dict):
            return json.dumps(record | {"padding": "x" * rng.choice(LARGE_BYTES)}).encode()
        case _:
            return plain.encode()


Sign = Callable[[random.Random, Any, str, datetime], Strange]


def ses(rng: random.Random, record: Any, url: str, now: datetime) -> Strange:
    """The record in a notification of SNS."""
    text = text_of(rng, record).decode("utf-8", "replace")
    envelope = {**test_sns.notification({}), "Message": text}
    if rng.random() < 0.1:
        named = {"Type": "SubscriptionConfirmation", "Token": "t"}
        envelope |= {**named, "SubscribeURL": test_sns.SUBSCRIBE_URL + rng.choice(["", " ü", "#"])}
    return Strange(json.dumps(test_sns.signed(envelope)).encode(), {})


def sendgrid(rng: random.Random, record: Any, url: str, now: datetime) -> Strange:
    """A list of records, at times a long one."""
    events = [record] * rng.choice([1, 1, 1, 2])
    if rng.random() < 0.02:
        events = [{**record, "sg_event_id": f"m{rng.random()}-{n % 1_400}"} for n in range(MANY)]
    body, stamp = text_of(rng, events), str(int(now.timestamp()))
    signature = test_sendgrid.KEY.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    headers = {
        "x-twilio-email-event-webhook-signature": base64.b64encode(signature).decode(),
        "x-twilio-email-event-webhook-timestamp": stamp,
    }
    return Strange(body, headers)


def postmark(rng: random.Random, record: Any, url: str, now: datetime) -> Strange:
    return Strange(text_of(rng, record), {"authorization": basic("u", "p")})


def resend(rng: random.Random, record: Any, url: str, now: datetime) -> Strange:
    """Signed as Svix does it, over bytes of any kind."""
    body, stamp = text_of(rng, record), str(int(now.timestamp()))
    hook_id = f"msg_{rng.randrange(200)}" + "x" * rng.choice([0, 0, 1_900])
    key = base64.b64decode(test_resend.SECRET.removeprefix("whsec_"))
    digest = hmac.new(key, f"{hook_id}.{stamp}.".encode() + body, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    names = {"svix-id": hook_id, "svix-timestamp": stamp, "svix-signature": signature}
    return Strange(body, names)


def mailgun(rng: random.Random, record: Any, url: str, now: datetime) -> Strange:
    """Its signature covers nothing of the event."""
    digest = hmac.new(b"signing", b"1772366400" + b"t" * 50, hashlib.sha256).hexdigest()
    signed = {"timestamp": "1772366400", "token": "t" * 50, "signature": digest}
    if rng.random() < 0.1:
        signed[rng.choice(list(signed))] = value(rng)
    return Strange(text_of(rng, {"signature": signed, "event-data": record}), {})


def twilio(rng: random.Random, record: Any, url: str, now: datetime) -> Strange:
    """A form. Values that are no text become one."""
    fields = {str(name): str(item) for name, item in record.items()}
    if rng.random() < 0.3:
        fields |= {"SmsStatus": "received", "Body": "STOP", "MessageStatus": "received"}
        fields["From"] = rng.choice([fields.get("From", ""), str(value(rng)), "+14155552671"])
    given = {name: item.encode("utf-8", "replace").decode() for name, item in fields.items()}
    clean = {name.encode("utf-8", "replace").decode(): item for name, item in given.items()}
    signature = RequestValidator("token").compute_signature(url, clean)
    return Strange(urlencode(clean).encode(), {"x-twilio-signature": signature})


SIGN: dict[str, Sign] = {
    "ses": ses,
    "sendgrid": sendgrid,
    "postmark": postmark,
    "resend": resend,
    "mailgun": mailgun,
    "twilio": twilio,
}


@dataclass(frozen=True)
class Stranger:
    """Who sends strange requests to the URL of a config. `ids` are those of messages, of which the
    last is another organization's.
    """

    rng: random.Random
    name: str
    config: UUID
    ids: Sequence[UUID]
    base: str = BASE

    def record(self, examples: Sequence[Example]) -> Any:
        """A published record about one of the messages; four of five have a defect."""
        make, _ = self.rng.choice(examples)
        text = json.dumps(make(str(self.rng.choice(self.ids))))
        found = json.loads(text.replace(MAIL, f"{CANARY}@mail.example"))
        others = [*map(str, self.ids), str(_any_id(self.rng))]
        return with_defect(self.rng, found, others) if self.rng.random() < 0.8 else found

    def request(self, record: Any, now: datetime) -> tuple[str, Strange]:
        """A URL, and a request to it: most are signed."""
        more = f"/{self.rng.choice(self.ids)}" if self.name == "twilio" else ""
        url = hook_url(self.name, self.rng.choice([self.config] * 9 + [_any_id(self.rng)]), more)
        url = url.replace(BASE, self.base)
        made = SIGN[self.name](self.rng, record, url, now)
        if self.rng.random() < 0.25:
            made = forged(self.rng, made)
        if self.rng.random() < 0.03:
            url = url.replace("/hooks/", self.rng.choice(["/hook/", "/hooks/x", "/hooks/fcm"]))
        return url, made


def _any_id(rng: random.Random) -> UUID:
    return UUID(int=rng.getrandbits(128))


def forged(rng: random.Random, made: Strange) -> Strange:
    """The request after someone has changed its body, or its headers."""
    body = bytearray(made.body)
    headers = dict(made.headers)
    match rng.randrange(4):
        case 0 if body:
            body[rng.randrange(len(body))] ^= 1 << rng.randrange(8)
        case 1:
            body = bytearray(rng.randbytes(rng.choice([0, 9, 3_000])))
        case _ if headers:
            texts = ["", "x", "9" * 2_000, "9" * 4_000, "-1", "ü", "\0", "v1,", "v1,=", "Basic !"]
            headers[rng.choice(list(headers))] = rng.choice(texts)
        case _:
            body += b" x"
    return Strange(bytes(body), headers)
