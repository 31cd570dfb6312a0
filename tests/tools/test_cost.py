"""The cost of messages, compared with sums computed by hand."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mauntic.project.programs import ROOT
from tools.cost import PAGE, amounts, costs_usd, cron_messages, page, read_figures
from tools.usage import Usage


def test_a_million_small_messages_in_batches() -> None:
    """3 operations each; 10,000 invocations; 1 ms, 400 bytes of log and a point each."""
    costs = costs_usd(Usage("x", batch=100, cpu_ms=1, log_bytes=400))
    assert costs["queue operations"] == pytest.approx(1.20)
    assert costs["invocations"] == pytest.approx(0.003)
    assert costs["CPU milliseconds"] == pytest.approx(0.02)
    assert costs["logs, taken in"] == pytest.approx(0.10)  # 0.4 GB
    assert costs["logs, kept seven days"] == pytest.approx(0.4 * 0.10 * 7 / 30)
    assert costs["Analytics Engine points"] == pytest.approx(0.25)


def test_a_large_message_counts_by_chunks_of_64_kb() -> None:
    """Of 64,000 bytes, a hundred of them the queue's own."""
    for size, operations in ((63_900, 3), (63_901, 6), (127_901, 9)):
        usage = Usage("x", batch=1, cpu_ms=0, message_bytes=size)
        assert amounts(usage, messages=1)["queue operations"] == operations


@given(batch=st.integers(1, 100), cpu_ms=st.floats(0, 1_000), messages=st.integers(0, 10**9))
def test_costs_grow_with_messages_and_never_with_the_batch(
    batch: int, cpu_ms: float, messages: int
) -> None:
    usage = Usage("x", batch=batch, cpu_ms=cpu_ms)
    total = sum(costs_usd(usage, messages).values())
    assert sum(costs_usd(usage, messages + 1).values()) > total
    alone = Usage("x", batch=1, cpu_ms=cpu_ms)
    assert sum(costs_usd(alone, messages).values()) >= total


def test_operations_beyond_one_message_are_counted() -> None:
    """Two queue messages, three points, a request, and an object that is written and read."""
    usage = Usage(
        "x", batch=10, cpu_ms=0, log_bytes=0,
        queue_messages=2, points=3, requests=1, r2_writes=1, r2_reads=1,
    )  # fmt: skip
    costs = {part: usd for part, usd in costs_usd(usage).items() if usd}
    assert costs == pytest.approx(
        {
            "queue operations": 2.40,
            "invocations": 0.36,  # a fifth of one for the queue, and the request
            "Analytics Engine points": 0.75,
            "R2 class A": 4.50,
            "R2 class B": 0.36,
        }
    )


def fires(cron: str, at: datetime) -> bool:
    """Whether a cron fires in this minute. Its fields are numbers, `*` and `*/n`."""
    values = (at.minute, at.hour, at.day, at.month, at.isoweekday())
    for field, value in zip(cron.split(), values, strict=True):
        every = int(field[2:]) if field.startswith("*/") else 1
        if value % every if field.startswith("*") else value != int(field):
            return False
    return True


def test_the_crons_of_thirty_days() -> None:
    """Each minute of April, for each cron in README's table of schedules."""
    crons = re.findall(r"^\| `([^`]+)` \| mauntic-", (ROOT / "README.md").read_text("utf-8"), re.M)
    minutes = [datetime(2026, 4, 1, tzinfo=UTC) + timedelta(minutes=n) for n in range(30 * 1_440)]
    assert len(crons) >= 11
    assert cron_messages() == sum(fires(cron, at) for cron in crons for at in minutes)


def test_the_page_is_what_the_script_makes() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make cost`"


def test_every_kind_was_measured() -> None:
    known, usages = read_figures()
    assert known["measured_on"] >= "2026-11-24"
    assert len(usages) == 8
    parts = [part for part in costs_usd(usages[0]) if not part.startswith("R2")]
    assert all(costs_usd(one)[part] > 0 for one in usages for part in parts)
    assert all(one.log_lines >= 1 for one in usages), "every message has a line"
    assert all(one.cpu_ms > 0 and one.log_bytes > 0 and one.message_bytes > 0 for one in usages)
