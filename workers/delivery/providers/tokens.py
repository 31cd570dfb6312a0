"""Access tokens, kept between calls: `request` of an adapter finds one in its secrets."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from delivery.domain.verdict import Verdict
from delivery.providers.adapter import AccessToken, Adapter, CannotSend, NeedsToken, Secrets
from shared.errors import CryptoFailed, HttpFailed, HttpRefused
from shared.ports import Crypto, Http

MARGIN = timedelta(seconds=60)


@dataclass(repr=False)
class Tokens:
    """The tokens of an isolate, by a hash of the configuration that they belong to."""

    kept: dict[str, AccessToken] = field(default_factory=dict)

    async def with_token(
        self, adapter: Adapter, secrets: Secrets, http: Http, now: datetime, crypto: Crypto
    ) -> Secrets | Verdict:
        """Return the secrets, with a valid `accessToken` if the adapter needs one.

        If there is no token, return the verdict for all messages: nothing was sent.
        """
        if not isinstance(adapter, NeedsToken):
            return secrets
        key = _key(adapter.provider_type, secrets)
        token = self.kept.get(key)
        if token is None or token.expires_at - MARGIN <= now:
            fetched = await _fetch(adapter, secrets, http, now, crypto)
            if isinstance(fetched, Verdict):
                return fetched
            token = self.kept[key] = fetched
        return {**secrets, "accessToken": token.text}

    def forget(self, adapter: Adapter, secrets: Secrets) -> None:
        """Remove a token that the provider did not accept."""
        self.kept.pop(_key(adapter.provider_type, secrets), None)


async def _fetch(
    adapter: NeedsToken, secrets: Secrets, http: Http, now: datetime, crypto: Crypto
) -> AccessToken | Verdict:
    try:
        request = await adapter.token_request(secrets, now, crypto)
        response = await http.request(request.method, request.url, request.headers, request.body)
    except CannotSend as error:
        return error.verdict
    except CryptoFailed:
        return Verdict("pause", "config_key")
    except HttpRefused:
        return Verdict("pause", "http_refused")
    except HttpFailed:
        return Verdict("retry", "token")
    return adapter.token(response, now)


def _key(provider_type: str, secrets: Secrets) -> str:
    own = {name: value for name, value in secrets.items() if name != "accessToken"}
    text = json.dumps([provider_type, own], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
