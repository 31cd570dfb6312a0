"""Make a message from its template or content, and its recipient's values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import UUID

from delivery.content.email import EmailTemplates, Unsubscribe, compose_email, parse_email
from delivery.content.errors import ContentError
from delivery.content.push import PushTemplates, compose_push, parse_push
from delivery.content.sms import compose_sms, parse_sms
from delivery.content.template import Template
from delivery.content.unsubscribe import base_of, unsubscribe_url
from delivery.domain.address import parse_mailbox
from delivery.domain.claims import Claimed, Mode, Waiting
from delivery.domain.outgoing import Outgoing, OutgoingEmail, OutgoingPush, OutgoingSms
from shared import hook_token
from shared.settings import Settings
from shared.unsubscribe_token import UnsubscribeIds, keys_of

# What stands in for the hooks worker where nothing is sent.
NO_HOOKS_URL = "https://hooks.invalid"
NO_KEYS = (b"nothing is sent",)

Parsed = EmailTemplates | PushTemplates | Template


class ConfigProblem(Exception):
    """A setting is missing, without which the message must not be sent. The text is its name."""


@dataclass(repr=False)
class Composer:
    """Composes the messages of a batch; each template is parsed once.

    `found` has templates, contents of runs, and devices by kind and id.
    """

    found: Mapping[str, Mapping[UUID, Any]]
    settings: Settings
    mode: Mode
    parsed: dict[tuple[str, UUID], Parsed] = field(default_factory=dict)

    def compose(self, claimed: Claimed) -> Outgoing:
        """Return the message. Raises ContentError or ConfigProblem."""
        if claimed.waiting.channel == "email":
            return self._email(claimed)
        return self._sms(claimed) if claimed.waiting.channel == "sms" else self._push(claimed)

    def _email(self, claimed: Claimed) -> OutgoingEmail:
        own = claimed.waiting
        templates = self._parsed(own)
        assert isinstance(templates, EmailTemplates)
        parts = compose_email(templates, _names(own), self._unsubscribe(own))
        sender, reply_to = own.mailbox, parse_mailbox(own.reply_to) if own.reply_to else None
        if sender is None or claimed.decision.address is None:
            raise ContentError("the sender is not an address")
        return OutgoingEmail(
            message_id=str(own.id),
            message_class=own.message_class,
            to=claimed.decision.address,
            from_address=sender.address,
            from_name=(own.content or {}).get("from_name") or sender.name,
            subject=parts.subject,
            html=parts.html,
            text=parts.text,
            reply_to=reply_to.address if reply_to else "",
            reply_to_name=reply_to.name if reply_to else "",
            headers=parts.headers,
        )

    def _sms(self, claimed: Claimed) -> OutgoingSms:
        own = claimed.waiting
        template = self._parsed(own)
        assert isinstance(template, Template)
        if own.message_class == "marketing":
            _ = self._hooks_url, self._hook_keys
        parts = compose_sms(template, _names(own))
        return OutgoingSms(
            message_id=str(own.id),
            message_class=own.message_class,
            to=claimed.decision.address or "",
            text=parts.text,
            status_callback=self._callback(claimed),
            segments=parts.segments,
        )

    def _callback(self, claimed: Claimed) -> str:
        """Return the URL for reports about the message; '' without a hooks worker."""
        config_id, provider_type = claimed.decision.config_id, claimed.decision.provider_type
        has_hooks = self.settings.get("HOOKS_BASE_URL") and self.settings.get("HOOK_KEYS")
        if config_id is None or provider_type is None or not has_hooks:
            return ""
        base = base_of(self._hooks_url)
        return hook_token.hook_url(base, provider_type, config_id, self._hook_keys, str(claimed.id))

    def _push(self, claimed: Claimed) -> OutgoingPush:
        own, device_id = claimed.waiting, claimed.decision.device_id
        templates = self._parsed(own)
        assert isinstance(templates, PushTemplates)
        device = self.found["device"].get(device_id) if device_id else None
        if device is None:
            raise ContentError("the device is gone")
        parts = compose_push(templates, _names(own))
        return OutgoingPush(
            message_id=str(own.id),
            message_class=own.message_class,
            token=device["token"],
            title=parts.title,
            body=parts.body,
            expires_at=own.expires_at,
            data=parts.data,
            p256dh=device["p256dh"] or "",
            auth=device["auth"] or "",
        )

    def _parsed(self, own: Waiting) -> Parsed:
        """Return the templates; those without overrides are kept for the next message."""
        source_id = own.run_id or own.template_id
        if source_id is None or own.content:
            return _parse(own, self._source(own))
        key = (own.channel, source_id)
        if key not in self.parsed:
            self.parsed[key] = _parse(own, self._source(own))
        return self.parsed[key]

    def _source(self, own: Waiting) -> dict[str, Any]:
        template: Mapping[str, Any] = {}
        if own.run_id is not None:
            template = self.found["run"][own.run_id]
        elif own.template_id is not None:
            template = self.found["template"].get(own.template_id) or {}
            if template.get("type") != own.channel:
                raise ContentError("the template does not exist, or is one of another channel")
        return {**template, **(own.content or {})}

    def _unsubscribe(self, own: Waiting) -> Unsubscribe | None:
        if own.message_class != "marketing" or own.contact_id is None:
            return None
        ids = UnsubscribeIds(own.organization_id, own.contact_id, own.id)
        url = unsubscribe_url(self._hooks_url, ids, self._keys)
        return Unsubscribe(url, own.postal_address or "")

    @cached_property
    def _hooks_url(self) -> str:
        url = self.settings.get("HOOKS_BASE_URL")
        if not url and self.mode == "live":
            raise ConfigProblem("HOOKS_BASE_URL")
        return url or NO_HOOKS_URL

    @cached_property
    def _keys(self) -> list[bytes]:
        return self._keys_of("UNSUBSCRIBE_KEYS")

    @cached_property
    def _hook_keys(self) -> list[bytes]:
        return self._keys_of("HOOK_KEYS")

    def _keys_of(self, name: str) -> list[bytes]:
        keys = keys_of(self.settings.get(name))
        if not keys and self.mode == "live":
            raise ConfigProblem(name)
        return keys or list(NO_KEYS)


def _parse(own: Waiting, source: Mapping[str, Any]) -> Parsed:
    if own.channel == "email":
        return parse_email(source.get("subject") or "", source.get("html"), source.get("text"))
    if own.channel == "sms":
        return parse_sms(source.get("text") or "")
    title = source.get("title") or source.get("subject") or ""
    body = source.get("body") or source.get("text") or ""
    return parse_push(title, body, source.get("data"))


def _names(own: Waiting) -> dict[str, Any]:
    return {
        "contact": own.contact_fields,
        "custom": own.custom_fields or {},
        "organization": {"id": own.organization_id, "postal_address": own.postal_address},
        "campaign": own.campaign_fields,
        "variables": own.variables or {},
    }
