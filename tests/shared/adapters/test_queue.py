"""The producer over a queue binding: lists of any length, within the limits of a call."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.queue import BATCH_BYTES_MAX, BATCH_MESSAGES_MAX, BoundQueue, cut
from shared.errors import QueueUnavailable, is_retryable
from tests.fakes import QueueBinding

BODIES = st.lists(st.builds(lambda n: {"text": "x" * n}, st.integers(0, 120_000)), max_size=12)


@given(bodies=BODIES, small=st.integers(0, 250))
def test_every_body_is_sent_once_and_in_order(bodies: list[dict[str, Any]], small: int) -> None:
    binding = QueueBinding()
    sent = bodies + [{"n": n} for n in range(small)]
    asyncio.run(BoundQueue(binding).send(sent, delay_s=5))
    assert binding.sent == sent
    assert set(binding.delays_s) <= {5}


@given(bodies=BODIES)
def test_parts_are_as_few_as_their_bytes_allow(bodies: list[dict[str, Any]]) -> None:
    sizes = [[len(json.dumps(body)) + 100 for body in part] for part in cut(bodies)]
    assert all(sum(part) <= BATCH_BYTES_MAX or len(part) == 1 for part in sizes)
    for part, after in itertools.pairwise(sizes):
        assert len(part) == BATCH_MESSAGES_MAX or sum(part) + after[0] > BATCH_BYTES_MAX


def test_nothing_to_send_is_no_call() -> None:
    binding = QueueBinding()
    binding.broken = OSError("no")
    asyncio.run(BoundQueue(binding).send([]))


def test_a_queue_that_fails_is_worth_another_try() -> None:
    binding = QueueBinding()
    binding.broken = RuntimeError("Queue send failed")
    with pytest.raises(QueueUnavailable, match="Queue send failed") as caught:
        asyncio.run(BoundQueue(binding).send([{}]))
    assert is_retryable(caught.value)
