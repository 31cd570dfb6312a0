"""The buckets and secrets that sending uses."""

from __future__ import annotations

from delivery.providers.capture import CAPTURED
from delivery.providers.config_crypto import KEY_NAME
from shared.bindings import Binding, Secret
from shared.warmup.caps import COUNTERS

BINDINGS: tuple[Binding, ...] = (
    COUNTERS,
    CAPTURED,
    Secret(KEY_NAME),
    Secret("UNSUBSCRIBE_KEYS"),
)
