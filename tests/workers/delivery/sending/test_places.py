"""Places of the warm-up: none is lost where a message does not go, and none is used twice."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest

from delivery.sending import places
from tests.fake_r2 import FakeR2
from tests.workers.delivery.provider import Postmark
from tests.workers.delivery.stage import NOW, Stage


@pytest.fixture
def provider(stage: Stage) -> Postmark:
    """An organization with a new domain that sends through Postmark."""
    found = Postmark()
    stage.outside.http = found
    stage.outside.secrets["DELIVERY_MODE"] = "live"
    stage.organization()
    stage.domain(age_days=0)
    stage.config()
    for number in (1, 2):
        stage.contact(number)
    return found


def used(stage: Stage, day: date) -> int:
    bucket = stage.outside.buckets["WARMUP_R2"]
    assert isinstance(bucket, FakeR2)
    return sum(
        json.loads(text)["used"]
        for key, (text, _) in bucket.objects.items()
        if day.isoformat() in key
    )


def test_a_message_whose_content_cannot_be_made_gives_its_place_back(
    stage: Stage, provider: Postmark
) -> None:
    message = stage.message(1, 1, content={"subject": "{{#if}}", "text": "B"})
    stage.send(message)
    assert stage.state(message) == ("failed", "template")
    assert used(stage, NOW.date()) == 0


def test_a_message_that_waits_for_a_setting_takes_one_place(
    stage: Stage, provider: Postmark
) -> None:
    """It is tried every fifteen minutes: each try must not use up a place."""
    del stage.outside.secrets["HOOKS_BASE_URL"]
    message = stage.message()
    for _ in range(3):
        stage.send(message)
        assert stage.state(message) == ("deferred", "not_configured")
        stage.later(minutes=15)
    assert used(stage, NOW.date()) == 1
    stage.outside.secrets["HOOKS_BASE_URL"] = "https://hooks.example"
    stage.send(message)
    assert stage.state(message)[0] == "sent"
    assert used(stage, NOW.date()) == 1


def test_a_message_that_waits_for_a_setting_over_midnight_gives_its_place_back(
    stage: Stage, provider: Postmark
) -> None:
    stage.outside.now = NOW.replace(hour=23, minute=50)
    stage.domain(age_days=0)
    del stage.outside.secrets["HOOKS_BASE_URL"]
    message = stage.message()
    stage.send(message)
    assert stage.row(message)["warmup_day"] is None
    assert used(stage, NOW.date()) == 0


def test_a_place_of_yesterday_is_not_given_back_today(stage: Stage, provider: Postmark) -> None:
    """Midnight passes between the decision and the release: today's count would be too low."""
    stage.outside.now = NOW.replace(hour=23, minute=59, second=59)
    stage.domain(age_days=0)
    message, other = stage.message(1), stage.message(2)
    provider.answer = lambda messages: "slow_down"
    stage.send(message)
    assert used(stage, NOW.date()) == 1
    stage.outside.now = NOW.replace(hour=23, minute=59, second=59)
    stage.db.execute(
        "update delivery.messages set not_before = :now where id = :id",
        now=stage.outside.now,
        id=message,
    )
    stage.db.rows(
        "select delivery.suppress(organization_id, 'p1@people.example')"
        " from delivery.messages where id = :id",
        id=message,
    )
    found = stage.claim(message)
    assert sum(found.places_back.values()) == 1
    stage.outside.now = NOW + timedelta(days=1)
    provider.answer = lambda messages: "accept"
    stage.send(other)
    tomorrow = stage.outside.now.date()
    assert used(stage, tomorrow) == 1
    ports = stage.ports()
    stage.run(places.give_back(found.places_back, ports))
    ports.db.close()
    assert used(stage, tomorrow) == 1
