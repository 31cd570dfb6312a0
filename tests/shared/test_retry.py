"""The delay before the next try."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.retry import ceiling_s, delay_s


@given(attempts=st.integers(1, 1_000), drawn=st.floats(0, 1, exclude_max=True))
def test_a_delay_is_between_zero_and_the_curve(attempts: int, drawn: float) -> None:
    assert 0 <= delay_s(attempts, lambda: drawn) <= min(900, 10 * 2 ** (attempts - 1))


def test_the_jitter_is_full() -> None:
    """All delays up to the ceiling occur, none much more often than another."""
    drawn = [delay_s(3, lambda: n / 4_000) for n in range(4_000)]  # noqa: B023 (used at once)
    assert set(drawn) == set(range(41))
    assert abs(sum(drawn) / len(drawn) - 20) < 0.1


def test_the_ceiling_doubles_and_ends_at_a_quarter_of_an_hour() -> None:
    assert [ceiling_s(n) for n in range(1, 9)] == [10, 20, 40, 80, 160, 320, 640, 900]
