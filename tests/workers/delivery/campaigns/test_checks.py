"""What refuses a campaign, one by one, and what does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from delivery.campaigns.checks import Deployment, problem_of
from delivery.domain.campaigns import Campaign

EMAIL = Campaign(
    id=UUID(int=1), organization_id=UUID(int=2), type="email", status="draft", run=1, name="c",
    subject=None, segment_id=UUID(int=3), settings={}, template_id=UUID(int=4), problem=None,
    job_id=None,
    template={
        "type": "email", "is_active": True, "subject": "Hi {{contact.first_name}}",
        "html": "<p>Body", "text": None,
    },
    segment_state="ready", from_address="Acme <news@acme.example>", postal_address="1 Road",
    verified_domains=("acme.example", "other.example"), provider_types=("postmark",),
)  # fmt: skip
PERMITTED = {
    "marketing": ("postmark", "twilio", "fcm"),
    "transactional": ("postmark", "cloudflare"),
}
LIVE = Deployment(
    is_live=True, has_hooks_url=True, has_unsubscribe_keys=True, permitted=PERMITTED
)  # fmt: skip
BARE = replace(LIVE, has_hooks_url=False, has_unsubscribe_keys=False)
TRANSACTIONAL = {"message_class": "transactional"}


def sms(**changes: Any) -> Campaign:
    template = {"type": "sms", "is_active": True, "subject": None, "html": None, "text": "Hi"}
    own = replace(
        EMAIL, type="sms", template=template, postal_address=None, from_address=None,
        provider_types=("twilio",),
    )  # fmt: skip
    return replace(own, **changes)


def push(**changes: Any) -> Campaign:
    template = {"type": "push", "is_active": True, "subject": "T", "html": None, "text": None}
    return sms(**{"type": "push", "template": template, "provider_types": ("fcm",)} | changes)


def email(**changes: Any) -> Campaign:
    return replace(EMAIL, **changes)


def with_template(campaign: Campaign, **changes: Any) -> Campaign:
    return replace(campaign, template={**(campaign.template or {}), **changes})


HOURS: tuple[object, ...] = ("24", True, 0, -1, 721, float("nan"), [])
REFUSED: list[tuple[str, Campaign, Deployment]] = [
    ("multichannel", email(type="multichannel"), LIVE),
    ("no_template", email(template=None), LIVE),
    ("wrong_template", with_template(EMAIL, type="sms"), LIVE),
    ("wrong_template", with_template(EMAIL, type="page"), LIVE),
    ("inactive_template", with_template(EMAIL, is_active=False), LIVE),
    ("template", with_template(EMAIL, html="{{#if contact.email}}"), LIVE),
    ("template", with_template(EMAIL, html=None, text=""), LIVE),
    ("template", with_template(EMAIL, subject=" "), LIVE),
    ("template", email(subject="{{#each}}"), LIVE),
    ("template", with_template(sms(), text=None), LIVE),
    ("template", with_template(sms(), text="{{/if}}"), LIVE),
    ("template", with_template(push(), subject=None), LIVE),
    ("template", with_template(push(), text="{{#if}}"), LIVE),
    ("no_segment", email(segment_state="missing"), LIVE),
    ("invalid_segment", email(segment_state="invalid"), LIVE),
    ("no_postal_address", email(postal_address=None), LIVE),
    ("no_postal_address", email(postal_address=" \n"), LIVE),
    ("no_sender", email(from_address=None), LIVE),
    ("no_sender", email(from_address="no address"), LIVE),
    ("unverified_sender", email(verified_domains=()), LIVE),
    ("unverified_sender", email(settings={"from": "a@new.example"}), LIVE),
    ("no_hooks_url", EMAIL, replace(LIVE, has_hooks_url=False)),
    ("no_hooks_url", sms(), BARE),
    ("no_unsubscribe_keys", EMAIL, replace(LIVE, has_unsubscribe_keys=False)),
    ("no_provider", email(provider_types=()), LIVE),
    ("no_provider", email(provider_types=("cloudflare",)), LIVE),
    ("invalid_settings", email(settings={"message_class": "urgent"}), LIVE),
    ("invalid_settings", email(settings={"from": 7}), LIVE),
    ("invalid_settings", email(settings=[]), LIVE),
    ("invalid_settings", email(settings={"reply_to": "nowhere"}), LIVE),
    *[
        ("invalid_settings", email(settings={"expires_after_hours": wrong}), LIVE)
        for wrong in HOURS
    ],
]


@pytest.mark.parametrize(("code", "campaign", "deployment"), REFUSED)
def test_a_campaign_is_refused(code: str, campaign: Campaign, deployment: Deployment) -> None:
    problem = problem_of(campaign, deployment)
    assert problem is not None
    assert problem.code == code
    assert str(problem).startswith(f"{code}: ")
    assert len(problem.text) > 15


ACCEPTED: list[tuple[Campaign, Deployment]] = [
    (EMAIL, LIVE),
    (email(segment_state="building"), LIVE),  # it waits
    (email(settings={"from": "A <a@other.example>", "expires_after_hours": 0.5}), LIVE),
    (email(settings={"from": None, "reply_to": None, "message_class": None}), LIVE),
    (email(settings=TRANSACTIONAL, postal_address=None, provider_types=("cloudflare",)), BARE),
    (email(subject="A subject of its own"), LIVE),
    (with_template(email(subject="Hi"), subject=None, html=None, text="{{contact.email}}"), LIVE),
    (sms(), LIVE),
    (sms(settings=TRANSACTIONAL, provider_types=("postmark",)), BARE),
    (push(), BARE),  # a device's owner turns messages off
    (EMAIL, replace(BARE, is_live=False)),
    (email(provider_types=()), replace(LIVE, is_live=False)),
]


@pytest.mark.parametrize(("campaign", "deployment"), ACCEPTED)
def test_a_campaign_may_start(campaign: Campaign, deployment: Deployment) -> None:
    assert problem_of(campaign, deployment) is None
