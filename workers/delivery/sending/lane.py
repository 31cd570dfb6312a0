"""A batch of references to messages: claim them, reserve their places, compose them, call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from delivery.content.errors import ContentError
from delivery.domain.claims import Claimed, Claims, Mode, mode_of
from delivery.domain.outgoing import Channel, Outgoing
from delivery.domain.verdict import Verdict
from delivery.providers.capture import CAPTURE, CAPTURED, Kept, capture
from delivery.providers.config_crypto import KEY_NAME, decrypted
from delivery.providers.grouping import calls_of
from delivery.providers.registry import ADAPTERS, UnknownProvider, adapter_of
from delivery.providers.secrets import permits
from delivery.providers.simulated import is_called_alone
from delivery.sending import places
from delivery.sending.call import Provider, call
from delivery.sending.compose import Composer, ConfigProblem
from delivery.store import calls, claims
from delivery.store.claims import Reference
from shared.error_text import error_text
from shared.errors import StorageError, error_class, is_retryable
from shared.outcome import Dead, Done, RetryIn
from shared.ports import Ports

CALLS_MAX = timedelta(seconds=120)  # after a claim; then the messages go back
CONFIG_RETRY = timedelta(minutes=15)
ERROR_RETRY_S = 60

Ready = dict[UUID, tuple[Claimed, Outgoing]]
Outcomes = dict[UUID, Done | RetryIn | Dead]


@dataclass
class Lane:
    """One consumer at work on one batch: it makes one call at a time."""

    channel: Channel
    ports: Ports
    mode: Mode
    outcomes: Outcomes = field(default_factory=dict)

    @classmethod
    def of(cls, channel: Channel, ports: Ports) -> Lane:
        return cls(channel, ports, mode_of(ports.settings.get("DELIVERY_MODE")))

    async def send(self, references: Sequence[Reference]) -> Outcomes:
        """Send what may be sent. Return how each message ended, as far as that is not Done."""
        waiting = list(dict.fromkeys(references))
        seen: set[UUID] = set()
        while waiting:
            found = self._claim(waiting)
            seen |= found.seen
            await self._after_claim(found)
            waiting = found.later
        self._report_unknown([own for own in references if own[1] not in seen])
        return self.outcomes

    def _claim(self, references: Sequence[Reference]) -> Claims:
        return claims.claim(
            self.ports.db,
            self.channel,
            references,
            permitted_types(self.channel),
            self.mode != "live",
            self.ports.clock(),
        )

    async def _after_claim(self, found: Claims) -> None:
        await places.give_back(found.places_back, self.ports)
        for (organization_id, reason), count in found.unavailable.items():
            self._report_waiting(organization_id, reason, count)
        if not found.claimed:
            return
        if self.mode == "shadow":
            await self._shadow(found.claimed)
            return
        began = self.ports.clock()
        kept = await places.reserve(found.claimed, self.ports)
        if kept:
            content = claims.load_content(self.ports.db, kept)
            ready = await self._composed(kept, content)
            await self._call_all(await self._grouped(ready, content), began)

    async def _shadow(self, claimed: Sequence[Claimed]) -> None:
        """Capture what would be sent, and end the messages."""
        content = claims.load_content(self.ports.db, claimed)
        ready = await self._composed(claimed, content)
        kept = [
            Kept(own.waiting.organization_id, own.waiting.created_at, message)
            for own, message in ready.values()
        ]
        try:
            await capture(self.ports.bucket(CAPTURED.binding), kept, "shadow")
        except StorageError as error:
            claims.release(self.ports.db, [own for own, _ in ready.values()])
            self._fail(ready, error)
            return
        claims.finish_captured(
            self.ports.db, [own for own, _ in ready.values()], self.ports.clock()
        )

    async def _composed(
        self, claimed: Sequence[Claimed], content: Mapping[str, Mapping[UUID, Any]]
    ) -> Ready:
        """Compose each message alone: what is wrong with it concerns no other."""
        composer = Composer(content, self.ports.settings, self.mode)
        ready: Ready = {}
        failed: list[tuple[Claimed, str]] = []
        unset: list[Claimed] = []
        for own in claimed:
            try:
                ready[own.id] = (own, composer.compose(own))
            except ContentError:
                failed.append((own, "template"))
            except ConfigProblem as problem:
                unset.append(own)
                self.ports.log(
                    "delivery.not_configured", level="error", reason=str(problem), count=1
                )
            except Exception as error:
                self._fail([own.id], error)
        await self._end_failed(failed)
        await self._defer(unset, "not_configured")
        return ready

    async def _end_failed(self, failed: Sequence[tuple[Claimed, str]]) -> None:
        now = self.ports.clock()
        released = calls.fail_rendering(self.ports.db, failed, now)
        await places.give_back(places.places_of(released, now), self.ports)

    async def _defer(self, waiting: Sequence[Claimed], reason: str) -> None:
        """Wait for an operator's correction. A place of today is kept for a try of today."""
        if not waiting:
            return
        now = self.ports.clock()
        until = [now + CONFIG_RETRY] * len(waiting)
        _, released = claims.set_places(self.ports.db, waiting, until, reason, now)
        await places.give_back(places.places_of(released, now), self.ports)

    async def _grouped(
        self, ready: Ready, content: Mapping[str, Mapping[UUID, Any]]
    ) -> list[tuple[Provider, Ready]]:
        """Divide messages into calls, transactional first."""
        by_config: dict[UUID | None, list[UUID]] = {}
        for own, _ in ready.values():
            by_config.setdefault(own.decision.config_id, []).append(own.id)
        groups: list[tuple[Provider, Ready]] = []
        for config_id, ids in by_config.items():
            provider = await self._provider(config_id, content["config"])
            ids = await self._permitted(provider, ids, ready)
            outgoing = [ready[message_id][1] for message_id in ids]
            by_text = dict(zip((own.message_id for own in outgoing), ids, strict=True))
            for messages in self._calls(provider, outgoing):
                part = {own: ready[own] for own in (by_text[each.message_id] for each in messages)}
                groups += [(provider, each) for each in _by_organization(part)]
        return sorted(groups, key=_is_marketing)

    def _calls(self, provider: Provider, outgoing: Sequence[Outgoing]) -> list[list[Outgoing]]:
        """Divide the messages of a provider into calls."""
        alone: list[list[Outgoing]] = []
        if self.mode == "local":
            alone = [[own] for own in outgoing if is_called_alone(own)]
            outgoing = [own for own in outgoing if not is_called_alone(own)]
        return [*calls_of(provider.adapter, outgoing, _bulk_max(provider)), *alone]

    async def _permitted(self, provider: Provider, ids: list[UUID], ready: Ready) -> list[UUID]:
        """Return the messages whose class the config permits. The others wait for a correction."""
        secrets = provider.secrets
        if isinstance(secrets, Verdict) or provider.config_id is None:
            return ids
        refused = [
            ready[message_id][0]
            for message_id in ids
            if not permits(provider.adapter, ready[message_id][1].message_class, secrets)
        ]
        if refused:
            await self._defer(refused, "no_provider")
            self._report_waiting(refused[0].waiting.organization_id, "no_provider", len(refused))
        left_out = {own.id for own in refused}
        return [message_id for message_id in ids if message_id not in left_out]

    def _report_waiting(self, organization_id: UUID, reason: str, count: int) -> None:
        self.ports.log(
            "delivery.waiting",
            level="warning",
            organization_id=str(organization_id),
            reason=reason,
            count=count,
        )

    async def _provider(self, config_id: UUID | None, configs: Mapping[UUID, Any]) -> Provider:
        if config_id is None:
            return Provider(None, CAPTURE, {})
        if (config := configs.get(config_id)) is None:
            return Provider(config_id, CAPTURE, Verdict("pause", "config_gone"))
        key = self.ports.settings.get(KEY_NAME)
        secrets = await decrypted(config["config"], key, self.ports.crypto)
        try:
            return Provider(config_id, adapter_of(config["type"]), secrets)
        except UnknownProvider:
            return Provider(config_id, CAPTURE, Verdict("pause", "unknown_provider"))

    async def _call_all(self, groups: Sequence[tuple[Provider, Ready]], began: Any) -> None:
        waiting = list(groups)
        while waiting:
            provider, messages = waiting.pop(0)
            if self.ports.clock() - began >= CALLS_MAX:
                rest = [messages, *(own for _, own in waiting)]
                claims.release(self.ports.db, [own for part in rest for own, _ in part.values()])
                return
            try:
                called = await call(provider, messages, self.mode, self.ports)
            except Exception as error:
                self._fail(messages, error)
                continue
            for message_id, state in called.states.items():
                if state == "held":
                    text = "three retries of the call had no answer of acceptance"
                    self.outcomes[message_id] = Dead("exhausted", "Exhausted", text)
            alone = [(provider, {own.id: messages[own.id]}) for own in called.alone]
            waiting = alone + waiting

    def _fail(self, ids: Iterable[UUID], error: Exception) -> None:
        """Record an error for messages: another try, or a dead letter that holds them."""
        outcome: RetryIn | Dead = (
            RetryIn(ERROR_RETRY_S, error_class(error), error_text(error))
            if is_retryable(error)
            else Dead("failed", error_class(error), error_text(error))
        )
        self.outcomes.update(dict.fromkeys(ids, outcome))

    def _report_unknown(self, references: Sequence[Reference]) -> None:
        """A reference to no message is a dead letter; any other is Done: the row decides."""
        if references:
            for message_id in claims.unknown(self.ports.db, self.channel, references):
                text = f"there is no message {message_id} of this organization and channel"
                self.outcomes[message_id] = Dead("unknown_message", "UnknownMessage", text)


def permitted_types(channel: Channel) -> dict[str, list[str]]:
    """Return the provider types of a channel that each class of message may use."""
    of_channel = [adapter for adapter in ADAPTERS.values() if adapter.channel == channel]
    return {
        "marketing": [own.provider_type for own in of_channel if "marketing" in own.classes],
        "transactional": [
            own.provider_type for own in of_channel if "transactional" in own.classes
        ],
    }


def _bulk_max(provider: Provider) -> int | None:
    """A config can lower the number of messages of a call."""
    if isinstance(provider.secrets, Verdict):
        return None
    most = provider.secrets.get("bulkMax")
    return most if isinstance(most, int) and most > 0 else None


def _by_organization(messages: Ready) -> list[Ready]:
    """A call belongs to one organization, also where nothing is configured."""
    parts: dict[UUID, Ready] = {}
    for message_id, own in messages.items():
        parts.setdefault(own[0].waiting.organization_id, {})[message_id] = own
    return list(parts.values())


def _is_marketing(group: tuple[Provider, Ready]) -> bool:
    return any(own.waiting.message_class == "marketing" for own, _ in group[1].values())
