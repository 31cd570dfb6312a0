"""The embedded server from its first start to a kill -9, and given databases."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from mauntic.database.embedded import account, pidfile
from mauntic.database.embedded.account import BINARIES, account_for, temporary_directory
from mauntic.database.embedded.data_dir import last_line
from mauntic.database.embedded.server import GivenDatabase, Server, open_database, temporary_server
from mauntic.database.url import DatabaseUnavailable, DatabaseUrl, connect, with_database
from shared.adapters.postgres.pipelined import Connection
from tests.scratch import scratch_database


@pytest.fixture
def new_home() -> Iterator[Path]:
    """An empty directory that the server's account can reach."""
    directory = temporary_directory(account_for(None))
    yield directory
    await_end(directory)
    subprocess.run(["rm", "-rf", str(directory)], check=True)


def await_end(home: Path) -> None:
    """Wait until the server of the directory has ended: its last user does not wait for it."""
    for _ in range(100):
        if pidfile.read(home.resolve() / "data") is None:
            return
        time.sleep(0.1)
    raise AssertionError(f"a server still runs in {home}")


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """A directory in which a server was started and stopped: the next start takes no second."""
    directory = temporary_directory(account_for(None))
    with Server(directory, durable=False):
        pass
    yield directory
    subprocess.run(["rm", "-rf", str(directory)], check=True)


def ask(url: str, sql: str) -> object:
    """The first value of the answer."""
    with closing(connect(url)) as connection:
        return connection.run(sql)[0][0]


def as_a_worker_connects(url: str) -> Connection:
    """Without its own settings, so the server's settings apply."""
    to = DatabaseUrl.parse(url)
    return Connection(
        user=to.user, password=to.password, host=to.host, port=to.port, database=to.database
    )


def write_a_row(url: str) -> None:
    with closing(connect(url)) as connection:
        connection.run("DROP TABLE IF EXISTS kept")
        connection.run("CREATE TABLE kept AS SELECT 42 AS value")


def test_speaks_utf8_in_utc_and_sorts_by_code_point(postgres: Server) -> None:
    assert ask(postgres.url, "SHOW server_encoding") == "UTF8"
    with closing(as_a_worker_connects(postgres.url)) as connection:
        assert connection.run("SHOW timezone") == [["UTC"]]
    assert ask(postgres.url, "SELECT 'a' > 'B' COLLATE pg_catalog.default") is True
    assert ask(postgres.url, "SELECT lower('Ä')") == "ä"


def test_is_postgresql_18(postgres: Server) -> None:
    assert str(ask(postgres.url, "SHOW server_version")).startswith("18.")


def test_wants_the_password(postgres: Server) -> None:
    wrong = postgres.url.replace(postgres.url.split(":")[2].split("@")[0], "wrong")
    with pytest.raises(DatabaseUnavailable, match="password authentication failed"):
        GivenDatabase(wrong).__enter__()


def test_keeps_the_password_to_its_owner(postgres: Server) -> None:
    password = postgres.log.with_name("password")
    assert password.stat().st_mode & 0o777 == 0o600


def test_shows_no_password_in_the_process_list(postgres: Server) -> None:
    password = postgres.log.with_name("password").read_text()
    running = pidfile.read(postgres.log.with_name("data"))
    assert running is not None
    assert password not in " ".join(psutil.Process(running.pid).cmdline())


def test_takes_settings(home: Path) -> None:
    with Server(home, durable=False, settings={"work_mem": "7MB"}) as server:
        assert ask(server.url, "SHOW work_mem") == "7MB"
        assert ask(server.url, "SHOW fsync") == "off"


def test_is_durable_by_default(home: Path) -> None:
    with Server(home) as server:
        assert ask(server.url, "SHOW fsync") == "on"


def test_keeps_data_and_port_over_a_restart(home: Path) -> None:
    with Server(home, durable=False) as server:
        write_a_row(server.url)
        url = server.url
        server.stop()
        server.start()
        assert server.url == url
        assert ask(url, "SELECT value FROM kept") == 42


def test_recovers_from_a_kill(home: Path) -> None:
    with Server(home, settings={"synchronous_commit": "on"}) as server:
        write_a_row(server.url)
        server.kill()
        with pytest.raises(DatabaseUnavailable, match="refused"):
            GivenDatabase(server.url).__enter__()
        server.start()
        assert ask(server.url, "SELECT value FROM kept") == 42


def test_kill_of_a_stopped_server_is_nothing(home: Path) -> None:
    Server(home).kill()


def test_second_user_joins_and_does_not_stop_it(home: Path) -> None:
    with Server(home, durable=False) as first:
        with Server(home) as second:
            assert second.url == first.url
        assert ask(first.url, "SELECT 1") == 1


def test_a_pid_file_of_another_life_does_not_matter(home: Path) -> None:
    with Server(home, durable=False) as server:
        server.kill()
        pid_file = home / "data" / "postmaster.pid"
        old = pid_file.read_text().splitlines()
        pid_file.write_text("\n".join([str(os.getpid()), *old[1:]]))
        server.start()
        assert ask(server.url, "SELECT 1") == 1


def test_finds_another_port_if_its_own_is_taken(home: Path) -> None:
    with Server(home, durable=False) as server:
        server.stop()
        port = int(server.url.rpartition(":")[2].partition("/")[0])
        with socket.create_server(("127.0.0.1", port)):
            server.start()
            assert f":{port}/" not in server.url
            assert ask(server.url, "SELECT 1") == 1


def test_an_interrupted_first_start_begins_again(new_home: Path) -> None:
    new_home.joinpath("data.new").mkdir()
    new_home.joinpath("data.new", "PG_VERSION").write_text("18\n")
    new_home.joinpath("password").write_text("old")
    with Server(new_home, durable=False) as server:
        assert ask(server.url, "SELECT 1") == 1


START = """
import sys, time
from pathlib import Path
from mauntic.database.embedded.server import Server
server = Server(Path(sys.argv[1]), durable=False)
server.start()
print(server.url, flush=True)
sys.stdin.read()
"""


def starter(home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", START, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_two_that_start_at_once_share_one(new_home: Path) -> None:
    with starter(new_home) as first, starter(new_home) as second:
        assert first.stdout is not None
        assert second.stdout is not None
        assert first.stdout.readline() == second.stdout.readline()
        first.communicate()
        second.communicate()


def test_outlives_the_process_that_started_it_while_another_uses_it(home: Path) -> None:
    """A command that ends must not end the database that `mauntic dev` uses."""
    with starter(home) as first:
        assert first.stdout is not None
        url = first.stdout.readline().strip()
        with Server(home, durable=False) as second:
            assert second.url == url
            first.communicate()
            time.sleep(0.5)  # a server that is ending would refuse by now
            assert ask(url, "SELECT 1") == 1
            assert not second.has_ended
            running = pidfile.read(home.resolve() / "data")
            assert running is not None
            postmaster = psutil.Process(running.pid)
        postmaster.wait(timeout=10)
    assert pidfile.read(home.resolve() / "data") is None


def test_a_user_that_arrives_while_it_ends_starts_another(home: Path) -> None:
    with starter(home) as owner:
        assert owner.stdout is not None
        owner.stdout.readline()
        owner.send_signal(signal.SIGKILL)
        with Server(home, durable=False) as server:
            time.sleep(0.5)
            assert ask(server.url, "SELECT 1") == 1


def test_ends_with_its_owner_even_if_that_is_killed(home: Path) -> None:
    with starter(home) as owner:
        assert owner.stdout is not None
        owner.stdout.readline()
        running = pidfile.read(home.resolve() / "data")
        assert running is not None
        server = psutil.Process(running.pid)
        owner.send_signal(signal.SIGKILL)
        server.wait(timeout=10)
    assert "database system is shut down" in (home / "server.log").read_text()


def test_says_why_it_does_not_start(home: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match="no_such_setting"):
        Server(home, durable=False, settings={"no_such_setting": "1"}).start()


@pytest.mark.parametrize("room", [True, False])
def test_a_server_in_memory_lies_there_if_there_is_room(
    room: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = temporary_directory(account_for(None))
    monkeypatch.setattr(account, "MEMORY", memory)
    monkeypatch.setattr(account, "MEMORY_FREE_MIN_BYTES", 0 if room else 2**80)
    memory.chmod(0o711)
    home = temporary_directory(account_for(None), in_memory=True)
    assert (home.parent == memory) is room
    home.rmdir()
    memory.rmdir()


def test_a_temporary_server_leaves_nothing() -> None:
    with temporary_server() as server:
        home = server.log.parent
        assert home.exists()
    assert not home.exists()


def test_without_a_start_there_is_no_url(home: Path) -> None:
    with pytest.raises(RuntimeError, match="not started"):
        _ = Server(home).url


def test_database_url_wins(postgres: Server) -> None:
    with open_database({"DATABASE_URL": postgres.url}) as given:
        assert given.url == postgres.url


def test_without_database_url_it_is_the_embedded_one(home: Path) -> None:
    assert isinstance(open_database({}, home), Server)
    assert isinstance(open_database({"DATABASE_URL": ""}, home), Server)


def test_a_given_database_that_is_missing_is_named(postgres: Server) -> None:
    with pytest.raises(DatabaseUnavailable, match='"nowhere" does not exist'):
        GivenDatabase(with_database(postgres.url, "nowhere")).__enter__()


def test_a_given_server_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mauntic.database.url.CONNECT_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(DatabaseUnavailable, match=f"127.0.0.1:{port}/x does not answer"):
            GivenDatabase(f"postgresql://u:secret@127.0.0.1:{port}/x").__enter__()


def test_a_scratch_database_is_a_copy_and_is_dropped(postgres: Server) -> None:
    with scratch_database(postgres) as template:
        write_a_row(template)
        name = template.rpartition("/")[2]
        with scratch_database(postgres, name) as copy:
            assert ask(copy, "SELECT value FROM kept") == 42
    count = f"SELECT count(*) FROM pg_database WHERE datname = '{name}'"
    assert ask(postgres.url, count) == 0


def test_a_scratch_database_is_dropped_under_its_users(postgres: Server) -> None:
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    with scratch_database(postgres) as url:
        command = [str(BINARIES / "psql"), "--no-psqlrc", "--command", "SELECT pg_sleep(60)", url]
        user = subprocess.Popen(command, stderr=subprocess.PIPE)
        while user.poll() is None and not ask(postgres.url, sleeping):
            pass
    assert b"terminating connection" in user.communicate(timeout=10)[1]


def test_databases_of_tests_are_apart(database: str, postgres: Server) -> None:
    assert database != postgres.url
    assert ask(database, "SELECT current_database()") == database.rpartition("/")[2]


def test_last_line() -> None:
    assert last_line("one\ntwo.\n\n") == "two"
    assert last_line("") == "no output"
