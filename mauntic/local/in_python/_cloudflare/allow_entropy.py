"""The number of requests for randomness that are currently allowed during an import."""

from collections.abc import Iterator
from contextlib import contextmanager

_allowed_calls = 0


def take_allowed_call() -> bool:
    """Use one allowed request; return False if there is none."""
    global _allowed_calls
    if _allowed_calls == 0:
        return False
    _allowed_calls -= 1
    return True


@contextmanager
def allow_bad_entropy_calls(calls: int) -> Iterator[None]:
    """Allow `calls` requests. Unlike in production, fewer requests are no error: in a second
    interpreter of the same process Rust's hash seeds may exist already.
    """
    global _allowed_calls
    before, _allowed_calls = _allowed_calls, calls
    try:
        yield
    finally:
        _allowed_calls = before
