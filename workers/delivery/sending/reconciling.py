"""Ask the provider about the messages of a call whose outcome is unknown.

Only an acceptance or a refusal proves something. No answer, and no trace of a message, prove
nothing: the provider may still have it.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from delivery.domain.claims import Claimed, Decision, Mode
from delivery.domain.outgoing import OutgoingSms
from delivery.domain.verdict import Verdict
from delivery.providers.adapter import (
    Adapter,
    CannotSend,
    HasLookup,
    HttpRequest,
    Repeatable,
    Sought,
)
from delivery.providers.config_crypto import KEY_NAME, decrypted
from delivery.providers.registry import UnknownProvider, adapter_of
from delivery.providers.transport import perform
from delivery.sending.compose import Composer
from delivery.store import claims, reconciling
from delivery.store.calls import is_refusal_of_all
from delivery.store.reconciling import Uncertain
from shared.error_text import error_text
from shared.errors import error_class
from shared.ports import HttpResponse, Ports

LOOKUPS_MAX = 20
REQUESTS_MAX = 10  # of one look-up: an answer may name further pages


async def reconcile(organization_id: UUID, call_id: UUID, ports: Ports) -> bool:
    """Look for evidence about the due messages of a call. Return True if more of them are left."""
    now = ports.clock()
    due = reconciling.uncertain_of(ports.db, organization_id, call_id, LOOKUPS_MAX, now)
    if not due:
        return False
    provider = await _provider(due[0], ports)
    found: list[tuple[UUID, Verdict]] = []
    if provider is not None:
        adapter, secrets = provider
        found = await _repeated(adapter, secrets, organization_id, call_id, ports)
        if isinstance(adapter, HasLookup) and not found:
            found = await _looked_up(adapter, secrets, due, ports)
    settled = set(reconciling.settle(ports.db, organization_id, call_id, found, ports.clock()))
    left = [own.waiting.id for own in due if own.waiting.id not in settled]
    reconciling.look_later(ports.db, left, now)
    ports.log(
        "delivery.reconciled",
        organization_id=str(organization_id),
        type=due[0].provider_type,
        count=len(settled),
    )
    return len(due) == LOOKUPS_MAX


async def _provider(own: Uncertain, ports: Ports) -> tuple[Adapter, Mapping[str, Any]] | None:
    """Return the adapter and its secrets; None if the provider cannot be asked."""
    try:
        adapter = adapter_of(own.provider_type)
    except UnknownProvider:
        return None
    content = claims.load_content(ports.db, [_claimed(own)])
    config = content["config"].get(own.config_id)
    if config is None:
        return None
    key = ports.settings.get(KEY_NAME)
    secrets = await decrypted(config["config"], key, ports.crypto)
    return None if isinstance(secrets, Verdict) else (adapter, secrets)


async def _repeated(
    adapter: Adapter, secrets: Mapping[str, Any], organization_id: UUID, call_id: UUID, ports: Ports
) -> list[tuple[UUID, Verdict]]:
    """Send the stored bytes again: for a provider with an idempotency key that is no new call."""
    if not isinstance(adapter, Repeatable):
        return []
    stored = reconciling.repeatable_request(ports.db, organization_id, call_id, ports.clock())
    if stored is None:
        return []
    body = gzip.decompress(stored)
    try:
        request = adapter.repetition(body, secrets, str(call_id))
    except CannotSend:
        return []
    ids = adapter.message_ids(body)
    outcome = await perform(request, ports.http, ports.email)
    if not isinstance(outcome, HttpResponse):
        return []
    verdicts = adapter.verdicts(ids, outcome, ports.clock())
    if len(verdicts) != len(ids) or is_refusal_of_all(verdicts):
        return []
    return [(UUID(message_id), v) for message_id, v in zip(ids, verdicts, strict=True)]


async def _looked_up(
    adapter: Adapter, secrets: Mapping[str, Any], due: Sequence[Uncertain], ports: Ports
) -> list[tuple[UUID, Verdict]]:
    found = []
    for own in due:
        try:
            provider_message_id = await _look_up(adapter, secrets, own, ports)
        except Exception as error:  # what is wrong with one message concerns no other
            ports.log(
                "delivery.lookup_failed",
                level="warning",
                type=own.provider_type,
                error_class=error_class(error),
                error=error_text(error) if isinstance(error, CannotSend) else None,
            )
            continue
        if provider_message_id:
            verdict = Verdict("accepted", "looked_up", provider_message_id=provider_message_id)
            found.append((own.waiting.id, verdict))
    return found


async def _look_up(
    adapter: Adapter, secrets: Mapping[str, Any], own: Uncertain, ports: Ports
) -> str | None:
    """Return the provider's id of the message, if it has it."""
    assert isinstance(adapter, HasLookup)
    if own.waiting.kept_address is None:
        return None  # its address was emptied
    sought = Sought(
        str(own.waiting.id), own.waiting.kept_address, own.called_at, _text_of(own, ports)
    )
    requests: list[HttpRequest] = [adapter.lookup_request(sought, secrets)]
    for _ in range(REQUESTS_MAX):
        if not requests:
            return None
        answer = await perform(requests.pop(0), ports.http, ports.email)
        if not isinstance(answer, HttpResponse):
            return None
        looked_up = adapter.looked_up(sought, answer, secrets)
        if looked_up.provider_message_id:
            return looked_up.provider_message_id
        requests += looked_up.further
    return None


def _text_of(own: Uncertain, ports: Ports) -> str:
    """Return the text of an SMS as it was sent, if its template has not changed since."""
    if own.waiting.channel != "sms":
        return ""
    claimed = _claimed(own)
    mode: Mode = "live"
    composer = Composer(claims.load_content(ports.db, [claimed]), ports.settings, mode)
    message = composer.compose(claimed)
    assert isinstance(message, OutgoingSms)
    return message.text


def _claimed(own: Uncertain) -> Claimed:
    decision = Decision("claimed", address=own.waiting.kept_address, config_id=own.config_id)
    return Claimed(own.waiting, decision, 0, None)
