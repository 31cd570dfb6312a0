"""`mauntic delivery` and `mauntic suppressions`."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from mauntic.local.dev_state import RunningDev
from mauntic.operations import generated_keys, hook_urls
from tests.mauntic.harness import Cli
from tests.workers.delivery.stage import Stage, org

ORG = str(org(1))


@pytest.fixture
def stage(database: str) -> Iterator[Stage]:
    stage = Stage(database)
    stage.organization()
    stage.contact()
    yield stage
    stage.db.close()


def test_the_status_counts_open_messages_and_names_pauses(cli: Cli, stage: Stage) -> None:
    config = stage.config(paused_until="infinity", paused_reason="credentials", failures=3)
    for number in range(3):
        stage.message(state="pending" if number else "held")
    stage.message(state="sent", finished_at=stage.outside.now)
    stage.db.execute(
        "update delivery.organization_settings set marketing_paused_at = now(),"
        " marketing_paused_reason = 'complaints'"
    )
    state = cli("delivery", "status", "--json").json
    found = {(row["channel"], row["state"]): row["messages"] for row in state["messages"]}
    assert found == {("email", "held"): 1, ("email", "pending"): 2}
    [provider] = state["providers"]
    assert (provider["id"], provider["paused_reason"]) == (str(config), "credentials")
    assert [row["marketing_paused_reason"] for row in state["paused"]] == ["complaints"]
    assert cli("delivery", "status", "--organization", str(org(2)), "--json").json == {
        "messages": [], "providers": [], "paused": [],
    }  # fmt: skip


def test_a_config_that_is_resumed_sends_again(cli: Cli, stage: Stage) -> None:
    config = stage.config(paused_until="infinity", paused_reason="credentials", failures=5)
    message = stage.message()
    stage.send(message)
    assert stage.state(message) == ("deferred", "no_provider")
    answer = cli("delivery", "resume", str(config))
    assert (answer.code, "is resumed" in answer.out) == (0, True)
    assert "was not paused" in cli("delivery", "resume", str(config)).out
    stage.outside.advance(minutes=16)
    stage.send(message)
    assert stage.state(message) == ("sent", None)


def test_an_organization_is_resumed(cli: Cli, stage: Stage) -> None:
    stage.db.execute("update delivery.organization_settings set marketing_paused_at = now()")
    answer = cli("delivery", "resume", "--organization", ORG, "--json")
    assert answer.json == {"resumed": True}
    assert cli("delivery", "resume", "--organization", ORG, "--json").json == {"resumed": False}


def test_what_to_resume_must_exist(cli: Cli, stage: Stage) -> None:
    assert "no provider config" in cli("delivery", "resume", str(uuid4())).err
    assert "Pass either" in cli("delivery", "resume").err


def test_a_shadow_run_is_compared_with_the_log_of_the_other_sender(
    cli: Cli, stage: Stage, tmp_path: Path
) -> None:
    """Captured as there; suppressed here; sent there twice; never inserted here; only here."""
    stage.outside.secrets["DELIVERY_MODE"] = "shadow"
    for number in (2, 3, 4):
        stage.contact(number)
    stage.db.rows("select delivery.suppress(:org, 'p2@people.example')", org=org())
    messages = [stage.message(number) for number in (1, 2, 3, 4)]
    stage.send(*messages)
    log = tmp_path / "sent.txt"
    log.write_text(
        "P1@people.example\n\np2@people.example\np3@people.example\nP3@People.example\n"
        "missing@people.example\n"
    )
    period = ("--organization", ORG, "--from", "2026-03-10", "--to", "2026-03-11", "--json")
    answer = cli("delivery", "compare", str(log), *period)
    assert [
        (row["result"], row["reason"], row["count"], row["first_line"]) for row in answer.json
    ] == [
        ("another number", None, 1, 4),
        ("not sent here", "suppressed", 1, 3),
        ("only here", None, 1, None),
        ("only there", None, 1, 6),
        ("the same", None, 1, 1),
    ]
    assert answer.code == 1
    assert "people" not in answer.out
    log.write_text("\n".join(str(stage.row(own)["idempotency_key"]) for own in messages))
    answer = cli("delivery", "compare", str(log), "--by", "key", *period)
    assert [(row["result"], row["count"]) for row in answer.json] == [
        ("not sent here", 1),
        ("the same", 3),
    ]
    assert answer.code == 0
    assert "cannot be read" in cli("delivery", "compare", "nothing.txt", *period).err


@pytest.fixture
def addresses(tmp_path: Path) -> Path:
    file = tmp_path / "addresses.txt"
    file.write_text("P1@People.example\n\n second@people.example \np1@people.example\n")
    return file


def test_a_suppressed_address_receives_nothing_until_a_person_removes_it(
    cli: Cli, stage: Stage, addresses: Path
) -> None:
    stage.config()
    of = ("--organization", ORG)
    assert cli("suppressions", "add", str(addresses), *of, "--dry-run", "--json").json == {
        "would_add": 2
    }
    assert cli("suppressions", "list", *of, "--json").json == []
    for _ in range(2):
        assert cli("suppressions", "add", str(addresses), *of, "--json").json == {"added": 2}
    listed = cli("suppressions", "list", *of, "--json").json
    assert {(row["address"], row["reason"], row["scope"]) for row in listed} == {
        ("p1@people.example", "manual", "all"),
        ("second@people.example", "manual", "all"),
    }
    message = stage.message()
    stage.send(message)
    assert stage.state(message) == ("skipped", "suppressed")
    note = ("--note", "asked for it by telephone", "--yes")
    assert cli("suppressions", "remove", str(addresses), *of, *note, "--json").json == {
        "removed": 2
    }
    message = stage.message()
    stage.send(message)
    assert stage.state(message) == ("sent", None)


def test_a_suppression_of_marketing_lets_receipts_through(
    cli: Cli, stage: Stage, addresses: Path
) -> None:
    stage.config()
    words = ("suppressions", "add", str(addresses), "--organization", ORG, "--scope", "marketing")
    assert cli(*words).code == 0
    transactional: dict[str, Any] = {"class": "transactional"}
    marketing, receipt = stage.message(), stage.message(**transactional)
    stage.send(marketing, receipt)
    assert (stage.state(marketing), stage.state(receipt)) == (
        ("skipped", "suppressed"), ("sent", None),
    )  # fmt: skip


def test_a_line_that_is_no_address_is_named_without_its_text(
    cli: Cli, stage: Stage, tmp_path: Path
) -> None:
    file = tmp_path / "wrong.txt"
    file.write_text("p1@people.example\nnot an address\n")
    answer = cli("suppressions", "add", str(file), "--organization", ORG)
    assert answer.code == 1
    assert "Line 2" in answer.err
    assert "not an address" not in answer.err
    assert stage.db.rows("select * from delivery.suppressions") == []


# The URL of a webhook.


@pytest.fixture
def deployed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generated_keys, "FOLDER", tmp_path)
    monkeypatch.setattr(hook_urls, "running_dev", lambda: None)
    monkeypatch.setenv("HOOKS_BASE_URL", "https://hooks.example.com/")
    monkeypatch.setenv("HOOK_KEYS", "new, old")


def token_of(config: UUID, key: bytes) -> str:
    return hmac.new(key, str(config).encode(), "sha256").hexdigest()


@pytest.mark.parametrize("options", [[], ["--remote"]])
def test_the_url_of_a_webhook_is_signed_with_the_first_key(
    cli: Cli, stage: Stage, deployed: None, options: list[str]
) -> None:
    config = stage.config(provider_type="sendgrid")
    answer = cli("delivery", "hook-url", str(config), *options)
    url = f"https://hooks.example.com/hooks/sendgrid/{config}/{token_of(config, b'new')}"
    assert (answer.code, answer.out, answer.err) == (0, f"{url}\n", "")
    found = cli("delivery", "hook-url", str(config), "--json", *options).json
    assert found == {"config": str(config), "provider": "sendgrid", "url": url}


def test_a_generated_key_is_read_from_its_file(
    cli: Cli, stage: Stage, deployed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = stage.config(provider_type="resend")
    monkeypatch.delenv("HOOK_KEYS")
    monkeypatch.setenv("CLOUDFLARE_ACCOUNT_ID", "a1")
    assert "Set HOOK_KEYS" in cli("delivery", "hook-url", str(config)).err
    file = tmp_path / "keys-a1.env"
    file.write_text(f"HOOK_KEYS={'ab' * 32}\n")
    answer = cli("delivery", "hook-url", str(config))
    assert answer.out.strip().endswith(token_of(config, b"ab" * 32))


def test_the_url_of_the_running_system_is_its_own(
    cli: Cli, stage: Stage, deployed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = stage.config(provider_type="ses")
    settings = {"HOOKS_BASE_URL": "http://127.0.0.1:8788", "HOOK_KEYS": "local"}
    dev = RunningDev(1, "", "", "", "", settings)
    monkeypatch.setattr(hook_urls, "running_dev", lambda: dev)
    url = cli("delivery", "hook-url", str(config)).out.strip()
    assert url == f"http://127.0.0.1:8788/hooks/ses/{config}/{token_of(config, b'local')}"
    assert cli("delivery", "hook-url", str(config), "--remote").out.startswith("https://hooks.ex")
    settings.clear()
    assert "runs without the hooks worker" in cli("delivery", "hook-url", str(config)).err


@pytest.mark.parametrize(
    ("provider", "words"),
    [("cloudflare", "mauntic-delivery-feedback"), ("capture", "on this machine")],
)
def test_a_provider_without_webhooks_has_no_url(
    cli: Cli, stage: Stage, deployed: None, provider: str, words: str
) -> None:
    config = stage.config(provider_type=provider)
    answer = cli("delivery", "hook-url", str(config))
    assert (answer.code, answer.out) == (1, "")
    assert words in answer.err


def test_a_config_or_an_address_that_is_not_there_is_named(
    cli: Cli, stage: Stage, deployed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no provider config" in cli("delivery", "hook-url", str(uuid4())).err
    config = stage.config(provider_type="ses")
    for odd in ("", "http://hooks.example.com", "hooks.example.com", "https://a.example/x"):
        monkeypatch.setenv("HOOKS_BASE_URL", odd)
        assert (
            "Set HOOKS_BASE_URL to the public address"
            in cli("delivery", "hook-url", str(config)).err
        )
