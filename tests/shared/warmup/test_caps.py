"""The caps of warm-up, and their slices."""

from __future__ import annotations

import pytest

from shared.warmup.caps import cap, slices


def test_caps_are_those_of_the_table_and_straight_between() -> None:
    assert [cap(day) for day in (1, 2, 3, 4, 5, 7, 10, 14, 21, 30)] == [
        50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000,
    ]  # fmt: skip
    assert [cap(day) for day in (6, 8, 9, 11, 13, 15, 22, 29)] == [
        1_750, 3_333, 4_166, 6_250, 8_750, 12_142, 27_777, 47_222,
    ]  # fmt: skip
    assert cap(31) is None


def test_there_is_no_day_before_the_first() -> None:
    with pytest.raises(ValueError, match="no day 0"):
        cap(0)


@pytest.mark.parametrize("warmup_day", range(1, 31))
def test_slices_sum_to_the_cap_and_take_a_batch(warmup_day: int) -> None:
    most = cap(warmup_day)
    assert most is not None
    parts = slices(most)
    assert sum(parts) == most
    assert max(parts) - min(parts) <= 1
    assert min(parts) >= min(most, 100)
    assert len(parts) == min(16, max(1, most // 100))
