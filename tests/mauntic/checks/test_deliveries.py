"""Provider configs with which nothing can be sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mauntic.checks import deliveries
from mauntic.operations import generated_keys
from tests.workers.delivery.stage import KEY, Stage, encrypted

POSTMARK = {"serverToken": "secret-token", "stream": "outbound"}


@pytest.fixture
def stage(database: str) -> Iterator[Stage]:
    stage = Stage(database)
    yield stage
    stage.db.close()


def problems(stage: Stage, key: str | None = KEY) -> list[tuple[str, str]]:
    environment = {} if key is None else {"PROVIDER_KEY": key}
    return [(p.subject, p.problem) for p in deliveries.problems(stage.db, environment)]


def test_a_config_that_can_send_is_no_problem(stage: Stage) -> None:
    stage.config(secrets=POSTMARK)
    stage.config(provider_type="twilio", channel="sms", secrets={"x": "y"}, is_active=False)
    assert problems(stage) == []


@pytest.mark.parametrize(
    ("provider_type", "channel", "secrets", "problem"),
    [
        ("postmark", "email", {"stream": "s"}, "its configuration lacks serverToken"),
        ("postmark", "sms", POSTMARK, "postmark sends email, not sms"),
        ("custom_smtp", "email", {"host": "h"}, "custom_smtp is not supported: an SMTP dialogue"),
        ("pigeon", "email", {"host": "h"}, "the provider type is none of "),
        (
            "twilio", "sms", {"account_sid": "A", "auth_token": "t"},
            "its configuration lacks fromNumber or messagingServiceSid",
        ),
    ],
)  # fmt: skip
def test_what_cannot_send_is_named(
    stage: Stage, provider_type: str, channel: Any, secrets: dict[str, Any], problem: str
) -> None:
    config = stage.config(provider_type=provider_type, channel=channel, secrets=secrets)
    [(subject, found)] = problems(stage)
    assert subject == str(config)
    assert found.startswith(problem)
    assert "secret-token" not in found


def test_a_config_of_another_key_is_found(stage: Stage) -> None:
    stage.config(secrets=POSTMARK)
    [(_, problem)] = problems(stage, "ab" * 32)
    assert problem == "its configuration cannot be decrypted with PROVIDER_KEY"
    [(_, problem)] = problems(stage, "short")
    assert problem == "PROVIDER_KEY must be 64 hex digits"


def test_without_the_key_types_are_checked_and_that_is_noted(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.config(secrets={"stream": "s"})
    wrong = stage.config(provider_type="pigeon", secrets={})
    assert [subject for subject, _ in problems(stage, None)] == [str(wrong)]
    assert "PROVIDER_KEY is not set" in caplog.text
    assert encrypted({}) != encrypted({})  # each has a nonce of its own


DEPLOYMENT = {
    "CLOUDFLARE_ACCOUNT_ID": "a1", "HOOKS_BASE_URL": "https://hooks.example.com",
    "HOOK_KEYS": "new,old", "UNSUBSCRIBE_KEYS": "k",
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "subjects"),
    [
        ({}, []),
        ({"HOOKS_BASE_URL": ""}, ["HOOKS_BASE_URL"]),
        ({"HOOKS_BASE_URL": "http://hooks.example.com"}, ["HOOKS_BASE_URL"]),
        ({"HOOK_KEYS": ""}, ["HOOK_KEYS"]),
        ({"UNSUBSCRIBE_KEYS": " , "}, ["UNSUBSCRIBE_KEYS"]),
        ({"CLOUDFLARE_ACCOUNT_ID": "", "HOOKS_BASE_URL": "", "HOOK_KEYS": ""}, []),
        ({"CLOUDFLARE_ACCOUNT_ID": "", "HOOKS_BASE_URL": "x"}, ["HOOKS_BASE_URL"]),
    ],
)
def test_a_deployment_needs_an_address_and_keys(
    stage: Stage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, str],
    subjects: list[str],
) -> None:
    """Elsewhere only what is wrong is a problem: a local system has its own."""
    monkeypatch.setattr(generated_keys, "FOLDER", tmp_path)
    environment = {"PROVIDER_KEY": KEY, **DEPLOYMENT, **changed}
    assert list(deliveries.problems(stage.db, environment)) == []  # nothing is sent
    stage.config(secrets=POSTMARK)
    assert [own.subject for own in deliveries.problems(stage.db, environment)] == subjects
