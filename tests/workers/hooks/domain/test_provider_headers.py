"""The list of headers, compared with what the adapters read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress

import pytest

from delivery.providers.adapter import Adapter, BadSignature, Webhook
from delivery.providers.registry import ADAPTERS
from hooks.domain.provider_headers import HEADERS
from tests.workers.delivery.providers.support import CRYPTO
from tests.workers.hooks.internet import NOW

# Delivery itself sends the answers of captured messages: there is no webhook.
WITHOUT_WEBHOOKS = {"capture"}
SECRETS = {
    "webhookPublicKey": "k", "hookSecret": "whsec_a2V5", "hookUser": "u", "hookPassword": "p",
    "authToken": "t", "signingKey": "s", "topicArn": "arn:aws:sns:eu-west-1:1:t",
}  # fmt: skip


class Recording(Mapping[str, str]):
    """Headers that note what is read."""

    def __init__(self) -> None:
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.read.add(name)
        return "1"

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("an adapter reads headers by their names")

    def __len__(self) -> int:
        return 1


def read_by(adapter: Adapter) -> set[str]:
    headers = Recording()
    with suppress(BadSignature):
        asyncio.run(adapter.events(Webhook("https://h/", headers, b"{}", NOW), SECRETS, CRYPTO))
    return headers.read


def test_each_provider_with_webhooks_is_listed() -> None:
    with_webhooks = {n for n, own in ADAPTERS.items() if type(own).events is not Adapter.events}
    assert with_webhooks - WITHOUT_WEBHOOKS == HEADERS.keys()


@pytest.mark.parametrize("provider", HEADERS)
def test_what_the_adapter_reads_goes_on_and_nothing_else(provider: str) -> None:
    assert read_by(ADAPTERS[provider]) == set(HEADERS[provider])
