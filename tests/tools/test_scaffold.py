"""Files are created all together or not at all, at any failure and any interruption."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.scaffold import CannotCreate, Change, apply


def tree(root: Path) -> dict[str, bytes | None]:
    """Every path below the folder; None for a folder."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes() if path.is_file() else None
        for path in root.rglob("*")
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "page.md").write_bytes(b"old")
    (tmp_path / "taken").write_bytes(b"a file, not a folder")
    return tmp_path


NEW = Change(Path("a/b/new.py"), None, b"new")
CHANGED = Change(Path("page.md"), b"old", b"changed")


def test_all_changes_are_made(root: Path) -> None:
    (root / "page.md").chmod(0o640)
    apply([NEW, CHANGED], root)
    assert tree(root)["a/b/new.py"] == b"new"
    assert tree(root)["page.md"] == b"changed"
    assert (root / "page.md").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("last", "cause"),
    [
        (Change(Path("taken/x.py"), None, b"x"), "File exists"),
        (Change(Path("a"), None, b"x"), "edited in the meantime|Is a directory"),
        (Change(Path("page.md"), b"older", b"x"), "page.md was edited in the meantime"),
        (Change(Path("gone.md"), b"was there", b"x"), "gone.md was edited in the meantime"),
    ],
)
def test_if_one_change_fails_the_others_are_undone(root: Path, last: Change, cause: str) -> None:
    before = tree(root)
    with pytest.raises(CannotCreate, match=cause) as refusal:
        apply([NEW, CHANGED, last], root)
    assert "Nothing was changed" in str(refusal.value)
    assert tree(root) == before


class Interrupted(list[Change]):
    """Changes, and a Ctrl-C after the first of them."""

    def __iter__(self) -> Iterator[Change]:
        first, *rest = super().__iter__()
        yield first
        os.kill(os.getpid(), signal.SIGINT)
        yield from rest


@pytest.fixture
def listening() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt: a process in the background of a shell ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("listening")
def test_ctrl_c_between_two_changes_comes_after_the_last(root: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        apply(Interrupted([NEW, CHANGED]), root)
    assert tree(root)["a/b/new.py"] == b"new"
    assert tree(root)["page.md"] == b"changed"


class InterruptedElsewhere(Interrupted):
    """Changes, and a Ctrl-C that the system gives to another thread."""

    def __iter__(self) -> Iterator[Change]:
        first, *rest = list.__iter__(self)
        yield first
        ends = threading.Event()
        thread = threading.Thread(target=ends.wait)
        thread.start()
        signal.pthread_kill(thread.ident or 0, signal.SIGINT)
        ends.set()
        thread.join()
        yield from rest


@pytest.mark.usefixtures("listening")
def test_ctrl_c_that_another_thread_receives_comes_after_the_last_too(root: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        apply(InterruptedElsewhere([NEW, CHANGED]), root)
    assert tree(root)["page.md"] == b"changed"
