"""The buckets and secrets that sending uses."""

from __future__ import annotations

from delivery.providers.capture import CAPTURED
from delivery.providers.config_crypto import KEY_NAME
from delivery.providers.registry import hosts
from shared.bindings import Binding, Secret, Variable
from shared.warmup.caps import COUNTERS

BINDINGS: tuple[Binding, ...] = (
    COUNTERS,
    CAPTURED,
    Secret(KEY_NAME),
    Secret("UNSUBSCRIBE_KEYS", is_generated=True),
    Secret("HOOK_KEYS", is_generated=True),
    Secret("HOOKS_BASE_URL"),
    Variable("HTTP_ALLOWED_HOSTS", ",".join(hosts())),
)
