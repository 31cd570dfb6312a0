"""One call: commit that it begins, make it, write its verdicts."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from delivery.domain.claims import Claimed, Mode
from delivery.domain.outgoing import Outgoing, OutgoingSms
from delivery.domain.verdict import Verdict
from delivery.providers import simulated
from delivery.providers.adapter import Adapter, HttpRequest, NeedsToken, Request
from delivery.providers.answers import same_for_all
from delivery.providers.capture import CAPTURED, Kept, capture
from delivery.providers.tokens import Tokens
from delivery.providers.transport import perform, prepared, verdicts_of
from delivery.sending.places import give_back, places_of
from delivery.store import calls
from delivery.store.calls import Begun
from shared.errors import StorageError, error_class
from shared.inbox import FEEDBACK_BINDING
from shared.ports import HttpResponse, Ports
from shared.telemetry.delivery_metrics import Call, write_verdicts

TOKENS = Tokens()  # of the isolate


@dataclass(frozen=True, repr=False)
class Provider:
    """A config with its adapter. `secrets` is a verdict if they cannot be read."""

    config_id: UUID | None
    adapter: Adapter
    secrets: Mapping[str, Any] | Verdict


@dataclass(frozen=True, repr=False)
class Called:
    """What became of a call: the new states, and the messages that are to be called alone."""

    states: Mapping[UUID, str]
    alone: Sequence[Claimed] = ()


async def call(
    provider: Provider,
    messages: Mapping[UUID, tuple[Claimed, Outgoing]],
    mode: Mode,
    ports: Ports,
) -> Called:
    """Send messages in one call. Between the two statements there is nothing but the call."""
    claimed = [own for own, _ in messages.values()]
    now = ports.clock()
    begun = calls.begin(ports.db, uuid4(), provider.config_id, claimed, mode != "shadow", now)
    if begun.released:
        await give_back(places_of(begun.released, now), ports)
    if not begun.messages:
        return Called({})
    outgoing = [messages[own.claimed.id][1] for own in begun.messages]
    verdicts, status = await _made(provider, begun, outgoing, mode, ports)
    _report(provider, begun, verdicts, ports)
    if any(verdict.kind == "pause" for verdict in verdicts):
        _forget_token(provider)
    segments = [own.segments if isinstance(own, OutgoingSms) else None for own in outgoing]
    states = _settled(begun, verdicts, status, segments, ports)
    if mode == "local":
        await _simulate_events(provider, begun, outgoing, ports)
    if not calls.is_refusal_of_all(verdicts):
        return Called(states)
    again = [own.claimed for own in begun.messages if states.get(own.claimed.id) == "claimed"]
    return Called(states, again)


def _report(provider: Provider, begun: Begun, verdicts: Sequence[Verdict], ports: Ports) -> None:
    """Log the call, and write a point for each verdict with its number of messages."""
    first = begun.messages[0].claimed.waiting
    organization_id = str(first.organization_id)
    ports.log(
        "delivery.called",
        organization_id=organization_id,
        type=first.channel,
        status=verdicts[0].kind,
        count=len(verdicts),
    )
    duration_ms = (ports.clock() - begun.started_at).total_seconds() * 1_000
    call_of = Call(first.channel, provider.adapter.provider_type, organization_id, duration_ms)
    write_verdicts(call_of, ((own.kind, own.code) for own in verdicts), ports)


async def _made(
    provider: Provider, begun: Begun, outgoing: Sequence[Outgoing], mode: Mode, ports: Ports
) -> tuple[list[Verdict], int | None]:
    """Return a verdict for each message and the HTTP status.

    An exception of ours is `unknown` once the request may have left, and `retry` before.
    """
    has_left = False
    try:
        request = await _request(provider, begun, outgoing, mode, ports)
        if isinstance(request, Verdict):
            return same_for_all(request, outgoing), None
        if provider.adapter.has_idempotency_key and isinstance(request, HttpRequest):
            calls.store_request(ports.db, begun.call_id, gzip.compress(request.body))
        if mode != "live":
            provider_type = provider.adapter.provider_type
            return await _captured(begun, outgoing, request, provider_type, ports), None
        if ports.clock() - begun.started_at > calls.LEAVES_WITHIN:
            return same_for_all(Verdict("retry", "too_late"), outgoing), None
        has_left = True
        outcome = await perform(request, ports.http, ports.email)
        verdicts = verdicts_of(provider.adapter, outgoing, outcome, ports.clock())
        status = outcome.status if isinstance(outcome, HttpResponse) else None
        return _aligned(verdicts, outgoing), status
    except Exception as error:
        if not has_left:
            ports.log("delivery.not_sent", level="error", error_class=error_class(error))
            return same_for_all(Verdict("retry", "not_sent"), outgoing), None
        return same_for_all(Verdict("unknown", "unreadable"), outgoing), None


async def _request(
    provider: Provider, begun: Begun, outgoing: Sequence[Outgoing], mode: Mode, ports: Ports
) -> Request | Verdict:
    secrets = provider.secrets
    if not isinstance(secrets, Verdict) and mode == "live":
        secrets = await TOKENS.with_token(
            provider.adapter, secrets, ports.http, ports.clock(), ports.crypto
        )
    if isinstance(secrets, Verdict):
        return secrets
    return await prepared(
        provider.adapter,
        outgoing,
        {"accessToken": "captured", **secrets} if mode != "live" else secrets,
        str(begun.call_id),
        ports.clock(),
        ports.crypto,
    )


async def _captured(
    begun: Begun,
    outgoing: Sequence[Outgoing],
    request: Request,
    provider_type: str,
    ports: Ports,
) -> list[Verdict]:
    """Keep the messages. Those to an address of the simulator get the answer that it chooses."""
    pairs = list(zip(begun.messages, outgoing, strict=True))
    kept = [
        Kept(
            own.claimed.waiting.organization_id,
            own.claimed.waiting.created_at,
            message,
            simulated.is_taken(message, own.attempt),
        )
        for own, message in pairs
    ]
    try:
        accepted = await capture(
            ports.bucket(CAPTURED.binding), kept, provider_type, str(begun.call_id), request
        )
    except StorageError:
        return same_for_all(Verdict("retry", "captured_r2"), outgoing)
    chosen = [simulated.verdict_of(message, own.attempt) for own, message in pairs]
    return [own or verdict for own, verdict in zip(chosen, accepted, strict=True)]


async def _simulate_events(
    provider: Provider, begun: Begun, outgoing: Sequence[Outgoing], ports: Ports
) -> None:
    """Send what a provider would report of captured messages through the queue of feedback."""
    taken = [
        message
        for own, message in zip(begun.messages, outgoing, strict=True)
        if simulated.is_taken(message, own.attempt)
    ]
    body = simulated.report(taken, provider.config_id, ports.clock())
    queue = ports.producer(FEEDBACK_BINDING) if body else None
    if queue:
        await queue.send([body])


def _forget_token(provider: Provider) -> None:
    """A token that was revoked must not be used until it expires."""
    if isinstance(provider.adapter, NeedsToken) and not isinstance(provider.secrets, Verdict):
        TOKENS.forget(provider.adapter, provider.secrets)


def _aligned(verdicts: Sequence[Verdict], outgoing: Sequence[Outgoing]) -> list[Verdict]:
    """An entry without a verdict is unknown; with more verdicts than entries all are."""
    if len(verdicts) > len(outgoing):
        return same_for_all(Verdict("unknown", "not_aligned"), outgoing)
    missing = len(outgoing) - len(verdicts)
    return [*verdicts, *[Verdict("unknown", "missing")] * missing]


def _settled(
    begun: Begun,
    verdicts: Sequence[Verdict],
    status: int | None,
    segments: Sequence[int | None],
    ports: Ports,
) -> Mapping[UUID, str]:
    """Write the verdicts. If that fails, the leases expire and the messages become uncertain."""
    try:
        random, now = ports.random(), ports.clock()
        return calls.settle(ports.db, begun, verdicts, status, random, now, segments)
    except Exception as error:
        ports.log(
            "delivery.unsettled",
            level="error",
            count=len(verdicts),
            error_class=error_class(error),
        )
        return {}
