"""Addresses that choose their answer, in the modes in which nothing is sent."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from delivery.domain.messages import ProviderEvents
from delivery.jobs.provider_events import provider_events
from delivery.providers.adapter import BadSignature, ProviderEvent, Webhook
from delivery.providers.capture import CAPTURE
from mauntic.project.host_crypto import HostCrypto
from shared.inbox import FEEDBACK_BINDING, decoded
from shared.outcome import Done
from tests.fakes import QueueBinding
from tests.workers.delivery.stage import NOW, Stage


@pytest.fixture
def feedback(stage: Stage) -> QueueBinding:
    """The queue of feedback; an organization without a provider."""
    stage.organization()
    found = stage.outside.producers[FEEDBACK_BINDING] = QueueBinding()
    return found


def to(stage: Stage, number: int, address: str, **columns: Any) -> UUID:
    stage.contact(number, email=address)
    return stage.message(number, 1, **columns)


def reported(feedback: QueueBinding) -> list[ProviderEvent]:
    """The events, as the consumer of the queue reads them."""
    found = []
    for body in feedback.sent:
        data = ProviderEvents.model_validate(body).data
        assert data.provider == "capture"
        assert data.body is not None
        webhook = Webhook(data.url, data.headers, decoded(data.body), data.received_at)
        found += asyncio.run(CAPTURE.events(webhook, {}, HostCrypto()))
    return found


@pytest.mark.parametrize(
    ("address", "kinds", "suppression"),
    [
        ("delivered@simulator.invalid", ["delivered"], None),
        ("bounce@a.simulator.invalid", ["bounced"], "bounce"),
        ("bounce+17@simulator.invalid", ["bounced"], "bounce"),
        ("soft@simulator.invalid", ["bounced"], None),
        ("complaint@simulator.invalid", ["delivered", "complained"], "complaint"),
        ("unsubscribe@b.simulator.invalid", ["delivered", "unsubscribed"], "unsubscribe"),
        ("open@simulator.invalid", ["delivered", "opened"], None),
        ("click@simulator.invalid", ["delivered", "opened", "clicked"], None),
        ("p1@simulator.invalid", [], None),
        ("bounce@simulator.invalid.example", [], None),
        ("bounce@notsimulator.invalid", [], None),
    ],
)
def test_an_address_chooses_what_is_reported(
    address: str, kinds: list[str], suppression: str | None, stage: Stage, feedback: QueueBinding
) -> None:
    message = to(stage, 1, address)
    stage.send(message)
    assert stage.state(message)[0] == "sent"
    events = reported(feedback)
    assert [event.kind for event in events] == kinds
    assert {event.message_id for event in events} <= {str(message)}
    assert {event.suppression for event in events} - {None} == ({suppression} - {None})
    assert [event.is_hard for event in events] == [address.startswith("bounce")] * len(events)


def test_a_second_report_has_the_same_events(stage: Stage, feedback: QueueBinding) -> None:
    """A call that is unknown and repeated reports the message twice, with the same ids."""
    own = to(
        stage, 1, "timeout@simulator.invalid", on_uncertain="retry", **{"class": "transactional"}
    )
    for _ in range(2):
        stage.send(own)
        assert stage.state(own)[0] == "uncertain"
        stage.later(minutes=11)
        stage.sweep()
    ids = [event.event_id for event in reported(feedback)]
    assert ids == [f"capture:{own}:delivered"] * 2


def test_a_whole_calls_answer_concerns_no_other_message(
    stage: Stage, feedback: QueueBinding
) -> None:
    words = ("throttle", "busy", "timeout", "lost", "reject", "delivered", "p")
    messages = {
        word: to(stage, number, f"{word}@simulator.invalid") for number, word in enumerate(words)
    }
    stage.send(*messages.values())
    states = {word: stage.state(own) for word, own in messages.items()}
    assert states == {
        "throttle": ("deferred", "429"),
        "busy": ("deferred", "503"),
        "timeout": ("uncertain", "timeout"),
        "lost": ("uncertain", "lost"),
        "reject": ("failed", "550"),
        "delivered": ("sent", None),
        "p": ("sent", None),
    }
    sizes = stage.db.rows("select message_count from delivery.calls order by message_count")
    assert [row["message_count"] for row in sizes] == [1, 1, 1, 1, 3]
    kept = {key.rpartition("/")[2] for key in stage.captured if "/calls/" not in key}
    assert kept == {str(messages[word]) for word in ("timeout", "delivered", "p")}
    assert sum("/calls/" in key for key in stage.captured) == 5
    assert {event.message_id for event in reported(feedback)} == {
        str(messages[word]) for word in ("timeout", "delivered")
    }


def test_the_third_call_of_a_throttled_address_is_accepted(
    stage: Stage, feedback: QueueBinding
) -> None:
    message = to(stage, 1, "throttle@simulator.invalid")
    seen = []
    for _ in range(3):
        stage.send(message)
        seen.append(stage.state(message)[0])
        stage.later(minutes=10)
    assert seen == ["deferred", "deferred", "sent"]


def test_a_busy_address_is_held_after_three_retries(stage: Stage, feedback: QueueBinding) -> None:
    message = to(stage, 1, "busy@simulator.invalid")
    for _ in range(4):
        stage.send(message)
        stage.later(minutes=16)
        stage.db.execute("update delivery.provider_configs set paused_until = null")
    assert (stage.state(message)[0], len(stage.attempts(message))) == ("held", 4)
    assert reported(feedback) == []


def test_a_configs_events_name_it(stage: Stage, feedback: QueueBinding) -> None:
    config = stage.config()
    stage.send(to(stage, 1, "delivered@simulator.invalid"))
    [body] = feedback.sent
    assert body["data"]["providerConfigId"] == str(config)


@pytest.mark.parametrize("mode", ["shadow", "live"])
def test_outside_of_the_mode_local_an_address_chooses_nothing(
    mode: str, stage: Stage, feedback: QueueBinding
) -> None:
    stage.outside.secrets["DELIVERY_MODE"] = mode
    message = to(stage, 1, "reject@simulator.invalid")
    stage.send(message)
    expected = {"shadow": ("skipped", "captured"), "live": ("deferred", "no_provider")}
    assert stage.state(message) == expected[mode]
    assert feedback.sent == []


def test_a_report_reads_no_other_webhook() -> None:
    webhook = Webhook("", {}, b'{"a": 1}', NOW)
    with pytest.raises(BadSignature, match="no report"):
        asyncio.run(CAPTURE.events(webhook, {}, HostCrypto()))


def consume(stage: Stage, feedback: QueueBinding) -> None:
    """The consumer of feedback takes each message twice."""
    ports = stage.ports()
    messages = [ProviderEvents.model_validate(body) for body in feedback.sent] * 2
    outcomes = stage.run(provider_events(messages, ports))
    ports.db.close()
    assert all(isinstance(own, Done) for own in outcomes)


@pytest.mark.parametrize("has_config", [True, False])
def test_what_is_reported_takes_effect(
    has_config: bool, stage: Stage, feedback: QueueBinding
) -> None:
    """A bounce becomes a suppression, and a report proves the message without an answer."""
    if has_config:
        stage.config()
    words = ("bounce", "soft", "complaint", "unsubscribe", "click", "timeout", "lost")
    messages = {
        word: to(stage, number, f"{word}@simulator.invalid") for number, word in enumerate(words)
    }
    stage.send(*messages.values())
    consume(stage, feedback)
    rows = {word: stage.row(own) for word, own in messages.items()}
    assert {word for word, row in rows.items() if row["state"] == "sent"} == {*words} - {"lost"}
    assert rows["lost"]["state"] == "uncertain"
    assert (rows["bounce"]["bounce_kind"], rows["soft"]["bounce_kind"]) == ("hard", "soft")
    assert rows["click"]["clicked_at"] is not None
    assert rows["timeout"]["delivered_at"] is not None
    suppressed = stage.db.rows("select address, reason, scope from delivery.suppressions")
    assert {
        (own["address"].partition("@")[0], own["reason"], own["scope"]) for own in suppressed
    } == {
        ("bounce", "bounce", "all"),
        ("complaint", "complaint", "all"),
        ("unsubscribe", "unsubscribe", "marketing"),
    }
    counts = stage.db.rows(
        "select kind, count(*) as count from delivery.platform_outbox group by kind order by kind"
    )
    assert {row["kind"]: row["count"] for row in counts} == {
        "bounced": 2, "clicked": 1, "complained": 1, "delivered": 4, "opened": 1, "sent": 6,
        "unsubscribed": 1,
    }  # fmt: skip
