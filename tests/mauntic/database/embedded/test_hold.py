"""Who still uses the embedded server, while its guard ends it."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO, Any

import pytest

from mauntic.database.embedded import hold
from mauntic.database.embedded.hold import Use


@pytest.fixture
def users(tmp_path: Path) -> Path:
    file = tmp_path / "users"
    file.touch(mode=0o600)
    return file


def test_another_user_remains_until_it_ends_too(users: Path) -> None:
    first, second = Use(users), Use(users)
    assert first.begin(1)
    assert second.begin(1)
    assert first.end()
    assert not second.end()


def test_a_guard_that_ends_the_server_at_that_moment_is_no_user(
    users: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the file exclusively at the first try, and has released it at the second."""
    use = Use(users)
    assert use.begin(1)
    guard: IO[Any] = users.open("a")
    original = hold._is_locked

    def is_locked(file: IO[str], lock_type: int) -> bool:
        if not guard.closed:
            fcntl.flock(guard, fcntl.LOCK_EX)
            found = original(file, lock_type)
            guard.close()
            return found
        return original(file, lock_type)

    monkeypatch.setattr(hold, "_is_locked", is_locked)
    assert not use.end()
