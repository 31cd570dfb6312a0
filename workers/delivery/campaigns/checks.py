"""What refuses a campaign, each with its remedy. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from delivery.campaigns.freeze import frozen_content
from delivery.content.email import parse_email
from delivery.content.errors import ContentError
from delivery.content.push import parse_push
from delivery.content.sms import parse_sms
from delivery.domain.address import parse_mailbox
from delivery.domain.campaigns import Campaign, Problem
from delivery.domain.outgoing import Channel, MessageClass

HOURS_MAX = 720  # thirty days


@dataclass(frozen=True)
class Deployment:
    """What the worker's settings permit: where nothing is sent, addresses of our own may lack.

    `permitted` are the provider types that each class of message may use.
    """

    is_live: bool
    has_hooks_url: bool
    has_unsubscribe_keys: bool
    permitted: Mapping[str, Sequence[str]]


def problem_of(campaign: Campaign, deployment: Deployment) -> Problem | None:
    """Return the first reason why the campaign cannot start; None if it can."""
    for check in CHECKS:
        if problem := check(campaign, deployment):
            return problem
    return None


def _channel(campaign: Campaign, _: Deployment) -> Problem | None:
    if campaign.type in get_args(Channel):
        return None
    return Problem(
        "multichannel", "no rule says which channel a contact gets: make a campaign of each channel"
    )


def _settings(campaign: Campaign, _: Deployment) -> Problem | None:
    if not isinstance(campaign.settings, Mapping):
        return Problem("invalid_settings", "write the campaign's settings as a JSON object")
    wrong = [name for name, is_valid in SETTINGS.items() if not _holds(campaign, name, is_valid)]
    if not wrong:
        return None
    return Problem("invalid_settings", f"correct {', '.join(wrong)} in the campaign's settings")


def _holds(campaign: Campaign, name: str, is_valid: Callable[[Any], bool]) -> bool:
    value = campaign.settings.get(name)
    return value is None or is_valid(value)


def _is_mailbox(value: Any) -> bool:
    return isinstance(value, str) and parse_mailbox(value) is not None


def _is_period(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 < value <= HOURS_MAX


SETTINGS: dict[str, Callable[[Any], bool]] = {
    "from": _is_mailbox,
    "reply_to": _is_mailbox,
    "message_class": lambda value: value in get_args(MessageClass),
    "expires_after_hours": _is_period,
}


def _template(campaign: Campaign, _: Deployment) -> Problem | None:
    template = campaign.template
    if template is None:
        return Problem(
            "no_template", "the campaign has no template of its organization: choose one"
        )
    if template["type"] != campaign.type:
        return Problem("wrong_template", f"choose a template of the type {campaign.type}")
    if not template["is_active"]:
        return Problem("inactive_template", "activate the template, or choose another")
    try:
        _parse(campaign)
    except ContentError as error:
        return Problem("template", str(error))
    return None


def _parse(campaign: Campaign) -> None:
    content = frozen_content(campaign)
    if campaign.type == "email":
        _require("subject", content["subject"])
        parse_email(content["subject"], content["html"], content["text"])
    elif campaign.type == "sms":
        _require("text", content["text"])
        parse_sms(content["text"])
    else:
        _require("title and body", content["title"] + content["body"])
        parse_push(content["title"], content["body"])


def _require(part: str, source: str) -> None:
    if not source.strip():
        raise ContentError(f"{part}: nothing is there: write it")


def _segment(campaign: Campaign, _: Deployment) -> Problem | None:
    if campaign.segment_state == "missing":
        return Problem("no_segment", "the campaign has no segment of its organization: choose one")
    if campaign.segment_state == "invalid":
        return Problem("invalid_segment", "correct the criteria of the segment")
    return None


def _postal_address(campaign: Campaign, _: Deployment) -> Problem | None:
    is_marketing = campaign.message_class == "marketing"
    if campaign.type != "email" or not is_marketing or (campaign.postal_address or "").strip():
        return None
    return Problem("no_postal_address", "set `postal_address` in delivery.organization_settings")


def _sender(campaign: Campaign, _: Deployment) -> Problem | None:
    if campaign.type != "email":
        return None
    mailbox = parse_mailbox(campaign.sender) if campaign.sender else None
    if mailbox is None:
        return Problem(
            "no_sender", "set `from` in the campaign's settings, or the organization's from_address"
        )
    if mailbox.address.rpartition("@")[2] not in campaign.verified_domains:
        return Problem("unverified_sender", "verify the domain of the sender")
    return None


def _hooks(campaign: Campaign, deployment: Deployment) -> Problem | None:
    """Without the hooks worker no recipient can unsubscribe, and no status arrives."""
    if not deployment.is_live or campaign.message_class != "marketing" or campaign.type == "push":
        return None
    if not deployment.has_hooks_url:
        return Problem("no_hooks_url", "set the variable HOOKS_BASE_URL of the worker")
    if campaign.type == "email" and not deployment.has_unsubscribe_keys:
        return Problem("no_unsubscribe_keys", "set the secret UNSUBSCRIBE_KEYS of the worker")
    return None


def _provider(campaign: Campaign, deployment: Deployment) -> Problem | None:
    permitted = deployment.permitted[campaign.message_class]
    if not deployment.is_live or set(campaign.provider_types) & set(permitted):
        return None
    return Problem(
        "no_provider", f"add an active provider that sends {campaign.message_class} {campaign.type}"
    )


CHECKS = (
    _channel, _settings, _template, _segment, _postal_address, _sender, _hooks, _provider,
)  # fmt: skip
