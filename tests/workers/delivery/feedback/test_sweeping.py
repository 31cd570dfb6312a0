"""Events that wait for their message, addresses that bounce again and again, and rates of a day."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from delivery.domain.verdict import Verdict
from delivery.feedback.sweeping import sweep
from mauntic.operations.deliveries import resume_organization
from shared.windows import Window
from tests.workers.delivery.feedback.hooks import (
    POSTMARK,
    activities,
    deliver,
    postmark,
    suppressions,
    webhook,
)
from tests.workers.delivery.stage import NOW, Stage, org

MAIL = "p1@people.example"
DAY = timedelta(days=1)


@pytest.fixture
def ready(stage: Stage) -> Stage:
    stage.organization()
    stage.contact()
    return stage


def run(stage: Stage, minute: int = 30) -> int:
    """The sweep of a window that ends at that minute of the hour."""
    end = stage.outside.now.replace(minute=minute, second=0, microsecond=0)
    ports = stage.ports()
    try:
        return stage.run(sweep(Window(end - timedelta(minutes=5), end), ports))
    finally:
        ports.db.close()


def waiting(stage: Stage) -> int:
    [row] = stage.db.rows("select count(*) as count from delivery.unmatched_events")
    return int(row["count"])


def logged(stage: Stage, name: str) -> list[Any]:
    return [event for event in stage.outside.events if event["event"] == name]


# -- events without a message


def early_event(stage: Stage) -> tuple[UUID, Any]:
    """An event with the provider's id alone, which comes before the verdict that has it."""
    config = stage.config(secrets=POSTMARK)
    message = stage.message()
    begun = stage.begin(stage.claim(message), config)
    stage.later(seconds=2)
    body = postmark("Delivery", DeliveredAt=stage.outside.now.isoformat())
    deliver(stage, webhook(config, body, stage.outside.now))
    return message, begun


def test_an_event_is_matched_once_the_verdict_is_written(ready: Stage) -> None:
    message, begun = early_event(ready)
    assert run(ready) == 0
    assert waiting(ready) == 1
    ready.settle(begun, Verdict("accepted", provider_message_id="pm-1"))
    assert run(ready) == 1
    assert waiting(ready) == 0
    assert ready.row(message)["delivered_at"] is not None
    assert activities(ready) == [("email_delivered", f"msg:{message}:delivered")]
    assert run(ready) == 0


def test_an_older_event_is_tried_once_an_hour_and_expires_after_seven_days(ready: Stage) -> None:
    message, begun = early_event(ready)
    ready.settle(begun, Verdict("accepted", provider_message_id="pm-1"))
    ready.later(hours=2)
    assert run(ready, minute=30) == 0
    assert run(ready, minute=0) == 1
    assert ready.row(message)["delivered_at"] is not None
    config = ready.config(secrets=POSTMARK)
    deliver(ready, webhook(config, postmark("Delivery", MessageID="?"), ready.outside.now))
    ready.later(days=6, hours=23)
    assert run(ready) == 0
    ready.later(hours=1)
    assert run(ready) == 1
    assert waiting(ready) == 0
    [event] = logged(ready, "feedback.expired")
    assert event["count"] == 1


def test_events_of_each_hour_of_the_seven_days_are_tried(ready: Stage) -> None:
    """A statement reads one hour: all of them at once can be millions of rows."""
    message, begun = early_event(ready)
    ready.settle(begun, Verdict("accepted", provider_message_id="pm-1"))
    ages = [timedelta(), timedelta(hours=1), timedelta(hours=100), 7 * DAY - timedelta(seconds=1)]
    ready.later(hours=1)
    ready.outside.now = ready.outside.now.replace(minute=0)
    ready.db.execute(
        "insert into delivery.unmatched_events (provider_config_id, event_id, body, received_at)"
        " select provider_config_id, event_id || n,"
        " body || jsonb_build_object('event_id', event_id || n), at"
        " from delivery.unmatched_events,"
        " unnest(cast(:times as timestamptz[])) with ordinality as given (at, n)",
        times=[ready.outside.now - age for age in ages],
    )
    assert run(ready, minute=0) == 5
    assert waiting(ready) == 0
    assert ready.row(message)["delivered_at"] is not None


def test_an_id_of_two_messages_names_neither(ready: Stage) -> None:
    """SendGrid gives one id to all messages of a call."""
    config = ready.config(secrets=POSTMARK)
    ready.contact(2)
    messages = [ready.message(1), ready.message(2)]
    begun = ready.begin(ready.claim(*messages), config)
    ready.settle(begun, Verdict("accepted", provider_message_id="pm-1"))
    deliver(ready, webhook(config, postmark("Delivery"), ready.outside.now))
    assert run(ready) == 0
    assert [ready.row(own)["delivered_at"] for own in messages] == [None, None]
    deliver(ready, webhook(config, postmark("Open", messages[1]), ready.outside.now))
    assert ready.row(messages[1])["opened_at"] is not None


# -- soft bounces


def reported(stage: Stage, kind: str, at: datetime, **columns: Any) -> UUID:
    """A message with an event, as `apply_events` leaves both."""
    is_bounced = kind == "bounced"
    own = {"bounced_at": at, "bounce_kind": "soft"} if is_bounced else {"delivered_at": at}
    message = stage.message(
        1, address=MAIL, state="sent", sent_at=at, finished_at=at, attempts=1,
        content=None, **{**own, **columns},
    )  # fmt: skip
    stage.db.execute(
        "insert into delivery.delivery_events (organization_id, channel, event_type, message_id,"
        " event_id, created_at) values (:org, 'email', :kind, :message, :key, :at)",
        org=org(), kind=kind, message=message, key=str(message), at=at,
    )  # fmt: skip
    return message


def test_three_soft_bounces_in_thirty_days_suppress_for_thirty_days(ready: Stage) -> None:
    for days in (29, 10):
        reported(ready, "bounced", NOW - days * DAY)
    run(ready)
    assert suppressions(ready) == []
    last = reported(ready, "bounced", NOW)
    run(ready)
    [row] = ready.db.rows("select * from delivery.suppressions")
    assert (row["address"], row["scope"], row["reason"]) == (MAIL, "all", "bounce")
    assert (row["expires_at"], row["message_id"]) == (NOW + 30 * DAY, last)
    assert row["source"] == "soft bounces"


@pytest.mark.parametrize(
    ("history", "is_suppressed"),
    [
        ([("bounced", 31), ("bounced", 10), ("bounced", 0)], False),
        ([("bounced", 20), ("delivered", 15), ("bounced", 10), ("bounced", 0)], False),
        ([("delivered", 25), ("bounced", 20), ("bounced", 10), ("bounced", 0)], True),
        (
            [("bounced", 28), ("delivered", 20), ("bounced", 9), ("bounced", 8), ("bounced", 0)],
            True,
        ),
    ],
)
def test_a_delivery_begins_the_count_again(
    history: list[tuple[str, int]], is_suppressed: bool, ready: Stage
) -> None:
    for kind, days in history:
        reported(ready, kind, NOW - days * DAY)
    run(ready)
    assert bool(suppressions(ready)) is is_suppressed


def test_a_bounce_that_was_delivered_after_all_does_not_count(ready: Stage) -> None:
    reported(ready, "bounced", NOW - 3 * DAY)
    reported(ready, "bounced", NOW - 2 * DAY)
    reported(ready, "bounced", NOW, delivered_at=NOW + timedelta(minutes=1))
    run(ready)
    assert suppressions(ready) == []


def test_a_person_lifts_it_and_the_same_bounces_do_not_count_again(ready: Stage) -> None:
    for days in (2, 1, 0):
        reported(ready, "bounced", NOW - days * DAY)
    run(ready)
    ready.db.rows("select delivery.unsuppress(:org, :mail, 'email', 'note')", org=org(), mail=MAIL)
    reported(ready, "bounced", NOW)
    run(ready)
    assert suppressions(ready) == []


def test_an_address_without_a_contact_counts_too(ready: Stage) -> None:
    columns = {"contact_id": None, "class": "transactional"}
    for days in (2, 1, 0):
        reported(ready, "bounced", NOW - days * DAY, **columns)
    run(ready)
    assert suppressions(ready) == [("email", MAIL, "bounce", "all")]


# -- rates of a day


def happened(stage: Stage, kind: str, count: int, at: datetime, bounce: str = "") -> None:
    stage.db.execute(
        "insert into delivery.delivery_events (organization_id, channel, event_type, message_id,"
        " event_id, created_at, metadata)"
        " select :org, 'email', :kind, gen_random_uuid(), cast(gen_random_uuid() as text), :at,"
        " cast(:metadata as jsonb) from generate_series(1, :count)",
        org=org(), kind=kind, count=count, at=at,
        metadata=json.dumps({"bounceKind": bounce}),
    )  # fmt: skip


def paused(stage: Stage) -> str | None:
    [row] = stage.db.rows(
        "select marketing_paused_at, marketing_paused_reason from delivery.organization_settings"
    )
    assert (row["marketing_paused_at"] is None) == (row["marketing_paused_reason"] is None)
    return row["marketing_paused_reason"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("delivered", "complaints", "reason"),
    [(999, 900, None), (1_000, 3, None), (1_000, 4, "complaint_rate"), (2_000, 6, None)],
)
def test_complaints_of_a_day(
    delivered: int, complaints: int, reason: str | None, ready: Stage
) -> None:
    happened(ready, "delivered", delivered, NOW)
    happened(ready, "complained", complaints, NOW)
    run(ready)
    assert paused(ready) == reason


@pytest.mark.parametrize(
    ("delivered", "hard", "soft", "reason"),
    [
        (474, 25, 0, None),  # 499 outcomes
        (475, 25, 0, None),  # exactly 5 %
        (474, 26, 0, "bounce_rate"),
        (900, 40, 300, None),
        (0, 500, 0, "bounce_rate"),
    ],
)
def test_bounces_of_a_day(
    delivered: int, hard: int, soft: int, reason: str | None, ready: Stage
) -> None:
    happened(ready, "delivered", delivered, NOW)
    happened(ready, "bounced", hard, NOW, bounce="hard")
    happened(ready, "bounced", soft, NOW, bounce="soft")
    run(ready)
    assert paused(ready) == reason


def test_yesterday_does_not_count(ready: Stage) -> None:
    happened(ready, "delivered", 1_000, NOW)
    happened(ready, "complained", 50, NOW - DAY)
    run(ready)
    assert paused(ready) is None


def test_a_pause_stops_marketing_until_a_person_resumes_it(ready: Stage) -> None:
    happened(ready, "delivered", 1_000, NOW)
    happened(ready, "complained", 4, NOW)
    run(ready)
    run(ready)
    [alert] = logged(ready, "delivery.marketing_paused")
    assert (alert["organization_id"], alert["count"]) == (str(org()), 4)
    message = ready.message()
    columns: dict[str, Any] = {"class": "transactional"}
    receipt = ready.message(**columns)
    ready.send(message, receipt)
    assert ready.state(message) == ("deferred", "organization_paused")
    assert ready.state(receipt)[0] == "sent"
    ready.db.execute("update delivery.organization_settings set weight = 2")
    assert resume_organization(ready.db, org())
    ready.db.execute(
        "update delivery.organization_settings set marketing_resumed_at = :now", now=NOW
    )
    run(ready)
    assert paused(ready) is None, "what was before the decision does not count again"
    ready.later(hours=1)
    happened(ready, "complained", 4, ready.outside.now)
    happened(ready, "delivered", 1_000, ready.outside.now)
    run(ready)
    assert paused(ready) == "complaint_rate"


def test_an_organization_without_settings_is_paused_too(stage: Stage) -> None:
    happened(stage, "bounced", 500, NOW, bounce="hard")
    run(stage)
    assert paused(stage) == "bounce_rate"
