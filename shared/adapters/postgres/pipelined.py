"""A connection to Postgres with one round trip per statement.

pg8000 sends a statement with parameters in a dozen small writes and waits three times: for parsing,
description and execution. Each wait is a round trip and, in a worker, a suspension of the
interpreter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from struct import Struct
from typing import Any
from uuid import UUID

import pg8000.native
from pg8000 import core
from pg8000.converters import (
    TIMESTAMPTZ,
    UUID_TYPE,
    array_out,
    make_params,
    timestamptz_in,
)

_int32 = Struct("!i").pack
_int16 = Struct("!H").pack
_DESCRIBE_PORTAL: bytes = core.DESCRIBE + _int32(6) + core.PORTAL + core.NULL_BYTE
_NULL = _int32(-1)
_PLAIN = {UUID, int, str, type(None)}  # what most arrays consist of


class Connection(pg8000.native.Connection):  # type: ignore[misc]  # pg8000 has no types
    """pg8000's connection, but parse, bind, describe and execute are sent together.

    After a failure the server skips everything up to the sync at the end, so there is one answer in
    both cases.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.py_types: dict[type, Any] = self.py_types | {list: _array}
        self.pg_types: dict[int, Any] = self.pg_types | {TIMESTAMPTZ: _moment, UUID_TYPE: _uuid}

    def execute_unnamed(
        self, statement: str, vals: Iterable[Any] = (), oids: Sequence[int] = (), stream: Any = None
    ) -> core.Context:
        if stream is not None:
            return super().execute_unnamed(statement, vals, oids, stream)
        return self._ask([(statement, self._unnamed(statement, vals, oids))])[0]

    def run_between(self, before: str, sql: str, after: str, /, **parameters: Any) -> Any:
        """Run a statement as `run` does, with `before` and `after` in the same round trip.

        They are plain SQL, or empty. If `before` fails, the rest must have no effect: so `before`
        begins a transaction, or is empty. An error of `before` is raised first, then one of the
        statement.
        """
        [self._context] = self._contexts(before, [(sql, parameters)], after)
        return self._context.rows

    def run_together(
        self, before: str, statements: Sequence[tuple[str, Mapping[str, Any]]], after: str
    ) -> list[tuple[Any, list[Any]]]:
        """Run statements of a transaction in one round trip, as `run_between` does with one. Return
        the columns and rows of each. After an error the server refuses those that follow.
        """
        contexts = self._contexts(before, statements, after)
        return [(context.columns, context.rows or []) for context in contexts]

    def _contexts(
        self, before: str, statements: Sequence[tuple[str, Mapping[str, Any]]], after: str
    ) -> list[core.Context]:
        questions = [self._question(sql, parameters) for sql, parameters in statements]
        first, last = ([(text, _simple(text))] if text else [] for text in (before, after))
        contexts = self._ask([*first, *questions, *last])
        return contexts[len(first) : len(first) + len(questions)]

    def _question(self, sql: str, parameters: Mapping[str, Any]) -> tuple[str, bytes]:
        if not parameters:
            return sql, _simple(sql)
        statement, values_of = pg8000.native.to_statement(sql)
        return statement, self._unnamed(statement, values_of(parameters))

    def _ask(self, questions: Sequence[tuple[str, bytes]]) -> list[core.Context]:
        """Send all requests, then read all answers; raise the first error."""
        core._write(self._sock, b"".join(sent for _, sent in questions))
        core._flush(self._sock)
        contexts, errors = [], []
        for statement, _ in questions:
            context = core.Context(statement)
            contexts.append(context)
            try:
                self.handle_messages(context)
            except (core.DatabaseError, core.InterfaceError) as error:
                if error is not context.error:
                    raise  # the protocol itself broke
                errors.append(error)
        if errors:
            raise errors[0]
        return contexts

    def _unnamed(self, statement: str, vals: Iterable[Any], oids: Sequence[int] = ()) -> bytes:
        parts = (
            _message(core.PARSE, core.NULL_BYTE + _text(statement) + _oids(oids)),
            _message(core.BIND, core.NULL_BYTE * 2 + _bound(make_params(self.py_types, vals))),
            _DESCRIBE_PORTAL + core.EXECUTE_MSG + core.SYNC_MSG,
        )
        return b"".join(parts)


def _simple(statement: str) -> bytes:
    return _message(core.QUERY, _text(statement))


def _message(code: bytes, body: bytes) -> bytes:
    return code + _int32(len(body) + 4) + body


def _text(statement: str) -> bytes:
    return statement.encode() + b"\0"


def _oids(oids: Sequence[int]) -> bytes:
    codes = [0 if oid == -1 else oid for oid in oids]
    return b"".join([_int16(len(codes)), *map(_int32, codes)])


@lru_cache(maxsize=2_048)
def _uuid(text: str) -> UUID:
    """Parse an id once: the statements of a batch return the same ones."""
    return UUID(text)


def _moment(text: str) -> Any:
    """Return the time in a fortieth of what pg8000's `strptime` takes. What is no time of Python's,
    such as infinity, is left to pg8000.
    """
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return timestamptz_in(text)


def _array(values: list[Any]) -> str:
    """Return the array in pg8000's text form, without its function calls per element and letter."""
    if not _PLAIN.issuperset(map(type, values)):
        return str(array_out(values))
    return "{" + ",".join([_element(value) for value in values]) + "}"


def _element(value: UUID | int | str | None) -> str:
    if value is None:
        return "NULL"
    if not isinstance(value, str):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _bound(texts: Sequence[str | None]) -> bytes:
    """Request text for every parameter and every result."""
    parts = [_int16(0), _int16(len(texts))]
    for text in texts:
        value = None if text is None else text.encode()
        parts += [_NULL] if value is None else [_int32(len(value)), value]
    return b"".join([*parts, _int16(0)])
