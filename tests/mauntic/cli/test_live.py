"""The command on the running local system: real queues, real workers, a real Postgres."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from analytics.worker import WORKER
from mauntic.cli.ui.output import errors
from mauntic.database.embedded.server import Server
from mauntic.database.url import connect
from mauntic.local.control_client import LocalRuntime
from shared.adapters.postgres.client import Postgres
from tests.mauntic.harness import DLQ, HOURLY, QUEUE, Cli
from tests.scratch import scratch_database

pytestmark = pytest.mark.e2e

DAY = datetime(2026, 3, 10, tzinfo=UTC)


@pytest.fixture(scope="module")
def system(
    postgres: Server, migrated: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalRuntime]:
    """The analytics worker, started once for the module."""
    folder: Path = tmp_path_factory.mktemp("live")
    with (
        scratch_database(postgres, migrated) as url,
        LocalRuntime(url, envs=[WORKER.env], persist=folder / "r2") as runtime,
    ):
        yield runtime


@pytest.fixture
def live(system: LocalRuntime, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command, with the addresses of that system and its database."""
    monkeypatch.setenv("DATABASE_URL", system.database_url)
    monkeypatch.setenv("MAUNTIC_CONTROL_URL", system.control.url)
    monkeypatch.setenv("MAUNTIC_CONTROL_TOKEN", system.control.token)
    return cli


@pytest.fixture
def db(system: LocalRuntime) -> Iterator[Postgres]:
    with closing(Postgres(lambda: connect(system.database_url))) as opened:
        yield opened


@pytest.fixture
def once_followed(
    monkeypatch: pytest.MonkeyPatch, system: LocalRuntime
) -> Callable[[dict[str, str]], None]:
    """Send a message as soon as `tail` reports that it follows."""

    def arrange(body: dict[str, str]) -> None:
        unsent = [body]

        def text(*_words: object, **_style: object) -> None:
            if unsent:
                system.control.send(QUEUE, [unsent.pop()])

        monkeypatch.setattr(errors, "print", text)

    return arrange


def test_messages_are_sent_followed_and_measured(
    live: Cli, system: LocalRuntime, once_followed: Callable[[dict[str, str]], None]
) -> None:
    once_followed({"type": HOURLY})
    followed = live("tail", QUEUE, "--limit", 1, "--json")
    assert followed.code == 0
    answer = json.loads(followed.out)
    assert (answer["answer"], answer["body"]) == ("ack", {"type": HOURLY})
    sent = live("enqueue", QUEUE, json.dumps({"type": HOURLY}), "--json")
    assert (sent.json["queue"], sent.json["sent"]) == (QUEUE, 1)
    assert system.control.wait_idle()
    [load] = [row for row in live("metrics", "--json").json if row["type"] == HOURLY]
    assert (load["queue"], load["messages"] >= 2, load["retries"]) == (QUEUE, True, 0)


def test_a_message_that_dies_is_followed_to_its_letter(
    live: Cli, once_followed: Callable[[dict[str, str]], None]
) -> None:
    body = {"type": "analytics.nothing"}
    once_followed(body)
    followed = live("tail", QUEUE, "--limit", 2, "--json")
    acked, dead = (json.loads(line) for line in followed.out.splitlines())
    assert (acked["answer"], dead["answer"], dead["id"]) == ("ack", "dead", acked["id"])
    assert (dead["body"], dead["reason"], dead["attempts"]) == (body, "unknown_type", 1)
    assert live("dlq", "discard", "--all", "--note", "a test", "--yes", "--json").code == 0


def test_a_paused_queue_holds_what_is_sent(live: Cli, system: LocalRuntime) -> None:
    assert live("queues", "pause", QUEUE).code == 0
    assert live("enqueue", QUEUE, json.dumps({"type": HOURLY})).code == 0
    time.sleep(0.3)
    rows = {row["queue"]: row for row in live("queues", "status", "--json").json}
    own = rows[QUEUE]
    assert (own["paused"], own["backlog"], own["consumers"]) == (True, 1, [WORKER.name])
    assert (rows[DLQ]["backlog"], rows[DLQ]["consumers"]) == (0, [WORKER.name])
    assert live("queues", "resume", QUEUE).code == 0
    assert system.control.wait_idle()
    rows = {row["queue"]: row for row in live("queues", "status", "--json").json}
    assert (rows[QUEUE]["paused"], rows[QUEUE]["backlog"]) == (False, 0)


def test_a_range_is_backfilled(live: Cli, db: Postgres) -> None:
    for hour in (1, 1, 5):
        db.execute(
            "insert into analytics.contact_activity"
            " (organization_id, contact_id, event_type, occurred_at, created_at)"
            " values (cast(:one as uuid), gen_random_uuid(), 'email_sent', :at, :at)",
            one=f"{1:032x}", at=DAY + timedelta(hours=hour, minutes=7),
        )  # fmt: skip
    call = ("backfill", HOURLY, "--from", "2026-03-10", "--to", "2026-03-10T12:00Z", "--json")
    reported = live(*call, "--at-most", 4)
    assert (reported.code, reported.json["succeeded"], reported.json["rows_read"]) == (0, 12, 3)
    assert live(*call).json["windows"] == 0
    run = live("jobs", "run", HOURLY, "--window", "2026-03-10T05:00Z", "--json")
    assert (run.code, run.json["status"], run.json["rows_written"]) == (0, "succeeded", 0)
    deep = live("check", "--deep", "--from", "2026-03-10", "--to", "2026-03-11", "--json")
    assert deep.json["differences"] == []


def test_a_dead_letter_is_redriven_and_dies_again(live: Cli, system: LocalRuntime) -> None:
    wrong = json.dumps({"type": HOURLY, "scheduledFor": "no time"})
    assert live("enqueue", QUEUE, wrong).code == 1
    assert live("enqueue", QUEUE, wrong, "--raw").code == 0
    assert system.control.wait_idle()
    [first] = live("dlq", "list", "--json").json
    assert (first["reason"], first["queue"], first["job_type"]) == ("invalid", QUEUE, HOURLY)
    assert live("redrive", first["id"], "--json").json["redriven"] == 1
    assert system.control.wait_idle()
    [second] = live("dlq", "list", "--json").json
    assert second["redriven_from"] == first["id"]
    assert live("redrive", first["id"], "--json").json["redriven"] == 0
    done = live("dlq", "discard", "--all", "--note", "a test", "--yes", "--json")
    assert done.json["discarded"] == 1
    assert live("dlq", "list", "--json").json == []
