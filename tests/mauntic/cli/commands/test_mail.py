"""`mauntic mail` on the local runtime of the toy project, whose bucket has captured messages."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from html.parser import HTMLParser
from pathlib import Path

import pytest

from delivery.domain.outgoing import Outgoing, OutgoingEmail, OutgoingPush, OutgoingSms
from delivery.domain.rendered import plain
from delivery.providers.adapter import HttpRequest
from delivery.providers.capture_format import captured_call, captured_message, to_json
from mauntic.local.control_client import LocalRuntime
from mauntic.operations.captured_mail import BUCKET
from mauntic.operations.mail_page import page_of
from tests.mauntic.harness import Cli
from tests.mauntic.local.runtime.harness import write_project

pytestmark = pytest.mark.e2e

CREATED = datetime(2026, 3, 10, 12, tzinfo=UTC)
ORGANIZATION = "00000000-0000-4000-8000-000000000001"
HTML = '<p>Dear Zoë</p><script>alert(1)</script><a href="https://a.example/?a&amp;b">x</a>'
EMAIL = OutgoingEmail(
    "aaaa-1", "marketing", "jane@a.example", "news@acme.example",
    plain("Hello \x1b[2JZoë"), plain(HTML), plain("Dear Zoë\x1b[2J\nbye"), "Acme",
)  # fmt: skip
SMS = OutgoingSms("aabb-2", "transactional", "+14155552671", "Your code is 7")
PUSH = OutgoingPush("cccc-3", "marketing", "token", "Title", "Body", CREATED, data={"k": "v"})

MESSAGES: tuple[Outgoing, ...] = (EMAIL, SMS, PUSH)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRuntime]:
    """A runtime with three messages, written in this order."""
    config = write_project(tmp_path_factory.mktemp("mail"))
    config.write_text(config.read_text().replace("toy-bucket", BUCKET))
    with LocalRuntime("postgresql://localhost:1/none", config=config, envs=["alpha"]) as runtime:
        for number, message in enumerate(MESSAGES):
            captured = captured_message(
                message,
                organization_id=ORGANIZATION if number else "other",
                created_at=CREATED + timedelta(days=number),
                provider_type="ses",
                call_id=None if message is PUSH else "call-1",
            )
            runtime.control.write_object(BUCKET, captured.key, to_json(captured))
        request = HttpRequest("POST", "https://ses.example", {"Authorization": "secret"}, b"{}")
        call = captured_call(
            request, call_id="call-1", organization_id="other", created_at=CREATED,
            provider_type="ses", message_ids=["aaaa-1"],
        )  # fmt: skip
        runtime.control.write_object(BUCKET, call.key, to_json(call))
        yield runtime


@pytest.fixture
def live(system: LocalRuntime, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("MAUNTIC_CONTROL_URL", system.control.url)
    monkeypatch.setenv("MAUNTIC_CONTROL_TOKEN", system.control.token)
    return cli


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ([], ["cccc-3", "aabb-2", "aaaa-1"]),
        (["--limit", "1"], ["cccc-3"]),
        (["--day", "2026-03-11"], ["aabb-2"]),
        (["--organization", "other"], ["aaaa-1"]),
        (["--channel", "sms"], ["aabb-2"]),
        (["--to", "JANE@"], ["aaaa-1"]),
        (["--day", "2026-01-01"], []),
    ],
)
def test_messages_are_listed_newest_first(live: Cli, options: list[str], ids: list[str]) -> None:
    assert [row["id"] for row in live("mail", "list", *options, "--json").json] == ids


def test_the_list_is_a_table_that_no_message_controls(live: Cli) -> None:
    answer = live("mail", "list")
    assert answer.code == 0
    assert "jane@a.example" in answer.out
    assert "Hello \\x1b[2JZoë" in answer.out
    assert "\x1b" not in answer.out
    assert "none" in live("mail", "list", "--day", "2026-01-01").out
    assert live("mail", "list", "--day", "soon").code == 2


def test_a_message_is_shown(live: Cli) -> None:
    answer = live("mail", "show", "aaaa")
    assert "Subject: Hello \\x1b[2JZoë" in answer.out
    assert "Dear Zoë\\x1b[2J\nbye" in answer.out
    assert "\x1b" not in answer.out
    assert live("mail", "show", "aaaa-1", "--json").json["html"] == HTML
    assert "k: v" in live("mail", "show").out


def test_a_message_opens_in_a_mail_program(live: Cli) -> None:
    mail = message_from_bytes(live("mail", "show", "aaaa", "--eml").out.encode(), policy=default)
    assert mail["From"] == "Acme <news@acme.example>"
    assert [part.get_content_type() for part in mail.walk()] == [
        "multipart/alternative", "text/plain", "text/html",
    ]  # fmt: skip


def test_the_request_of_a_call_is_shown_without_secrets(live: Cli) -> None:
    answer = live("mail", "show", "aaaa-1", "--call")
    assert "POST https://ses.example" in answer.out
    assert "Authorization: (removed)" in answer.out
    # Another message of the same call, of another day.
    assert live("mail", "show", "aabb-2", "--call", "--json").json["call_id"] == "call-1"
    assert "shadow mode" in live("mail", "show", "cccc-3", "--call").err


@pytest.mark.parametrize(
    ("message_id", "problem"),
    [
        ("dddd", "No captured message has the id dddd: `mauntic mail list` shows the ids."),
        ("aa", "2 captured messages have ids that begin with aa: write more of the id."),
    ],
)
def test_an_unknown_id_is_a_sentence(live: Cli, message_id: str, problem: str) -> None:
    answer = live("mail", "show", message_id)
    assert answer.code == 1
    assert problem in answer.err


def test_a_message_opens_in_the_browser(
    live: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The program that BROWSER names receives the page's URL."""
    browser, seen = tmp_path / "browser", tmp_path / "seen"
    browser.write_text(f'#!/bin/sh\necho "$1" > {seen}\n')
    browser.chmod(0o755)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("webbrowser._tryorder", None)
    monkeypatch.setenv("BROWSER", str(browser))
    answer = live("mail", "open", "aaaa")
    page = Path(answer.out.removeprefix("opened ").strip())
    assert seen.read_text().strip() == page.as_uri()
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert stat.S_IMODE(page.parent.stat().st_mode) == 0o700
    assert page.stat().st_uid == os.geteuid()


def test_without_a_browser_the_path_is_printed(live: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webbrowser._tryorder", [])
    answer = live("mail", "open")
    assert answer.out.startswith("no browser was found: open /")
    assert live("mail", "open", "--json").json["opened"] is False


class Frame(HTMLParser):
    """The attributes of the frame, as a browser reads them, and the tags of the page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: dict[str, str | None] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "iframe":
            self.attributes = dict(attrs)


def test_a_page_runs_nothing_of_the_message() -> None:
    captured = captured_message(
        replace(EMAIL, subject=plain("</title><script>"), to='"><script>'),
        organization_id="o", created_at=CREATED, provider_type="ses",
    )  # fmt: skip
    page = page_of(captured)
    frame = Frame(page)
    assert "script" not in frame.tags
    assert frame.attributes["srcdoc"] == f'<base target="_blank">{HTML}'
    assert "allow-scripts" not in str(frame.attributes["sandbox"])
    assert "allow-same-origin" not in str(frame.attributes["sandbox"])
    assert "default-src &#x27;none&#x27;" in page


def test_a_system_without_the_bucket_is_a_sentence(
    live: Cli, system: LocalRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mauntic.operations.captured_mail.BUCKET", "absent")
    answer = live("mail", "list")
    assert answer.code == 1
    assert "has no bucket absent: it captures messages when the delivery worker runs" in answer.err
