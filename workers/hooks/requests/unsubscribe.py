"""The link of an e-mail: GET shows a page and changes nothing, POST unsubscribes."""

from __future__ import annotations

from hooks.domain import page
from hooks.domain.limits import UNSUBSCRIBES, Limits
from hooks.domain.one_click import is_one_click
from hooks.domain.paths import UnsubscribePath
from hooks.requests.answers import (
    BODY_TIMEOUT_S,
    NOT_FOUND,
    UNAVAILABLE,
    UNUSABLE,
    enqueue,
    not_configured,
    too_many,
)
from shared.ports import WebPorts, WebRequest, WebResponse
from shared.unsubscribe_token import UnsubscribeIds, keys_of, verify

TYPE = "delivery.Unsubscribe"
KEYS = "UNSUBSCRIBE_KEYS"
FORM_BYTES_MAX = 8_192


def show(
    request: WebRequest, path: UnsubscribePath, ports: WebPorts, limits: Limits
) -> WebResponse:
    """Return the page with the button. Link scanners follow every link, so nothing changes."""
    found = _verified(path, ports, limits)
    if isinstance(found, WebResponse):
        return found
    return WebResponse(200, b"" if request.method == "HEAD" else page.ASK, page.HEADERS)


async def unsubscribe(
    request: WebRequest, path: UnsubscribePath, ports: WebPorts, limits: Limits
) -> WebResponse:
    """Pass the unsubscription to the feedback queue; answer without a redirect or a cookie."""
    found = _verified(path, ports, limits)
    if isinstance(found, WebResponse):
        return found
    now = ports.clock()
    if not limits.allows(found.message_id, UNSUBSCRIBES, now):
        return too_many(found.message_id, TYPE, ports, limits)
    body = await request.read(FORM_BYTES_MAX, BODY_TIMEOUT_S)
    if not is_one_click(request.headers.get("content-type", ""), body):
        return UNUSABLE
    data = {
        "organizationId": str(found.organization_id),
        "contactId": str(found.contact_id),
        "messageId": str(found.message_id),
        "receivedAt": now.isoformat(),
    }
    if not await enqueue({"type": TYPE, "data": data}, ports):
        return UNAVAILABLE
    return WebResponse(200, page.DONE, page.HEADERS)


def _verified(
    path: UnsubscribePath, ports: WebPorts, limits: Limits
) -> UnsubscribeIds | WebResponse:
    keys = keys_of(ports.settings.get(KEYS))
    if not keys:
        return not_configured(KEYS, ports, limits)
    return verify(path.token, keys) or NOT_FOUND
