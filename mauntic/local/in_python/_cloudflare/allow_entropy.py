"""How many requests for randomness are allowed just now, while a worker is being imported."""

from collections.abc import Iterator
from contextlib import contextmanager

_allowed_calls = 0


def take_allowed_call() -> bool:
    """Use up one allowed request; False if there is none."""
    global _allowed_calls
    if _allowed_calls == 0:
        return False
    _allowed_calls -= 1
    return True


@contextmanager
def allow_bad_entropy_calls(calls: int) -> Iterator[None]:
    """Let `calls` requests through. Unlike production, fewer than that are no error here: a second
    interpreter of the same process may find Rust's hash seeds in place."""
    global _allowed_calls
    before, _allowed_calls = _allowed_calls, calls
    try:
        yield
    finally:
        _allowed_calls = before
