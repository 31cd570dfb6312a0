"""The imitated providers accept the adapters' requests, and refuse what a provider refuses."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from delivery.domain.outgoing import Outgoing, OutgoingPush, OutgoingSms
from delivery.domain.rendered import Rendered, plain
from delivery.providers.adapter import HttpRequest, NeedsToken
from delivery.providers.config_crypto import decrypted
from delivery.providers.registry import adapter_of
from mauntic.demo.loopback.accounts import PROVIDERS, Accounts, encrypted, new_accounts
from mauntic.demo.loopback.aws_signature import is_signed
from mauntic.demo.loopback.provider import OF_THE_CONNECTION, Call, Entry, Outcome
from mauntic.demo.loopback.server import Loopback, serving
from mauntic.project.host_crypto import HostCrypto
from shared.ports import HttpResponse
from tests.workers.delivery.providers.support import several

NAMES = [provider.name for provider in PROVIDERS]
BULK = ["ses", "sendgrid", "postmark", "resend"]
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def accounts() -> Accounts:
    return new_accounts()


@pytest.fixture
def loopback(accounts: Accounts) -> Iterator[Loopback]:
    def rule(provider: str, entry: Entry) -> Outcome:
        found = [own for own in get_args(Outcome) if own in entry.to]
        return found[0] if found else "accept"

    with serving(Loopback(accounts.providers(), rule)) as running:
        yield running


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as client:
        yield client


def messages(name: str, accounts: Accounts, *words: str) -> list[Any]:
    """A message for each word, which is in its address."""
    ids = [f"0b7c56a4-0000-4000-8000-{number:012}" for number in range(len(words))]
    if name == "twilio":
        return [OutgoingSms(own, "transactional", f"+1415555267{n}", w)
                for n, (own, w) in enumerate(zip(ids, words, strict=True))]  # fmt: skip
    if name in ("fcm", "webpush"):
        start = "https://updates.push.services.mozilla.com/wpush/v2/" if name == "webpush" else ""
        return [
            OutgoingPush(
                message_id=own,
                message_class="transactional",
                token=start + word,
                title="Title",
                body="Body",
                expires_at=NOW + timedelta(hours=1),
                p256dh=accounts.device["p256dh"],
                auth=accounts.device["auth"],
            )
            for own, word in zip(ids, words, strict=True)
        ]
    found = zip(several(len(words)), ids, words, strict=True)
    text = Rendered(("Hello ", "!"), ("you",))
    return [
        replace(own, message_id=i, to=f"{word}.{i[-2:]}@people.example", subject=plain("S"),
                text=text)
        for own, i, word in found
    ]  # fmt: skip


def request(name: str, sent: Sequence[Outgoing], secrets: Any, http: Any) -> HttpRequest:
    """The adapter's request, with a token from the loopback where it needs one."""
    adapter, crypto = adapter_of(name), HostCrypto()
    if isinstance(adapter, NeedsToken):
        asked = asyncio.run(adapter.token_request(secrets, NOW, crypto))
        token = adapter.token(http(asked), NOW)
        secrets = {**secrets, "accessToken": getattr(token, "text", "none")}
    made = asyncio.run(adapter.request(sent, secrets, "c" * 36, NOW, crypto))
    assert isinstance(made, HttpRequest)
    return made


class Caller:
    """Sends an adapter's requests to the loopback, as the local runtime does."""

    def __init__(self, loopback: Loopback, client: httpx.Client) -> None:
        self.loopback, self.client = loopback, client

    def __call__(self, asked: HttpRequest) -> HttpResponse:
        url = httpx.URL(asked.url)
        answer = self.client.request(
            asked.method,
            self.loopback.origin + url.raw_path.decode(),
            headers={**asked.headers, "X-Forwarded-Host": url.host},
            content=asked.body,
        )
        headers = {own.lower(): value for own, value in answer.headers.items()}
        return HttpResponse(answer.status_code, headers, answer.content)

    def verdicts(self, name: str, sent: Sequence[Outgoing], secrets: Any) -> list[str]:
        response = self(request(name, sent, secrets, self))
        return [own.kind for own in adapter_of(name).verdicts(sent, response, NOW)]


@pytest.fixture
def call(loopback: Loopback, http: httpx.Client) -> Caller:
    return Caller(loopback, http)


@pytest.mark.parametrize("name", NAMES)
def test_a_message_is_accepted_once(name: str, accounts: Accounts, call: Caller) -> None:
    sent = messages(name, accounts, "jane")
    assert call.verdicts(name, sent, accounts.secrets[name]) == ["accepted"]
    assert list(call.loopback.times_taken(name).values()) == [1]
    assert call.loopback.refusals == []


@pytest.mark.parametrize("name", BULK)
def test_a_bulk_call_is_accepted(name: str, accounts: Accounts, call: Caller) -> None:
    sent = messages(name, accounts, "jane", "john", "joan")
    assert call.verdicts(name, sent, accounts.secrets[name]) == ["accepted"] * 3
    assert call.loopback.times_taken(name) == Counter(message.to for message in sent)
    assert (call.loopback.calls[name], call.loopback.refusals) == (1, [])


# Published: SendGrid refuses a whole call, the others an entry.
REJECTED = {
    "ses": ["accepted", "refused", "accepted"],
    "sendgrid": ["refused", "refused", "refused"],
    "postmark": ["accepted", "refused", "accepted"],
    "resend": ["accepted", "refused", "accepted"],
}


@pytest.mark.parametrize("name", BULK)
def test_a_rejected_address_of_a_bulk_call(name: str, accounts: Accounts, call: Caller) -> None:
    sent = messages(name, accounts, "jane", "reject", "joan")
    assert call.verdicts(name, sent, accounts.secrets[name]) == REJECTED[name]
    taken = [message.to for message, own in zip(sent, REJECTED[name], strict=True)
             if own == "accepted"]  # fmt: skip
    assert call.loopback.times_taken(name) == Counter(taken)


FAILURES = {"throttle": "defer", "unavailable": "retry", "error": "unknown", "credentials": "pause"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("outcome", FAILURES)
def test_a_call_fails_as_a_whole(
    name: str, outcome: Outcome, accounts: Accounts, call: Caller
) -> None:
    asked = request(name, messages(name, accounts, "jane"), accounts.secrets[name], call)
    call.loopback.scripted[httpx.URL(asked.url).host] = deque([outcome])
    [verdict] = adapter_of(name).verdicts(messages(name, accounts, "jane"), call(asked), NOW)
    is_repeatable = (name, outcome) == ("fcm", "error")  # a repeated push replaces the first
    assert verdict.kind == ("retry" if is_repeatable else FAILURES[outcome])
    assert call.loopback.taken == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("outcome", sorted(OF_THE_CONNECTION))
def test_a_connection_breaks(name: str, outcome: Outcome, accounts: Accounts, call: Caller) -> None:
    """After the message is taken, or before; a garbled answer arrives, and proves nothing."""
    sent = messages(name, accounts, "jane")
    asked = request(name, sent, accounts.secrets[name], call)
    call.loopback.scripted[httpx.URL(asked.url).host] = deque([outcome])
    if outcome == "garbled":
        kinds = [own.kind for own in adapter_of(name).verdicts(sent, call(asked), NOW)]
        assert kinds == ["unknown"]
    else:
        with pytest.raises(httpx.TransportError):
            call(asked)
    assert len(call.loopback.taken) == (outcome not in ("lost", "unread"))


@pytest.mark.parametrize("name", NAMES)
def test_foreign_secrets_are_refused(name: str, accounts: Accounts, call: Caller) -> None:
    """Each provider has the key of its own customer alone."""
    foreign = dict(accounts.secrets[name])
    for secret in {"apiKey", "serverToken", "authToken", "secretAccessKey"} & foreign.keys():
        foreign[secret] = "foreign"
    if name in ("fcm", "webpush"):
        foreign = dict(new_accounts().secrets[name])
    assert call.verdicts(name, messages(name, accounts, "jane"), foreign) == ["pause"]
    assert call.loopback.taken == []


def test_sendgrid_takes_no_address_twice(accounts: Accounts, call: Caller) -> None:
    first, second = messages("sendgrid", accounts, "jane", "john")
    sent = [first, replace(second, to=first.to)]
    assert call.verdicts("sendgrid", sent, accounts.secrets["sendgrid"]) == ["refused"] * 2
    assert call.loopback.refusals == ["sendgrid: twice"]


def test_resend_repeats_its_answer_and_refuses_another_request(
    accounts: Accounts, call: Caller
) -> None:
    [message] = messages("resend", accounts, "jane")
    asked = request("resend", [message], accounts.secrets["resend"], call)
    first, repeated = call(asked), call(asked)
    assert (first.body, first.status) == (repeated.body, 200)
    assert len(call.loopback.taken) == 1
    other = replace(message, subject=plain("another"))
    response = call(request("resend", [other], accounts.secrets["resend"], call))
    assert (response.status, b"invalid_idempotent_request" in response.body) == (409, True)
    assert len(call.loopback.taken) == 1


def test_the_signature_of_aws_is_that_of_its_sdk() -> None:
    url = "https://email.eu-west-1.amazonaws.com/v2/email/outbound-emails"
    made = AWSRequest("POST", url, data=b"{}", headers={"Content-Type": "application/json"})
    SigV4Auth(Credentials("AKID", "secret"), "ses", "eu-west-1").add_auth(made)
    headers = {name.lower(): value for name, value in made.headers.items()}
    path = "/v2/email/outbound-emails"
    call = Call("POST", "email.eu-west-1.amazonaws.com", path, headers, b"{}")
    assert is_signed(call, "AKID", "secret", "eu-west-1")
    assert not is_signed(call, "AKID", "other", "eu-west-1")
    assert not is_signed(replace(call, body=b"{} "), "AKID", "secret", "eu-west-1")
    assert not is_signed(replace(call, host="email.example"), "AKID", "secret", "eu-west-1")


def test_a_configuration_is_encrypted_as_the_worker_reads_it() -> None:
    text = encrypted({"apiKey": "é"}, "0f" * 32)
    assert asyncio.run(decrypted(text, "0f" * 32, HostCrypto())) == {"apiKey": "é"}
