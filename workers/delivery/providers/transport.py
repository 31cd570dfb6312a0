"""One call: the adapter's request over HTTP or the binding, and every failure as a verdict."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from delivery.domain.outgoing import Outgoing
from delivery.domain.verdict import Verdict
from delivery.providers.adapter import Adapter, BindingRequest, CannotSend, Request, Secrets
from delivery.providers.answers import safe_code, same_for_all
from shared.errors import CryptoFailed, EmailFailed, HttpFailed, HttpRefused
from shared.ports import (
    HTTP_REQUEST_BYTES_MAX,
    HTTP_TIMEOUT_S,
    Crypto,
    Email,
    Http,
    HttpResponse,
)


async def prepared(
    adapter: Adapter,
    messages: Sequence[Outgoing],
    secrets: Secrets,
    call_id: str,
    now: datetime,
    crypto: Crypto,
) -> Request | Verdict:
    """Return the request, or the verdict for all messages if none can be made."""
    try:
        return await adapter.request(messages, secrets, call_id, now, crypto)
    except CannotSend as error:
        return error.verdict
    except CryptoFailed:
        return Verdict("pause", "config_key")


async def perform(
    request: Request, http: Http, email: Email | None, timeout_s: float = HTTP_TIMEOUT_S
) -> HttpResponse | Verdict:
    """Return the provider's response, or the verdict for all messages if there is none."""
    if isinstance(request, BindingRequest):
        return await _by_binding(request, email)
    if len(request.body) > HTTP_REQUEST_BYTES_MAX:
        return Verdict("refused", "too_large")
    try:
        return await http.request(
            request.method, request.url, request.headers, request.body, timeout_s
        )
    except HttpRefused:
        return Verdict("pause", "http_refused")
    except HttpFailed as error:
        return Verdict("unknown" if error.begun else "retry", error.code)


def verdicts_of(
    adapter: Adapter,
    messages: Sequence[Outgoing],
    outcome: HttpResponse | Verdict,
    now: datetime,
) -> list[Verdict]:
    """Return the verdict of each message, in their order."""
    if isinstance(outcome, Verdict):
        return same_for_all(outcome, messages)
    return adapter.verdicts(messages, outcome, now)


async def _by_binding(request: BindingRequest, email: Email | None) -> HttpResponse | Verdict:
    if email is None:
        return Verdict("pause", "no_binding")
    try:
        message_id = await email.send(request.message)
    except EmailFailed as error:
        answer = json.dumps({"code": safe_code(error.code)})
        return HttpResponse(400, {}, answer.encode())
    return HttpResponse(200, {}, json.dumps({"messageId": message_id}).encode())
