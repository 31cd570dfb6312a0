"""Postgres over pg8000: the same in a worker (through Hyperdrive) and on the host.

Hyperdrive pools by transaction: no session state outlives one. So each transaction sets its own
settings (`session.py`), and a statement outside of `transaction` is a transaction of its own.
Neither costs a round trip: the SQL before and after it is sent with a statement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

import pg8000.native
from pg8000.exceptions import DatabaseError as ServerSaysNo
from pg8000.exceptions import InterfaceError

from shared.adapters.postgres.refusals import text_of
from shared.adapters.postgres.session import SETTINGS, begin
from shared.errors import DatabaseError, DatabaseUnreachable
from shared.ports import Row, Statement

Connect = Callable[[], pg8000.native.Connection]


class Postgres:
    """A Database port. Connects at first use; after a failure to connect it does not try again.

    A broken connection is replaced at the next statement, but never within a transaction: the rest
    would be committed alone.
    """

    def __init__(self, connect: Connect, settings: Mapping[str, str] = SETTINGS) -> None:
        self._connect = connect
        self._begin = begin(settings)
        self._connection: pg8000.native.Connection | None = None
        self._refusal: str | None = None
        self._in_transaction = self._has_begun = False
        self._ahead: list[str] = []

    def rows(self, sql: str, **parameters: Any) -> list[Row]:
        connection, values = self._run(sql, parameters)
        return _dicts(connection.columns, values)

    def execute(self, sql: str, **parameters: Any) -> int:
        connection, _ = self._run(sql, parameters)
        return int(connection.row_count)

    def ahead(self, sql: str) -> None:
        if not self._in_transaction:
            raise RuntimeError("there is no transaction whose next statement this could precede")
        self._ahead.append(sql)

    def together(self, *statements: Statement, commit: bool = False) -> list[list[Row]]:
        if not self._in_transaction:
            raise RuntimeError("there is no transaction that these statements could belong to")
        with self._conversation() as connection:
            before, _ = self._around()
            after = "commit" if commit else ""
            answers = connection.run_together(before, statements, after)
        self._has_begun = not commit
        return [_dicts(columns, values) for columns, values in answers]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.open()
        self._in_transaction, self._has_begun = True, False
        self._ahead.clear()
        try:
            yield
            self._ahead.clear()
            if self._has_begun:
                self.execute("commit")
        except BaseException:
            self._in_transaction = False
            self._roll_back()
            raise
        self._in_transaction = False

    def open(self) -> None:
        with _translate_errors():
            self._open()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(InterfaceError, OSError):  # it is broken already
                connection.close()

    def _run(
        self, sql: str, parameters: dict[str, Any]
    ) -> tuple[pg8000.native.Connection, list[Any]]:
        with self._conversation() as connection:
            before, after = self._around()
            return connection, connection.run_between(before, sql, after, **parameters) or []

    @contextmanager
    def _conversation(self) -> Iterator[pg8000.native.Connection]:
        with _translate_errors():
            connection = self._open()
            try:
                yield connection
            except ServerSaysNo:
                raise
            except BaseException:
                self.close()  # midway in the protocol: the next answer would belong to this request
                raise

    def _around(self) -> tuple[str, str]:
        """Return the SQL to send before and after the next statement."""
        if not self._in_transaction:
            return self._begin, "commit"
        before = [*([] if self._has_begun else [self._begin]), *self._ahead]
        self._has_begun = True
        self._ahead.clear()
        return "; ".join(before), ""

    def _open(self) -> pg8000.native.Connection:
        if self._refusal:
            raise DatabaseUnreachable(self._refusal)
        if self._connection is None and self._in_transaction and self._has_begun:
            raise DatabaseUnreachable("the connection broke within the transaction")
        if self._connection is None:
            _remember_statements()
            try:
                self._connection = self._connect()
            except (InterfaceError, OSError) as error:
                self._refusal = f"cannot connect to Postgres: {error}"
                raise DatabaseUnreachable(self._refusal) from error
        return self._connection

    def _roll_back(self) -> None:
        """Roll back; give up a connection that cannot do this, and let the next message open a new
        one.
        """
        try:
            if self._connection is not None:
                self._connection.run("rollback")
        except (InterfaceError, ServerSaysNo, OSError):
            self.close()


def _dicts(columns: Sequence[Mapping[str, Any]] | None, values: Sequence[Any]) -> list[Row]:
    names = [column["name"] for column in columns or []]
    return [dict(zip(names, row, strict=True)) for row in values]


def _remember_statements() -> None:
    """Let pg8000 parse the parameters of a statement once, and not at every run.

    Parsing goes through the text character by character: 6 ms in WebAssembly for the longest
    statement.
    """
    if not hasattr(pg8000.native.to_statement, "cache_info"):
        pg8000.native.to_statement = lru_cache(maxsize=256)(pg8000.native.to_statement)


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except ServerSaysNo as error:
        answer = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
        # Not `from error`: its other fields contain the refused row.
        raise DatabaseError(answer.get("C", "XX000"), text_of(answer)) from None
    except (InterfaceError, OSError) as error:
        raise DatabaseUnreachable(str(error)) from error
