"""The pool between workers and database: what it shares, separates, and survives."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from struct import pack
from typing import Any
from urllib.parse import urlsplit

import pytest
from pg8000.core import Context
from pg8000.exceptions import DatabaseError, InterfaceError

from mauntic.database.embedded.server import Server as PostgresServer
from mauntic.database.embedded.server import temporary_server
from mauntic.database.url import connect
from tests.e2e.system import until
from tests.mauntic.local.runtime.harness import NODE, ROOT, Server
from tests.mauntic.local.runtime.hyperdrive import byte_by_byte, hyperdrive, late, relayed
from tests.scratch import scratch_database

pytestmark = pytest.mark.e2e

POOL_SIZE = 60  # as `mauntic provision` has it
PID = "select pg_backend_pid()"
OTHERS = (
    "select count(*) from pg_stat_activity"
    " where datname = current_database() and pid <> pg_backend_pid()"
)
WAITING = f"{OTHERS} and wait_event_type = 'Lock'"


@pytest.fixture(scope="module")
def pooled(postgres: PostgresServer) -> Iterator[str]:
    with hyperdrive(postgres.url) as url:
        yield url


def ask(url: str, sql: str) -> Any:
    """Return a single value, with a separate client."""
    with closing(connect(url)) as client:
        return client.run(sql)[0][0]


@contextmanager
def doomed(url: str) -> Iterator[Any]:
    """A client whose connection will be broken."""
    client = connect(url)
    try:
        yield client
    finally:
        with suppress(InterfaceError, OSError):
            client.close()


# --- who comes in -----------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["username", "password", "path"])
def test_who_does_not_know_user_password_and_database_is_refused(pooled: str, part: str) -> None:
    known = getattr(urlsplit(pooled), part)
    before, found, after = pooled.rpartition(f"{known}@" if part == "password" else known)
    if part == "username":
        before, found, after = pooled.partition(known)
    with pytest.raises(DatabaseError) as refusal:
        connect(f"{before}{found.replace(known, known + 'x')}{after}")
    assert refusal.value.args[0]["C"] == "28P01"


def test_the_databases_own_password_opens_nothing(pooled: str, postgres: PostgresServer) -> None:
    own = postgres.url.rpartition("@")[0]
    with pytest.raises(DatabaseError):
        connect(f"{own}@{pooled.rpartition('@')[2]}")


def test_who_asks_for_encryption_is_told_that_there_is_none(pooled: str) -> None:
    with pytest.raises(InterfaceError, match="refuses SSL"):
        connect(f"{pooled}?sslmode=require")


def test_a_database_that_refuses_the_login_says_so_itself(postgres: PostgresServer) -> None:
    with (
        hyperdrive(postgres.url.replace("mauntic:", "mauntic:x")) as url,
        pytest.raises(DatabaseError) as refusal,
    ):
        connect(url)
    assert refusal.value.args[0]["C"] == "28P01"
    assert 'user "mauntic"' in refusal.value.args[0]["M"]


# --- what is shared, and what is not ----------------------------------------------------------


def test_clients_in_turn_share_a_backend(pooled: str) -> None:
    assert ask(pooled, PID) == ask(pooled, PID)


def test_what_a_session_keeps_ends_with_the_transaction(pooled: str) -> None:
    """For the next client and for the same one: production clears it too."""
    with closing(connect(pooled)) as client:
        client.run("set work_mem = '7MB'")
        assert client.run("show work_mem") != [["7MB"]]
        client.run("select pg_advisory_lock(7)")
        client.run("create temp table kept ()")
        pid = client.run(PID)
    with closing(connect(pooled)) as other:
        assert other.run(PID) == pid
        assert other.run("select to_regclass('pg_temp.kept') is null") == [[True]]
        locks = "select count(*) from pg_locks where locktype = 'advisory' and objid = 7"
        assert other.run(locks) == [[0]]


def test_a_transaction_keeps_its_backend_from_others(pooled: str) -> None:
    with closing(connect(pooled)) as one, closing(connect(pooled)) as other:
        one.run("begin; set local work_mem = '7MB'")
        pid = one.run(PID)
        assert other.run(PID) != pid
        assert one.run("show work_mem") == [["7MB"]]
        assert one.run(PID) == pid
        with pytest.raises(DatabaseError):
            one.run("select 1 / 0")
        assert other.run(PID) != pid  # a failed transaction is one until it is rolled back
        one.run("rollback")
        assert one.run("select cast(:n as int)", n=7) == [[7]]


def test_a_client_that_arrives_while_a_session_is_cleared_gets_its_own_answers(
    postgres: PostgresServer,
) -> None:
    with relayed(postgres.url, late) as slow, hyperdrive(slow) as url:
        assert [ask(url, f"select {n}") for n in range(5)] == [0, 1, 2, 3, 4]


def test_more_clients_than_connections_wait_for_their_turn(postgres: PostgresServer) -> None:
    """All connections wait in the database, and the other clients for one of them."""
    numbers = range(POOL_SIZE + 5)
    question = "select pg_advisory_xact_lock_shared(9), cast('{}' as text)"
    with (
        scratch_database(postgres) as database,
        hyperdrive(database) as url,
        ThreadPoolExecutor(len(numbers)) as clients,
        closing(connect(database)) as gate,  # opens first, also where this fails
    ):
        gate.run("select pg_advisory_lock(9)")
        answers = [clients.submit(last, url, question.format(n)) for n in numbers]
        until(lambda: gate.run(WAITING) == [[POOL_SIZE]], 30)
        assert not any(answer.done() for answer in answers)
        gate.run("select pg_advisory_unlock(9)")
        assert [answer.result() for answer in answers] == [str(n) for n in numbers]
        assert gate.run(OTHERS) == [[POOL_SIZE]]


def last(url: str, sql: str) -> Any:
    with closing(connect(url)) as client:
        return client.run(sql)[0][-1]


# --- bytes ------------------------------------------------------------------------------------


def test_a_large_result_comes_whole(pooled: str) -> None:
    with closing(connect(pooled)) as client:
        [[text]] = client.run("select repeat('0123456789', 524288)")
        assert text == "0123456789" * 524_288
        rows = client.run("select n, repeat('x', 50) from generate_series(1, 60000) as n")
        assert [row[0] for row in rows] == list(range(1, 60_001))


def test_a_large_question_goes_whole(pooled: str) -> None:
    with closing(connect(pooled)) as client:
        assert client.run("select length(:text)", text="x" * 5_000_000) == [[5_000_000]]


def test_questions_may_be_sent_at_once_and_in_parts(pooled: str) -> None:
    """A connection is not returned while an answer or a request is incomplete."""
    with closing(connect(pooled)) as client:
        questions = [message(b"Q", b"select %d\0" % n) for n in (1, 2)]
        tell(client, *questions)
        assert [heard(client), heard(client)] == [[["1"]], [["2"]]]
        tell(client, questions[0], message(b"P", b"\0select 3\0\0\0"))
        assert heard(client) == [["1"]]
        bind = message(b"B", b"\0\0" + bytes(6))
        tell(client, bind, message(b"D", b"P\0"), message(b"E", bytes(5)), message(b"S", b""))
        assert heard(client) == [["3"]]


def message(code: bytes, body: bytes) -> bytes:
    return code + pack("!i", len(body) + 4) + body


def tell(client: Any, *messages: bytes) -> None:
    client._usock.sendall(b"".join(messages))


def heard(client: Any) -> list[list[str]]:
    """The rows of the next answer, as text."""
    context = Context("")
    client.handle_messages(context)
    return [[str(value) for value in row] for row in context.rows]


def test_however_the_bytes_are_cut(postgres: PostgresServer) -> None:
    with (
        relayed(postgres.url, byte_by_byte) as server,
        hyperdrive(server) as pool,
        relayed(pool, byte_by_byte) as url,
        closing(connect(url)) as client,
    ):
        client.run("begin")
        assert client.run("select cast(:n as int)", n=41) == [[41]]
        with pytest.raises(DatabaseError):
            client.run("select nothing")
        client.run("rollback")
        assert client.run("select repeat('x', 3000)") == [["x" * 3_000]]


CUT = """
import { Frames } from "./mauntic/local/hyperdrive/frames.mjs";
let text = "";
for await (const part of process.stdin) text += part;
const hex = (bytes) => bytes.toString("hex");
console.log(JSON.stringify(JSON.parse(text).map((chunks) => {
  const frames = new Frames("ZE");
  return chunks.flatMap((chunk) =>
    [...frames.cut(Buffer.from(chunk, "hex"))].map(({ type, bytes }) => [type, hex(bytes)]));
})));
"""


def test_frames_end_where_they_end_wherever_they_are_cut() -> None:
    bodies = [
        (b"T", b"ZZ"),
        (b"D", b""),
        (b"Z", b"I"),
        (b"E", b"Z" * 9),
        (b"Z", b"T"),
        (b"D", b"E"),
    ]
    frames = [(type, type + pack("!i", len(body) + 4) + body) for type, body in bodies]
    stream = b"".join(whole for _, whole in frames)
    length = len(stream)
    pairs = [[i, j] for i in range(1, length) for j in range(i + 1, length)]
    cuts = [[], list(range(1, length)), *pairs]
    streams = [
        [stream[a:b].hex() for a, b in zip([0, *cut], [*cut, length], strict=True)] for cut in cuts
    ]
    answer = subprocess.run(
        [NODE, "--input-type=module", "-e", CUT],
        input=json.dumps(streams), capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    ends, at = [], 0
    for type, whole in frames:
        at += len(whole)
        ends += [(type.decode(), at)] if type in b"ZE" else []
    for pieces in json.loads(answer.stdout):
        assert bytes.fromhex("".join(text for _, text in pieces)) == stream
        found, at = [], 0
        for type, text in pieces:
            at += len(text) // 2
            found += [(type, at)] if type else []
        assert found == ends


# --- what breaks ------------------------------------------------------------------------------


def test_a_client_that_is_cut_leaves_nothing_behind(postgres: PostgresServer, pooled: str) -> None:
    with closing(connect(postgres.url)) as observer, doomed(pooled) as client:
        observer.run("create table cut (n int)")
        client.run("begin; insert into cut values (1)")
        client._usock.shutdown(socket.SHUT_RDWR)
        assert ask(pooled, "select count(*) from cut") == 0
        observer.run("drop table cut")  # waits until the transaction has ended


def test_the_answer_of_a_client_that_left_goes_to_no_other_client(pooled: str) -> None:
    with doomed(pooled) as client:
        tell(client, message(b"Q", b"select 1, pg_sleep(0.2)\0"))
        client._usock.shutdown(socket.SHUT_RDWR)
    assert [ask(pooled, f"select {n}") for n in (2, 3)] == [2, 3]


def test_a_terminated_backend_takes_only_its_own_client_along(
    postgres: PostgresServer, pooled: str
) -> None:
    with (
        closing(connect(postgres.url)) as admin,
        closing(connect(pooled)) as other,
        doomed(pooled) as client,
    ):
        client.run("begin")
        [[pid]] = client.run(PID)
        admin.run("select pg_terminate_backend(:pid)", pid=pid)
        with pytest.raises((DatabaseError, InterfaceError)):
            client.run("select 1")
        with pytest.raises((InterfaceError, OSError)):
            client.run("insert into nowhere values (1)")
        assert other.run("select 1") == [[1]]
        assert other.run(PID) != [[pid]]


def test_a_database_that_stops_and_starts() -> None:
    with temporary_server() as server, hyperdrive(server.url) as url:
        with doomed(url) as lasting:
            assert lasting.run("select 1") == [[1]]
            server.stop()
            with pytest.raises((InterfaceError, OSError)):
                lasting.run("select 1")
        with pytest.raises((InterfaceError, OSError)):
            connect(url)
        server.start()
        assert ask(url, "select 1") == 1


# --- in the runtime ---------------------------------------------------------------------------


def test_the_workers_invocations_share_a_backend(server: Server, postgres: PostgresServer) -> None:
    [ready] = [event for event in server.events if event["event"] == "ready"]
    pid = ask(ready["databaseUrl"], PID)
    assert server.ask("/database")["rows"] == [[42]]
    with closing(connect(postgres.url)) as observer:
        query = "select query from pg_stat_activity where pid = :pid"
        # The pool clears the session after the answer was sent to its client.
        until(lambda: observer.run(query, pid=pid) == [["discard all"]])
    assert ask(ready["databaseUrl"], PID) == pid
