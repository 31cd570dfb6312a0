"""One round trip, and a connection that stays usable after any error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pg8000.converters import timestamptz_in
from pg8000.exceptions import DatabaseError

from mauntic.database.url import connect


@pytest.fixture
def connection(database: str) -> Iterator[Any]:
    with closing(connect(database)) as opened:
        yield opened


def test_a_statement_takes_one_way(connection: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed = []
    flush = connection._sock.flush
    monkeypatch.setattr(connection._sock, "flush", lambda: flushed.append(flush()))
    rows = connection.run("select n, n * :by as product from generate_series(1, 2) as n", by=3)
    assert rows == [[1, 3], [2, 6]]
    assert [column["name"] for column in connection.columns] == ["n", "product"]
    assert len(flushed) == 1


@pytest.mark.parametrize(
    ("sql", "values", "sqlstate"),
    [
        ("select * from nowhere where id = :id", {"id": 1}, "42P01"),  # not understood
        ("select cast(:text as integer)", {"text": "seven"}, "22P02"),  # a value refused
        ("select 1 / cast(:zero as integer)", {"zero": 0}, "22012"),  # fails as it runs
    ],
)
def test_after_an_error_the_connection_goes_on(
    connection: Any, sql: str, values: dict[str, Any], sqlstate: str
) -> None:
    with pytest.raises(DatabaseError) as caught:
        connection.run(sql, **values)
    assert caught.value.args[0]["C"] == sqlstate
    assert connection.run("select cast(:n as integer)", n=7) == [[7]]


def test_a_value_that_cannot_be_sent_leaves_nothing_half_said(connection: Any) -> None:
    with pytest.raises(UnicodeEncodeError):
        connection.run("select cast(:text as text)", text="\ud800")
    assert connection.run("select cast(:n as integer)", n=7) == [[7]]


def test_how_many_rows_a_statement_touched(connection: Any) -> None:
    connection.run("create temporary table numbers (n integer)")
    connection.run("insert into numbers select generate_series(1, cast(:most as integer))", most=5)
    assert connection.row_count == 5


def test_a_copy_is_still_a_conversation(connection: Any) -> None:
    connection.run("create temporary table numbers (n integer)")
    connection.run("copy numbers from stdin", stream=BytesIO(b"1\n2\n"))
    assert connection.run("select sum(n) from numbers") == [[3]]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("text", ""),
        ("text", "ünï 🙂"),
        ("text", "x" * 1_000_000),
        ("bigint", 2**62),
        ("float8", 1.5),
        ("bool", True),
        ("uuid", UUID(int=7)),
    ],
)
def test_values_come_back_as_they_went(connection: Any, kind: str, value: object) -> None:
    sql = f"select cast(:one as {kind}), cast(:none as {kind}), cast(:list as {kind}[])"
    back = connection.run(sql, one=value, none=None, list=[value, None])
    assert back == [[value, None, [value, None]]]


@pytest.mark.parametrize(
    "texts",
    [
        ["", "NULL", "null", None, " ", "a b", "a,b", "{a}", "\\", '"', '\\"', "ünï 🙂", "\n\t"],
        ["plain"],
        [],
    ],
)
def test_texts_of_an_array_come_back_as_they_went(connection: Any, texts: list[str | None]) -> None:
    [[found]] = connection.run("select to_json(cast(:texts as text[]))", texts=texts)
    assert found == texts


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.none() | st.text(st.characters(exclude_characters="\0", codec="utf-8"))))
def test_any_texts_of_an_array_come_back(connection: Any, texts: list[str | None]) -> None:
    [[found]] = connection.run("select to_json(cast(:texts as text[]))", texts=texts)
    assert found == texts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-10 11:00:05+00", datetime(2026, 3, 10, 11, 0, 5, tzinfo=UTC)),
        ("2026-03-10 11:00:05.1+00", datetime(2026, 3, 10, 11, 0, 5, 100_000, tzinfo=UTC)),
        ("2026-03-10 11:00:05.000001+05:30", datetime(2026, 3, 10, 5, 30, 5, 1, tzinfo=UTC)),
        ("0001-01-01 00:00:00+00", datetime(1, 1, 1, tzinfo=UTC)),
        ("infinity", "infinity"),
        ("-infinity", "-infinity"),
    ],
)
def test_times_are_read(connection: Any, text: str, expected: object) -> None:
    connection.run("set timezone = 'UTC'")
    [[found]] = connection.run("select cast(:text as timestamptz)", text=text)
    assert found == expected
    assert not isinstance(found, datetime) or found.utcoffset() == timedelta(0)


def test_times_beyond_python_are_read_as_before(connection: Any) -> None:
    moments = ("10000-01-01 00:00:00+00", "0044-03-15 00:00:00+00 BC")
    for text in moments:
        [[found]] = connection.run("select cast(:text as timestamptz)", text=text)
        assert found == timestamptz_in(text)
