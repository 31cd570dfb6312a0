"""Root gives no power to the account of its embedded server, nor to any other account."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from mauntic.database.embedded import pidfile
from mauntic.database.embedded.account import OWN_ACCOUNT, Account, account_for, temporary_directory
from mauntic.database.embedded.server import Server
from mauntic.database.url import DatabaseUnavailable, connect
from mauntic.project.private_files import make_home, open_private, read_private, write_private
from tests.accounts import STRANGER, as_stranger, needs_root

pytestmark = needs_root

SECRET = "root's own\n"


@pytest.fixture
def home() -> Iterator[Path]:
    directory = temporary_directory(account_for(None))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A file of root's that a link may point to."""
    path = tmp_path / "shadow"
    path.write_text(SECRET)
    path.chmod(0o600)
    return path


def is_untouched(path: Path) -> bool:
    status = path.stat()
    mode = stat.S_IMODE(status.st_mode)
    return (path.read_text(), status.st_uid, mode) == (SECRET, 0, 0o600)


def accounts() -> set[int]:
    """The accounts that a server may run under."""
    return {account_for(None).uid or 0, pwd.getpwnam("nobody").pw_uid}


def test_only_the_data_belongs_to_the_servers_account(home: Path) -> None:
    with Server(home, durable=False) as server:
        with closing(connect(server.url)) as connection:
            assert connection.run("select 1") == [[1]]
        owners = {path.name: path.lstat().st_uid for path in home.iterdir()}
        assert owners.pop("data") in accounts()
        assert set(owners.values()) == {0}
        modes = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in home.iterdir()}
        assert modes.pop("data") == 0o700
        assert set(modes.values()) == {0o600}, modes
        assert (home.stat().st_uid, stat.S_IMODE(home.stat().st_mode)) == (0, 0o711)


def test_the_server_has_an_account_of_its_own(home: Path) -> None:
    with Server(home, durable=False):
        running = pidfile.read(home.resolve() / "data")
        assert running is not None
        entry = pwd.getpwnam(OWN_ACCOUNT)
        assert psutil.Process(running.pid).uids().real == entry.pw_uid
        assert entry.pw_shell.endswith("nologin")


PLANT = """
import itertools
home, target = map(pathlib.Path, sys.argv[1:])
end = time.monotonic() + 4
made = 0
while time.monotonic() < end:
    for name in ("password", "password.lent", "server.log", "users", "lock", "data.new", "data"):
        for act in (lambda path: path.unlink(), lambda path: path.symlink_to(target)):
            try:
                act(home / name)
                made += 1
            except OSError:
                pass
print(made)
"""


def planted(account: Account, home: Path, target: Path) -> str:
    """The changes that the account makes in four seconds of planting links, as its server's SQL
    could.
    """
    drop = f"os.setgroups([]); os.setgid({account.gid}); os.setuid({account.uid})\n"
    program = "import os, pathlib, sys, time\n" + drop + PLANT
    done = subprocess.run(
        [sys.executable, "-IS", "-c", program, str(home), str(target)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.mark.parametrize("first", [True, False])
def test_links_that_the_servers_account_plants_lead_nowhere(
    home: Path, target: Path, first: bool
) -> None:
    """While root initializes, starts and stops the server repeatedly."""
    if not first:
        with Server(home, durable=False):
            pass
    made: list[str] = []
    hostile = threading.Thread(
        target=lambda: made.append(planted(account_for(home / "data"), home, target))
    )
    hostile.start()
    while hostile.is_alive():
        with Server(home, durable=False) as server:
            assert "@127.0.0.1:" in server.url
    hostile.join()
    assert made == ["0"]
    assert is_untouched(target)


def earlier(home: Path, account: Account) -> None:
    """A directory of an earlier version: all of it belongs to the account."""
    with Server(home, durable=False):
        pass
    for path in (home, *home.rglob("*")):
        os.chown(path, account.uid or 0, account.gid or 0)


@pytest.mark.parametrize("name", ["password", "server.log", "users", "lock"])
def test_an_earlier_directory_is_taken_over_without_what_was_planted(
    home: Path, target: Path, name: str
) -> None:
    unprivileged = pwd.getpwnam("nobody")
    earlier(home, Account(unprivileged.pw_uid, unprivileged.pw_gid))
    (home / name).unlink()
    (home / name).symlink_to(target)
    if name == "password":  # the old password is lost, and no file of root's is offered instead
        with pytest.raises((DatabaseUnavailable, OSError)):
            Server(home, durable=False).start()
    else:
        with Server(home, durable=False):
            assert home.stat().st_uid == 0
    assert is_untouched(target)


def test_an_earlier_directory_keeps_its_data(home: Path) -> None:
    with Server(home, durable=False) as server, closing(connect(server.url)) as connection:
        connection.run("create table kept as select 42 as value")
    earlier(home, account_for(home / "data"))
    with Server(home, durable=False) as server, closing(connect(server.url)) as connection:
        assert connection.run("select value from kept") == [[42]]


def test_a_directory_of_another_account_is_refused(home: Path) -> None:
    os.chown(home, STRANGER.pw_uid, STRANGER.pw_gid)
    with pytest.raises(DatabaseUnavailable, match="belongs to another account"):
        Server(home, durable=False).start()


@pytest.mark.parametrize("kind", ["link", "fifo", "foreign", "garbage"])
def test_a_pid_file_is_believed_only_where_the_account_wrote_it(
    tmp_path: Path, target: Path, kind: str
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    pid_file = data / "postmaster.pid"
    if kind == "link":
        target.write_text(f"{os.getpid()}\n\n\n5432\n")
        pid_file.symlink_to(target)
    elif kind == "fifo":
        os.mkfifo(pid_file)
    else:
        text = f"{os.getpid()}\n\n\n5432\n" if kind == "foreign" else "\x00x\n" * 9_999
        pid_file.write_text(text)
        os.chown(data, STRANGER.pw_uid, STRANGER.pw_gid)
        os.chown(pid_file, STRANGER.pw_uid, STRANGER.pw_gid)
    assert pidfile.read(data) is None


def test_a_pid_file_is_read_through_no_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if the processes confirm it."""
    monkeypatch.setattr(pidfile, "serves", lambda pid, data: True)
    written, pid_file = tmp_path / "written", tmp_path / "postmaster.pid"
    written.write_text(f"{os.getpid()}\n\n\n5432\n")
    pid_file.symlink_to(written)
    assert pidfile.read(tmp_path) is None
    written.replace(pid_file)
    assert pidfile.read(tmp_path) == pidfile.Postmaster(os.getpid(), 5432, False)


def test_a_private_file_has_one_name(tmp_path: Path) -> None:
    """Another account may create a second name of a file, where it may write."""
    (tmp_path / "ours").write_text("ours")
    (tmp_path / "second").hardlink_to(tmp_path / "ours")
    with pytest.raises(PermissionError):
        read_private(tmp_path / "second")


def test_a_private_file_is_no_link_and_belongs_to_this_account(
    tmp_path: Path, target: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(target)
    for attempt in (open_private, read_private):
        with pytest.raises(OSError, match="link"):
            attempt(link)
    write_private(link, "ours")
    assert (link.read_text(), link.is_symlink()) == ("ours", False)
    os.chown(link, STRANGER.pw_uid, STRANGER.pw_gid)
    for attempt in (open_private, read_private):
        with pytest.raises(PermissionError, match="another account"):
            attempt(link)
    assert is_untouched(target)


LIST = "print(sorted(os.listdir(sys.argv[1])))"


def test_the_folder_of_what_is_made_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / ".local"
    folder.mkdir(mode=0o755)
    make_home(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o711
    assert "PermissionError" in as_stranger(LIST, str(folder)).stderr
