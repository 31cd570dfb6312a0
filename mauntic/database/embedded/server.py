"""The database of the local runtime: `DATABASE_URL`, or the PostgreSQL from a wheel.

The embedded server listens on a free TCP port of 127.0.0.1, because the local Hyperdrive needs TCP.
It has one directory (`.local/postgres`). The first command that needs it starts it, all share it,
and it ends with the last of them, however that ends (guard.py).
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Self

import psutil

from mauntic.database.embedded import pidfile
from mauntic.database.embedded.account import (
    Account,
    account_for,
    locked,
    own_home,
    reachable_binaries,
    reachable_home,
    temporary_directory,
)
from mauntic.database.embedded.data_dir import NAME, initialize, last_line
from mauntic.database.embedded.guard import guard_command
from mauntic.database.embedded.hold import Use
from mauntic.database.url import (
    DatabaseUnavailable,
    check_answers,
    connect,
    own_database,
    with_database,
)
from mauntic.project.private_files import make_home, open_private, read_private
from mauntic.project.programs import ROOT

HOME = ROOT / ".local" / "postgres"
START_TIMEOUT_S = 60  # a server that recovers from a crash needs time
STOP_TIMEOUT_S = 30
POLL_S = 0.005
RETRY_S = 0.1
# Another program took the port, or children of a killed server are still ending.
WORTH_RETRYING = ("Address already in use", "is still in use")
LOG_BYTES_MAX = 10_000_000

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "authentication_timeout": "15s",  # limits connections that do not log in
    "shared_buffers": "256MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# For data that may be lost: tests and benchmarks.
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


class Server:
    """An embedded PostgreSQL in one directory; a context manager that starts and stops it."""

    def __init__(
        self,
        home: Path = HOME,
        *,
        durable: bool = True,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._home = home
        self._settings = {**SETTINGS, **({} if durable else NOT_DURABLE), **settings}
        self._durable = durable
        self._account = Account()
        self._binaries = Path()
        self._guard: subprocess.Popen[bytes] | None = None
        self._use: Use | None = None
        self._port: int | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The URL of the database, with its password; only after `start`."""
        if self._port is None:
            raise RuntimeError("the server was not started")
        password = read_private(self._home / "password")
        return f"postgresql://{NAME}:{password}@127.0.0.1:{self._port}/{NAME}"

    @property
    def has_ended(self) -> bool:
        """True if the server that was started or joined has ended, or another server has
        replaced it.
        """
        running = pidfile.read(self._data)
        return running is None or running.port != self._port

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self._home / "server.log"

    def start(self) -> None:
        """Start the server, or join the one that already runs in this directory."""
        self._settle()
        with locked(self._home / "lock"):
            self._begin_use()
            try:
                self._start_or_join()
            except BaseException:
                self._end_use()
                raise

    def stop(self) -> None:
        """Stop using the server. The last user shuts it down cleanly; the process that started it
        waits for that.
        """
        if self._use is None:
            return
        # `make clean` may have removed the directory.
        with suppress(FileNotFoundError), locked(self._home / "lock"):
            self._end_use()

    def kill(self) -> None:
        """End the server as a power cut would, for tests: the next start recovers from its log."""
        running = self._running()
        if running is None:
            return
        postmaster = psutil.Process(running.pid)
        postmaster.suspend()  # so that it starts no further child in the meantime
        for process in [*postmaster.children(recursive=True), postmaster]:
            process.kill()
        postmaster.wait(STOP_TIMEOUT_S)
        self._release_guard()

    def _start_or_join(self) -> None:
        if (running := self._running()) is not None:
            self._port = running.port
            return
        if not self._data.exists():
            initialize(self._home, self._account, self._binaries, durable=self._durable)
        self._launch()
        self._create_database()

    def _begin_use(self) -> None:
        self._use = self._use or Use(self._home / "users")
        if not self._use.begin(STOP_TIMEOUT_S):
            raise DatabaseUnavailable(
                f"PostgreSQL does not stop within {STOP_TIMEOUT_S} s; see {self.log}."
            )

    def _end_use(self) -> None:
        """Release the server; if it has no other user and this process started it, wait for its
        end.
        """
        if self._use is not None and not self._use.end():
            self._release_guard()

    def _settle(self) -> None:
        """Determine the account and the directory; root may have to use another directory than the
        given one.
        """
        self._account = account_for(self._home / "data")
        self._home = reachable_home(self._home, self._account).resolve()
        own_home(self._home)
        self._binaries = reachable_binaries(self._account)

    @property
    def _data(self) -> Path:
        return self._home / "data"

    def _running(self) -> pidfile.Postmaster | None:
        """Return the server that accepts connections here; wait for one that is starting or
        ending.
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        while (found := pidfile.read(self._data)) is not None and not found.ready:
            if time.monotonic() > deadline:
                raise DatabaseUnavailable(
                    f"PostgreSQL (process {found.pid}) neither starts nor ends; see {self.log}."
                )
            time.sleep(POLL_S)
        return found

    def _launch(self) -> None:
        """Start the server process and wait until it is ready; use another port if one is taken."""
        deadline = time.monotonic() + START_TIMEOUT_S
        port = self._port or free_port()
        while True:
            log_start = self._spawn(port)
            if self._became_ready(deadline):
                self._port = port
                return
            self._release_guard()
            log_text = read_private(self.log)[log_start:]
            if not any(text in log_text for text in WORTH_RETRYING) or time.monotonic() > deadline:
                raise DatabaseUnavailable(
                    f"PostgreSQL did not start ({last_line(log_text)}); see {self.log}."
                )
            time.sleep(RETRY_S)
            port = free_port()

    def _spawn(self, port: int) -> int:
        """Run the server under its guard; return the position in the log at which its lines
        begin.
        """
        self._release_guard()
        pidfile.discard_foreign(self._data)
        settings = {**self._settings, "port": str(port)}
        options = [text for item in settings.items() for text in ("-c", "=".join(item))]
        server = [str(self._binaries / "postgres"), "-D", str(self._data), *options]
        with os.fdopen(open_private(self.log, os.O_WRONLY | os.O_APPEND), "a") as log:
            if log.tell() > LOG_BYTES_MAX:
                log.truncate(0)
            self._guard = subprocess.Popen(
                guard_command(self._home / "users", self._account.popen_options(), server),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,  # Ctrl-C in the terminal is handled by the user
            )
            return log.tell()

    def _became_ready(self, deadline: float) -> bool:
        assert self._guard is not None
        while self._guard.poll() is None and time.monotonic() < deadline:
            found = pidfile.read(self._data)
            if found is not None and found.ready:
                return True
            time.sleep(POLL_S)
        return False

    def _release_guard(self) -> None:
        """End the guard together with its server, and wait for that."""
        if self._guard is None:
            return
        self._guard.terminate()
        try:
            self._guard.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise DatabaseUnavailable(
                f"PostgreSQL did not stop within {STOP_TIMEOUT_S} s; see {self.log}."
            ) from None
        self._guard = None

    def _create_database(self) -> None:
        with closing(connect(with_database(self.url, "postgres"))) as connection:
            found = connection.run("SELECT FROM pg_database WHERE datname = :name", name=NAME)
            if not found:
                connection.run(f"CREATE DATABASE {NAME}")


class GivenDatabase:
    """The database in `DATABASE_URL`: it is used, but not started, stopped or watched."""

    has_ended = False

    def __init__(self, url: str) -> None:
        self.url = url

    def __enter__(self) -> Self:
        check_answers(self.url)
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: the server is not managed here."""


class NamedDatabase(Server):
    """Another, existing database of the embedded server, such as the demo's."""

    def __init__(self, home: Path, name: str) -> None:
        super().__init__(home)
        self._name = name

    @property
    def url(self) -> str:
        """The URL of that database, with its password."""
        return with_database(super().url, self._name)

    def _start_or_join(self) -> None:
        super()._start_or_join()
        check_answers(self.url)


def open_database(environment: Mapping[str, str], home: Path = HOME) -> Server | GivenDatabase:
    """Return the database to use, as a context manager with a `url`: the given one, else the
    embedded server.

    A URL without a host (`postgresql:///mauntic_demo`) names a database of the embedded server.
    """
    given = environment.get("DATABASE_URL")
    if home == HOME:
        make_home(home.parent)
    if not given:
        return Server(home)
    if name := own_database(given):
        return NamedDatabase(home, name)
    return GivenDatabase(given)


@contextmanager
def temporary_server(
    settings: Mapping[str, str] = MappingProxyType({}), *, in_memory: bool = False
) -> Iterator[Server]:
    """Run a server for temporary data, in a directory that is removed afterwards.

    In memory, if there is space, creating a database takes a fraction of the time. For tests only:
    a process that is killed leaves its directory there.
    """
    home = temporary_directory(account_for(None), in_memory=in_memory)
    try:
        with Server(home, durable=False, settings=settings) as server:
            yield server
    finally:
        shutil.rmtree(home, ignore_errors=True)


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that is free at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
