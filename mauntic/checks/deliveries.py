"""Problems of the provider configs: a type, a key or a name with which nothing can be sent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping

from delivery.domain.verdict import Verdict
from delivery.providers.config_crypto import KEY_NAME, decrypted
from delivery.providers.registry import UnknownProvider, adapter_of, missing
from mauntic.checks import Problem
from mauntic.operations.statements import SQL
from mauntic.project.host_crypto import HostCrypto
from shared.ports import Database, Row

notices = logging.getLogger(__name__)
AREA = "providers"
REASONS = {
    "provider_key": f"{KEY_NAME} must be 64 hex digits",
    "config_unreadable": f"its configuration cannot be decrypted with {KEY_NAME}",
}


def problems(db: Database, environment: Mapping[str, str]) -> Iterator[Problem]:
    """Yield every problem of the active provider configs.

    Their secrets are decrypted with PROVIDER_KEY of the environment, and never shown. Without the
    key only types and channels are checked.
    """
    configs = db.rows(SQL["active_configs"])
    key = environment.get(KEY_NAME)
    if configs and not key:
        notices.warning(
            "%s is not set: the configurations of providers were not decrypted", KEY_NAME
        )
    for config in configs:
        if problem := _of_type(config) or (_of_secrets(config, key) if key else None):
            yield Problem(AREA, str(config["id"]), problem)


def _of_type(config: Row) -> str | None:
    try:
        adapter = adapter_of(config["provider_type"])
    except UnknownProvider as error:
        return str(error)
    if adapter.channel != config["channel"]:
        return f"{config['provider_type']} sends {adapter.channel}, not {config['channel']}"
    return None


def _of_secrets(config: Row, key: str) -> str | None:
    secrets = asyncio.run(decrypted(config["config"], key, HostCrypto()))
    if isinstance(secrets, Verdict):
        return REASONS[secrets.code]
    names = missing(config["provider_type"], secrets)
    return f"its configuration lacks {', '.join(names)}" if names else None
