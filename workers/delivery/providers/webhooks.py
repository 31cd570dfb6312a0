"""A webhook from its bytes to its events, with the requests that some providers need for it."""

from __future__ import annotations

from dataclasses import dataclass, field

from delivery.providers.adapter import (
    Adapter,
    HttpRequest,
    NeedsCertificate,
    ProviderEvent,
    Secrets,
    Webhook,
)
from shared.errors import DependencyNotReady, HttpFailed
from shared.ports import Crypto, Http

KEPT_MAX = 20


@dataclass(repr=False)
class Webhooks:
    """Reads webhooks. `certificates` are kept by their URL, for the life of the isolate."""

    certificates: dict[str, str] = field(default_factory=dict)

    async def events(
        self, adapter: Adapter, webhook: Webhook, secrets: Secrets, http: Http, crypto: Crypto
    ) -> list[ProviderEvent]:
        """Return the events, and confirm the webhook's subscription if it asks for that.

        Raises BadSignature, and DependencyNotReady if a request fails: try again later.
        """
        if not isinstance(adapter, NeedsCertificate):
            return await adapter.events(webhook, secrets, crypto)
        certificate = await self._certificate(adapter.certificate_request(webhook, secrets), http)
        with_certificate = {**secrets, "signingCertificate": certificate}
        events = await adapter.events(webhook, with_certificate, crypto)
        confirmation = adapter.confirmation_request(webhook, secrets)
        if confirmation:
            await _fetched(confirmation, http)
        return events

    async def _certificate(self, request: HttpRequest, http: Http) -> str:
        if request.url not in self.certificates:
            body = await _fetched(request, http)
            if len(self.certificates) >= KEPT_MAX:
                self.certificates.clear()
            self.certificates[request.url] = body.decode("ascii", "replace")
        return self.certificates[request.url]


async def _fetched(request: HttpRequest, http: Http) -> bytes:
    try:
        response = await http.request(request.method, request.url, request.headers)
    except HttpFailed:
        raise DependencyNotReady("the webhook's host did not answer") from None
    if response.status != 200:
        raise DependencyNotReady(f"the webhook's host answered {response.status}")
    return response.body
