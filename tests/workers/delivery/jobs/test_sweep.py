"""The job of every five minutes."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from delivery.jobs.sweep import JOB
from delivery.sending import alerting
from delivery.store import sweeps
from delivery.store.alerts import claim_alerts
from shared.jobs import Run
from shared.telemetry.delivery_metrics import Gauge
from shared.windows import Window
from tests.workers.delivery.stage import NOW, Stage, org


def test_the_sweep_measures_what_stands_open(stage: Stage) -> None:
    stage.organization()
    stage.contact(1)
    stage.message(1)
    stage.later(minutes=2)
    stage.message(1)
    for address, at in (("a@b.example", NOW), ("c@b.example", NOW - timedelta(days=1))):
        stage.db.execute(
            "insert into delivery.suppressions (organization_id, email, reason, created_at)"
            " values (:org, :address, 'bounce', :at)",
            org=org(),
            address=address,
            at=at,
        )
    ports = stage.ports()
    gauges = sweeps.gauges(ports.db, stage.outside.now)
    ports.db.close()
    counted = [gauge for gauge in gauges if gauge.count]
    assert counted == [
        Gauge("open", "email", "pending", 2, 120),
        Gauge("suppressed_today", "email", "", 1, 0),
    ]
    assert len(gauges) == 3 * 7 + 3, "none is a value too"


def test_each_open_state_is_counted_and_no_final_one(stage: Stage) -> None:
    """Each number is different, so that no state is taken for another."""
    stage.organization()
    stage.contact(1)
    needed: dict[str, dict[str, Any]] = {
        "pending": {}, "queued": {"queued_until": NOW}, "deferred": {"not_before": NOW},
        "claimed": {"lease_until": NOW}, "sending": {"lease_until": NOW}, "held": {},
        "uncertain": {},
    }  # fmt: skip
    for number, (state, columns) in enumerate(needed.items(), start=1):
        for _ in range(number):
            stage.message(1, 1, state=state, channel="sms", **columns)
    for state in ("sent", "skipped", "failed", "uncertain"):
        stage.message(1, 1, state=state, channel="sms", finished_at=NOW)
    stage.later(minutes=1)
    ports = stage.ports()
    found = {own.state: own for own in sweeps.gauges(ports.db, stage.outside.now) if own.count}
    ports.db.close()
    expected = [Gauge("open", "sms", own, n, 60) for n, own in enumerate(needed, start=1)]
    assert found == {own.state: own for own in expected}


def test_the_sweep_returns_lost_messages_to_the_queue(stage: Stage) -> None:
    stage.organization()
    stage.contact(1)
    lost, waiting = stage.message(), stage.message(1, 1, channel="sms")
    stage.feed()
    stage.later(minutes=16)
    ports = stage.ports()
    window = Window(NOW, NOW + timedelta(minutes=5))

    async def run() -> None:
        await JOB.handler(Run(window, NOW, None, ports, "cron"))

    asyncio.run(run())
    ports.db.close()
    assert len(stage.outside.producers["SEND_EMAIL"].sent) == 2
    [reference] = stage.outside.producers["SEND_SMS"].sent
    assert reference["data"]["messageId"] == str(waiting)
    assert stage.state(lost)[0] == "queued"
    counts = {(e["type"], e["status"]): e["count"] for e in stage.outside.named("delivery.open")}
    assert counts == {("email", "queued"): 1, ("sms", "queued"): 1}
    gauges = [p for p in stage.outside.points if p["blobs"][0] == "delivery.gauge"]
    assert ["delivery.gauge", "open", "sms", "queued"] in [p["blobs"] for p in gauges]


def alerts(stage: Stage, url: str = "https://alerts.example/hook") -> list[dict[str, Any]]:
    """What one run of the alerts posts."""
    stage.outside.secrets["ALERT_WEBHOOK_URL"] = url
    before = len(stage.outside.http.posts)
    ports = stage.ports()
    asyncio.run(alerting.alert(ports))
    ports.db.close()
    return [body for _, body in stage.outside.http.posts[before:]]


def test_a_config_problem_is_reported_once_an_hour(stage: Stage) -> None:
    """Messages wait without a provider, for a paused config, and for the domain of the sender."""
    stage.outside.secrets["DELIVERY_MODE"] = "live"
    stage.organization(1)
    stage.organization(2)
    stage.domain(2, status="pending")
    for number, organization in ((1, 1), (2, 1), (3, 2)):
        stage.contact(number, organization)
    sms = {"channel": "sms", "class": "transactional", "content": {"text": "Hi"}}
    waiting = [stage.message(1, 1, **sms), stage.message(2, 1, **sms)]
    stage.send(*waiting, channel="sms")
    paused = stage.config(1, paused_until=NOW + timedelta(days=2), paused_reason="401")
    stage.send(stage.message(1, 1))
    stage.send(stage.message(3, 2), organization=2)
    names = ("organization_id", "type", "status", "reason", "count", "config_id")
    own, other = str(org(1)), str(org(2))
    found = [tuple(post[name] for name in names) for post in alerts(stage)]
    assert sorted(found, key=str) == sorted(
        [
            (own, "sms", "no_provider", None, 2, None),
            (own, "email", "no_provider", None, 1, None),
            (own, "postmark", "paused", "401", 1, str(paused)),
            (other, "email", "unverified_sender", None, 1, None),
        ],
        key=str,
    )
    stage.later(minutes=59)
    assert alerts(stage) == []
    stage.later(minutes=2)
    assert len(alerts(stage)) == 4
    stage.db.execute("update delivery.messages set state = 'skipped', finished_at = now()")
    stage.later(hours=2)
    assert alerts(stage) == [], "no message waits"
    stage.later(hours=23)
    assert [post["config_id"] for post in alerts(stage)] == [str(paused)], "a day later"
    stage.later(days=1)
    assert alerts(stage) == [], "the pause is over"


def test_a_missing_setting_is_one_problem_of_all_organizations(stage: Stage) -> None:
    stage.outside.secrets |= {"DELIVERY_MODE": "live", "HOOKS_BASE_URL": ""}
    for number in (1, 2):
        stage.organization(number)
        stage.config(number)
        stage.contact(number, number)
        stage.send(stage.message(number, number), organization=number)
    [post] = alerts(stage)
    assert (post["status"], post["count"], post["organization_id"]) == ("not_configured", 2, None)
    assert "people.example" not in json.dumps(post)


def test_two_sweeps_at_once_report_a_problem_once(stage: Stage) -> None:
    """The second statement waits for the row of the first, and finds that it is reported."""
    stage.organization()
    stage.contact(1)
    stage.outside.secrets["DELIVERY_MODE"] = "live"
    stage.send(stage.message(1))
    first, second = stage.ports(), stage.ports()
    now = stage.outside.now
    with first.db.transaction(), ThreadPoolExecutor(1) as pool:
        found = claim_alerts(first.db, 20, now)
        other = pool.submit(claim_alerts, second.db, 20, now)
        while not stage.db.rows("select 1 from pg_locks where not granted"):
            assert not other.done()
        first.db.execute("commit")
        first.db.execute("begin")
        assert (len(found), len(other.result())) == (1, 0)
    first.db.close()
    second.db.close()
