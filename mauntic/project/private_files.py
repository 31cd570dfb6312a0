"""Files and directories that only their owner can read, created without following links.

Standard library only: programs that run before setup use it too.
"""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

HOME_MODE, ROOT_HOME_MODE = 0o700, 0o711  # root's has one folder of the server's account
FILE_MODE = 0o600


def make_home(home: Path) -> None:
    """Create `.local`, or close it if an earlier version left it open."""
    mode = ROOT_HOME_MODE if os.geteuid() == 0 else HOME_MODE
    home.mkdir(mode=mode, parents=True, exist_ok=True)
    handle = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if os.fstat(handle).st_uid == os.geteuid():
            os.fchmod(handle, mode)
    finally:
        os.close(handle)


def open_private(path: Path, flags: int = 0) -> int:
    """Open a file of this account and create it if it is missing. Raise OSError for a link or a
    file of another account.
    """
    handle = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    try:
        if os.fstat(handle).st_uid != os.geteuid():
            raise PermissionError(f"{path} belongs to another account: remove it.")
        os.fchmod(handle, FILE_MODE)
    except BaseException:
        os.close(handle)
        raise
    return handle


def write_private(path: Path, text: str) -> None:
    """Replace the file atomically: a reader sees the old text or the new one."""
    new = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, FILE_MODE)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def read_private(path: Path, owners: frozenset[int] = frozenset()) -> str:
    """Return the content of a file that belongs to this account or one of `owners`; never follow a
    link.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, encoding="utf-8") as file:
        status = os.fstat(handle)
        is_plain = stat.S_ISREG(status.st_mode) and status.st_nlink == 1
        if not is_plain or status.st_uid not in {os.geteuid(), *owners}:
            raise PermissionError(f"{path} belongs to another account: remove it.")
        return file.read()


def take_over(home: Path, names: tuple[str, ...], owners: frozenset[int]) -> None:
    """Make root the owner of a directory, and of its files, in which other accounts could write.

    The directory comes first: afterwards no other account can put a link or a file there. The
    content of a plain file of `names` is kept; a link is removed.
    """
    handle = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.fchown(handle, os.geteuid(), os.getegid())
        os.fchmod(handle, ROOT_HOME_MODE)
    finally:
        os.close(handle)
    for name in names:
        text = None
        with suppress(OSError, UnicodeDecodeError):
            text = read_private(home / name, owners)
        with suppress(FileNotFoundError):
            (home / name).unlink()
        if text is not None:
            write_private(home / name, text)
