"""The message that the platform publishes today, in the queue of its channel and elsewhere."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from delivery.domain.messages import SendMessage
from delivery.jobs.send_message import send_message
from shared.outcome import Dead, Done
from tests.workers.delivery.stage import Stage, org, person


def message(channel: str, key: str) -> SendMessage:
    data: dict[str, Any] = {
        "organizationId": str(org()), "channel": channel, "contactId": str(person(1)),
        "templateId": str(uuid4()), "idempotencyKey": key,
    }  # fmt: skip
    return SendMessage.model_validate({"type": "delivery.SendMessage", "data": data})


@pytest.mark.parametrize("own", ["email", "sms", "push"])
def test_a_message_is_inserted_from_the_queue_of_its_channel_alone(stage: Stage, own: str) -> None:
    stage.organization()
    stage.contact()
    channels = ("email", "sms", "push")
    ports = replace(stage.ports(), queue_name=f"mauntic-send-{own}")
    messages = [message(channel, channel) for channel in channels]
    outcomes = asyncio.run(send_message(messages, ports))
    ports.db.close()
    for channel, outcome in zip(channels, outcomes, strict=True):
        if channel == own:
            assert isinstance(outcome, Done)
        else:
            assert isinstance(outcome, Dead)
            assert outcome.reason == "wrong_queue"
            assert outcome.error_text.endswith(f"belongs in mauntic-send-{channel}")
    rows = stage.db.rows("select channel, idempotency_key from delivery.messages")
    assert rows == [{"channel": own, "idempotency_key": own}]
