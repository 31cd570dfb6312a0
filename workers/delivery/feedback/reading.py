"""From a queue message to its events: find the config, load the body, verify the signature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from delivery.domain.claims import mode_of
from delivery.domain.messages import ProviderEventsData
from delivery.domain.verdict import Verdict
from delivery.providers.adapter import Adapter, BadSignature, Webhook
from delivery.providers.capture import CAPTURE
from delivery.providers.config_crypto import KEY_NAME, decrypted
from delivery.providers.registry import ADAPTERS
from delivery.providers.webhooks import Webhooks
from delivery.store.feedback import Reported
from shared.error_text import error_text
from shared.errors import error_class, is_retryable
from shared.inbox import INBOX, decoded
from shared.outcome import Dead, RetryIn
from shared.ports import Ports, Row

RETRY_S = 60
# They are kept for the life of the isolate: certificates of SNS.
WEBHOOKS = Webhooks()


class UnknownConfig(Exception):
    """A webhook names no config, or one of another provider."""


class ConfigUnreadable(Exception):
    """The config or its key cannot be read, so no signature can be verified."""


@dataclass
class Reader:
    """Reads the webhooks of a batch. `configs` are those that they name, each decrypted once."""

    configs: Mapping[UUID, Row]
    ports: Ports
    _secrets: dict[UUID, Mapping[str, Any]] = field(default_factory=dict)

    async def read(self, data: ProviderEventsData) -> list[Reported] | Dead | RetryIn:
        """Return the events, or how the message ends: what is wrong with it concerns no other."""
        try:
            return await self._read(data)
        except UnknownConfig as error:
            return Dead("unknown_config", "UnknownConfig", str(error))
        except BadSignature as error:
            return Dead("bad_signature", "BadSignature", str(error))
        except ConfigUnreadable as error:
            return RetryIn(RETRY_S, "ConfigUnreadable", str(error))
        except Exception as error:
            name, text = error_class(error), error_text(error)
            return (
                RetryIn(RETRY_S, name, text) if is_retryable(error) else Dead("failed", name, text)
            )

    async def _read(self, data: ProviderEventsData) -> list[Reported]:
        config = self.configs.get(data.provider_config_id)
        adapter = self._adapter(data.provider, config)
        body = await self._body(data)
        if body is None:
            self.ports.log("feedback.body_gone", type=adapter.provider_type)
            return []
        secrets = {} if adapter is CAPTURE or config is None else await self._decrypted(config)
        webhook = Webhook(data.url, data.headers, body, data.received_at)
        events = await WEBHOOKS.events(
            adapter, webhook, secrets, self.ports.http, self.ports.crypto
        )
        return [
            Reported(
                event,
                config["organization_id"] if config else None,
                config["id"] if config else None,
                config["channel"] if config else adapter.channel,
                data.received_at,
            )
            for event in events
        ]

    def _adapter(self, provider: str, config: Row | None) -> Adapter:
        """Return the adapter of the config. Captured messages have no signature, and exist only in
        the mode local.
        """
        if provider == CAPTURE.provider_type and self._mode == "local":
            return CAPTURE
        if config is None:
            raise UnknownConfig("there is no such provider config")
        if provider != config["provider_type"] or provider not in ADAPTERS:
            raise UnknownConfig("the provider config is of another provider")
        return ADAPTERS[provider]

    @property
    def _mode(self) -> str:
        return mode_of(self.ports.settings.get("DELIVERY_MODE"))

    async def _body(self, data: ProviderEventsData) -> bytes | None:
        """Return the bytes of the request; None if a delivery of this message has deleted them."""
        if data.object is None:
            return data.raw
        found = await self.ports.bucket(INBOX.binding).get(data.object)
        return None if found is None else decoded(found[0])

    async def _decrypted(self, config: Row) -> Mapping[str, Any]:
        if config["id"] not in self._secrets:
            key = self.ports.settings.get(KEY_NAME)
            secrets = await decrypted(config["config"], key, self.ports.crypto)
            if isinstance(secrets, Verdict):
                raise ConfigUnreadable(secrets.code)
            self._secrets[config["id"]] = secrets
        return self._secrets[config["id"]]
