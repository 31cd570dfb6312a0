"""The webhook URL of a provider config, which an operator enters at the provider."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from hooks.domain.provider_headers import HEADERS
from mauntic.errors import OperatorError
from mauntic.local.dev_state import running_dev
from mauntic.operations.generated_keys import with_kept_keys
from mauntic.operations.required import require_row
from mauntic.operations.statements import SQL
from mauntic.project.addresses import host_of
from shared import hook_token
from shared.inbox import FEEDBACK_QUEUE
from shared.ports import Database

ADDRESS, KEYS = "HOOKS_BASE_URL", "HOOK_KEYS"
WITHOUT = {
    "cloudflare": f"its events come to the queue {FEEDBACK_QUEUE}: subscribe it to them",
    "capture": "captured messages are answered on this machine",
}


@dataclass(frozen=True, repr=False)
class HookUrl:
    """A webhook URL. Who knows it may send bodies for the config."""

    config: UUID
    provider: str
    url: str


def hook_url(db: Database, config: UUID, *, remote: bool) -> HookUrl:
    """Return the URL of a config: that of the deployment, or of the running `mauntic dev`."""
    found = require_row(
        db.rows(SQL["config_exists"], id=config), "provider config", config, "delivery status"
    )
    provider = found["provider_type"]
    if provider not in HEADERS:
        reason = WITHOUT.get(provider, "this provider reports nothing")
        raise OperatorError(f"{provider} has no webhook: {reason}.")
    settings = _settings(remote=remote)
    keys = hook_token.keys_of(settings[KEYS])
    url = hook_token.hook_url(settings[ADDRESS], provider, config, keys)
    return HookUrl(config, provider, url)


def _settings(*, remote: bool) -> Mapping[str, str]:
    """Return address and keys."""
    dev = None if remote else running_dev()
    settings = dev.settings if dev else with_kept_keys(os.environ)
    address, keys = settings.get(ADDRESS, ""), settings.get(KEYS, "")
    if not dev and host_of(address) is None:
        raise OperatorError(
            f"Set {ADDRESS} to the public address of the hooks worker, or start `mauntic dev`."
        )
    if dev and not address:
        raise OperatorError("`mauntic dev` runs without the hooks worker: start it without --env.")
    if not hook_token.keys_of(keys):
        raise OperatorError(
            f"Set {KEYS} to the secret of the hooks worker; `mauntic provision` keeps a generated"
            " one in keys-ACCOUNT.env."
        )
    return {ADDRESS: address, KEYS: keys}
