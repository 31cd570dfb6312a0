"""docs/platform.md is a promise to others: each of its examples is executed here."""

from __future__ import annotations

import json
import random
import re
import tomllib
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from analytics.store import statements
from delivery import outbox as delivery_outbox
from mauntic.checks import topology
from mauntic.database.url import connect
from mauntic.operations.worker_catalog import all_workers
from scoring import outbox
from scoring.jobs.calculate_score import CalculateScore
from scoring.store.fold import fold_changes
from shared.adapters.postgres.client import Postgres
from shared.warmup.counters import WarmingDomain, WarmupCounters
from tests.fake_r2 import FakeR2, run_virtually, virtual_clock

PAGE = (Path(__file__).parent.parent / "docs" / "platform.md").read_text(encoding="utf-8")
ORGANIZATION, CONTACT = UUID(int=0xA1), UUID(int=0xC1)


def examples(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_message_is_one_that_the_job_takes() -> None:
    message = CalculateScore.model_validate_json(examples("json")[0])
    assert message.data.key == (ORGANIZATION, CONTACT)


def fold(database: str) -> None:
    with closing(Postgres(lambda: connect(database))) as db, db.transaction():
        fold_changes(db, datetime.now(UTC))


def test_the_statements_do_what_the_page_says(database: str) -> None:
    recompute, enroll, evaluate, alert, _, _, erase = examples("sql")
    with closing(connect(database)) as db:
        assert db.run(recompute) == [[1]]
        waiting = db.run("select contact_id, name from crm.contact_changes")
        assert waiting == [[CONTACT, "import"]]
        db.run(
            "insert into journey.journeys (id, organization_id, name)"
            " values ('00000000-0000-0000-0000-0000000000d1', :org, 'a draft')",
            org=ORGANIZATION,
        )
        assert db.run(enroll) == [[0]]
        [[reason]] = db.run("delete from journey.trigger_entries returning reason")
        assert reason == "journey_not_active"
        assert db.run(evaluate) == [[1]]
        [[opened]], [[again]] = db.run(alert), db.run(alert)
        assert isinstance(opened, UUID)
        assert again is None
        fold(database)
        assert db.run("select contact_id from scoring.recompute_backlog") == [[CONTACT]]
        assert db.run("select id from scoring.signal_alerts") == [[opened]]
        hours = "extract(epoch from deadline - created_at) / 3600"
        assert db.run(f"select priority, {hours} from scoring.signal_alerts") == [["critical", 1]]
        assert db.run("select * from analytics.daily_aggregates") == []
        assert db.run(erase) == [[3]]  # the alert, the entry of the backlog, and that of the feed
        assert db.run("select id from scoring.signal_alerts") == []


def test_a_member_of_the_platforms_role_calls_them(database: str) -> None:
    recompute, _, evaluate, _, _, grant, _ = examples("sql")
    with closing(connect(database)) as db:
        db.run("create role shop_backend")
        try:
            db.run(grant)
            db.run("set role shop_backend")
            assert db.run(recompute) == db.run(evaluate) == [[1]]
        finally:
            db.run("reset role; drop role shop_backend")


def test_the_event_is_the_one_that_is_sent_and_the_binding_the_one_that_is_looked_for() -> None:
    event = json.loads(examples("json")[1])
    row = {
        "event_id": event["eventId"].removesuffix("-60"),
        "organization_id": ORGANIZATION,
        "contact_id": CONTACT,
        "score": 64,
        "previous_score": 55,
        "scored_at": datetime(2026, 3, 10, 9, tzinfo=UTC),
    }
    assert [crossing.body() for crossing in outbox.crossings(row)] == [event]
    [producer] = tomllib.loads(examples("toml")[0])["env"]["scoring"]["queues"]["producers"]
    assert producer["binding"] == outbox.CROSSINGS.binding


def test_the_event_of_a_message_is_the_one_that_is_sent() -> None:
    event = json.loads(examples("json")[2])
    row = {
        "event_id": UUID(event["eventId"]),
        "kind": "bounced",
        "organization_id": ORGANIZATION,
        "message_id": UUID(int=0xE1),
        "job_id": UUID(int=0xD1),
        "contact_id": CONTACT,
        "channel": "email",
        "campaign_id": UUID(int=0xB1),
        "journey_execution_id": None,
        "step_id": None,
        "details": {"bounceKind": "hard"},
        "provider": "ses",
        "occurred_at": datetime(2026, 3, 10, 11, 0, 5, tzinfo=UTC),
    }
    assert delivery_outbox.event_of(row) == event
    [producer] = tomllib.loads(examples("toml")[1])["env"]["delivery"]["queues"]["producers"]
    assert producer["binding"] == delivery_outbox.EVENTS.binding


def test_the_documented_binding_can_be_deployed(tmp_path: Path) -> None:
    config = tmp_path / "wrangler.toml"
    config.write_text("\n".join([topology.CONFIG.read_text(), *examples("toml")]))
    assert list(topology.problems(all_workers(), config)) == []


def test_a_mapped_campaign_is_one_uuid_of_its_organization() -> None:
    """And the reports treat it as a campaign."""
    known: dict[str, Any] = {}
    exec(examples("python")[0], known)
    campaign, other = (
        known["campaign_id"](one, "klaviyo", "cid-4711") for one in (ORGANIZATION, CONTACT)
    )
    assert campaign == known["campaign_id"](ORGANIZATION, "klaviyo", "cid-4711") != other
    form = re.search(r"event_source ~ '(.*)'", statements.SQL.part("campaign_of_source"))
    assert form
    assert re.fullmatch(form[1], str(campaign))


@pytest.mark.parametrize("sent", [0, 25, 50])
def test_a_sender_gets_the_cap_and_gives_back_what_it_did_not_send(sent: int) -> None:
    """The page's code, on the first day of a domain: 50 of 80."""
    body = "\n".join(f"    {line}" for line in examples("python")[1].splitlines())
    known: dict[str, Any] = {"random": random, "WarmingDomain": WarmingDomain} | {
        "WarmupCounters": WarmupCounters
    }
    source = f"async def sender(bucket, now, organization_id, created_at, send):\n{body}\n"
    exec(source + "    return granted", known)

    async def send(granted: int) -> int:
        return sent

    async def steps() -> tuple[int, FakeR2]:
        now = virtual_clock()
        bucket = FakeR2(now)
        created_at = datetime(2026, 3, 10, tzinfo=UTC)
        return await known["sender"](bucket, now, ORGANIZATION, created_at, send), bucket

    granted, bucket = run_virtually(steps())
    assert granted == 50
    [(key, (text, _))] = bucket.objects.items()
    [named] = re.findall(r"`(warmup/daily/.*?)`", PAGE)
    assert key == named.replace("ORGANIZATION", str(ORGANIZATION)).replace("NN", "00")
    assert json.loads(text).keys() == {"used", "nonces", "writtenAt"}
    assert json.loads(text)["used"] == sent
