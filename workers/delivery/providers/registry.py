"""Every provider, by its type. A module of this package with an `ADAPTER` is a provider."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping

from delivery.providers.adapter import Adapter, Secrets
from delivery.providers.secrets import missing_names

PACKAGE = "delivery.providers"
# Types of the platform that are not sent through, each with its reason.
REFUSED = {
    "custom_smtp": "an SMTP dialogue has no answer to whether a message was accepted after a"
    " broken connection, and workers cannot reach port 25",
    "webhook": "a URL of the customer is no provider: it has neither answers nor events",
}


class UnknownProvider(Exception):
    """The configuration names a provider that is refused, or that does not exist."""


def discover_adapters() -> Mapping[str, Adapter]:
    """Return the adapter of each module that has one."""
    folder = importlib.import_module(PACKAGE)
    names = [found.name for found in pkgutil.iter_modules(folder.__path__)]
    modules = [importlib.import_module(f"{PACKAGE}.{name}") for name in names if name != "registry"]
    adapters: list[Adapter] = [module.ADAPTER for module in modules if hasattr(module, "ADAPTER")]
    return {adapter.provider_type: adapter for adapter in adapters}


ADAPTERS = discover_adapters()


def adapter_of(provider_type: str) -> Adapter:
    """Return the adapter. Raises UnknownProvider with the reason."""
    if provider_type in ADAPTERS:
        return ADAPTERS[provider_type]
    if provider_type in REFUSED:
        raise UnknownProvider(f"{provider_type} is not supported: {REFUSED[provider_type]}")
    raise UnknownProvider(f"the provider type is none of {', '.join(sorted(ADAPTERS))}")


def hosts() -> list[str]:
    """Return the hosts of all providers, in the form of HTTP_ALLOWED_HOSTS."""
    return sorted({host for adapter in ADAPTERS.values() for host in adapter.hosts})


def missing(provider_type: str, config: Secrets) -> list[str]:
    """Return the required names that the configuration lacks. Raises UnknownProvider."""
    return missing_names(adapter_of(provider_type), config)
