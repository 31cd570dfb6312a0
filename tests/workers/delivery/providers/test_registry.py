"""Every provider is found by its module, is pure, and states what its configuration needs."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import delivery.providers
from delivery.domain.outgoing import MessageClass
from delivery.providers.registry import (
    ADAPTERS,
    REFUSED,
    UnknownProvider,
    adapter_of,
    hosts,
    missing,
)
from delivery.providers.secrets import permits, snake_case

FOLDER = Path(delivery.providers.__file__).parent
REACHES_OUT = {"os", "io", "pathlib", "time", "random", "secrets", "socket", "asyncio", "http"}

# As in the contract: what a configuration must have.
REQUIRED = {
    "ses": ["region", "accessKeyId", "secretAccessKey", "configurationSet"],
    "sendgrid": ["apiKey"],
    "postmark": ["serverToken"],
    "resend": ["apiKey"],
    "twilio": ["accountSid", "authToken", "fromNumber or messagingServiceSid"],
    "fcm": ["projectId", "serviceAccountKey"],
    "mailgun": ["apiKey", "domain"],
    "webpush": ["vapidPrivateKey", "vapidPublicKey", "subject"],
    "cloudflare": [],
}
BULK_MAX = {"ses": 50, "postmark": 500, "resend": 100, "sendgrid": 1_000}


def test_every_provider_of_the_contract_is_found() -> None:
    found = {name: adapter.bulk_max for name, adapter in ADAPTERS.items() if name in REQUIRED}
    assert found == {name: BULK_MAX.get(name, 1) for name in REQUIRED}


@pytest.mark.parametrize("name", REQUIRED)
def test_an_empty_configuration_lacks_every_required_name(name: str) -> None:
    assert missing(name, {}) == REQUIRED[name]


@pytest.mark.parametrize("style", [str, snake_case])
@pytest.mark.parametrize("name", REQUIRED)
def test_names_are_read_in_both_styles(name: str, style: type[str]) -> None:
    config = {style(required.split(" or ")[-1]): "x" for required in REQUIRED[name]}
    assert missing(name, config) == []
    for required in config:
        assert len(missing(name, config | {required: ""})) == 1


@pytest.mark.parametrize("name", ["custom_smtp", "webhook"])
def test_a_refused_type_has_its_reason(name: str) -> None:
    with pytest.raises(UnknownProvider, match=f"{name} is not supported: .*{REFUSED[name][:20]}"):
        adapter_of(name)
    with pytest.raises(UnknownProvider):
        missing(name, {})


def test_another_type_names_those_that_exist() -> None:
    with pytest.raises(UnknownProvider, match=r"none of .*cloudflare, .*webpush"):
        adapter_of("SES")


@pytest.mark.parametrize(
    ("name", "message_class", "config", "is_permitted"),
    [
        ("cloudflare", "marketing", {}, False),
        ("cloudflare", "transactional", {}, True),
        ("postmark", "marketing", {"serverToken": "t"}, False),
        ("postmark", "marketing", {"serverToken": "t", "broadcast_stream": "b"}, True),
        ("postmark", "transactional", {"serverToken": "t"}, True),
        ("ses", "marketing", {}, True),
    ],
)
def test_a_class_that_a_provider_excludes_is_not_permitted(
    name: str, message_class: MessageClass, config: dict[str, str], is_permitted: bool
) -> None:
    assert permits(adapter_of(name), message_class, config) is is_permitted


def test_the_hosts_of_all_providers_are_known() -> None:
    assert {"api.resend.com", "*.amazonaws.com", "oauth2.googleapis.com"} < set(hosts())


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_an_adapter_reaches_nothing_outside(path: Path) -> None:
    imported: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            imported.add(node.module.partition(".")[0])
    assert imported & REACHES_OUT == set()
