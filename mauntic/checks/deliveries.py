"""Problems of deliveries: provider configs with which nothing can be sent, and settings of the
deployment without which marketing waits and no provider reports.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping

from delivery.domain.verdict import Verdict
from delivery.providers.config_crypto import KEY_NAME, decrypted
from delivery.providers.registry import UnknownProvider, adapter_of, missing
from mauntic.checks import Problem
from mauntic.operations.generated_keys import with_kept_keys
from mauntic.operations.statements import SQL
from mauntic.operations.worker_catalog import web_workers
from mauntic.project.addresses import host_of
from mauntic.project.host_crypto import HostCrypto
from shared.bindings import Secret
from shared.ports import Database, Row
from shared.signing_keys import keys_of

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
    if configs:
        yield from _of_settings(with_kept_keys(environment))
    for config in configs:
        if problem := _of_type(config) or (_of_secrets(config, key) if key else None):
            yield Problem(AREA, str(config["id"]), problem)


def _of_settings(environment: Mapping[str, str]) -> Iterator[Problem]:
    """Check address and keys of each worker that answers requests: if they are wrong, and in the
    environment of a deployment also if they are missing.
    """
    is_deployment = bool(environment.get("CLOUDFLARE_ACCOUNT_ID"))
    for worker in web_workers():
        address = environment.get(worker.address, "")
        if (address or is_deployment) and host_of(address) is None:
            sentence = f"must be the address of {worker.name}, such as https://hooks.example.com"
            yield Problem(AREA, worker.address, sentence)
        keys = [own.name for own in worker.all_bindings if isinstance(own, Secret)]
        for name in keys:
            secret = environment.get(name)
            if (secret is not None or is_deployment) and not keys_of(secret):
                sentence = f"has no key: set the secret of {worker.name}, or `mauntic provision`"
                yield Problem(AREA, name, sentence)


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
