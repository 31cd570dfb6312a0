"""Lines and records: encodings, compression, quotes, delimiters, sizes."""

from __future__ import annotations

import csv
import gzip
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mauntic.errors import OperatorError
from mauntic.event_import import lines as lines_module
from mauntic.event_import.event import Refused
from mauntic.event_import.lines import Source
from mauntic.event_import.records import records

COLUMNS = ("Email", "Time")


def read(raw: bytes, columns: tuple[str, ...] = COLUMNS) -> list[tuple[int, Any]]:
    """Return (line, value) of every record; the reason of a refused one."""
    source = Source(io.BytesIO(raw), "file", len(raw))
    return [
        (line, value.reason if isinstance(value, Refused) else value)
        for line, value in records(source.lines(), columns)
    ]


ROW = {"Email": "a@b.example", "Time": "now"}


@pytest.mark.parametrize(
    "raw",
    [
        b"Email,Time\na@b.example,now\n",
        b"\xef\xbb\xbfEmail,Time\r\na@b.example,now\r\n",
        b"Email;Time\na@b.example;now",
        b"Email\tTime\n\na@b.example\tnow\n\n",
        b'"Email","Time"\n"a@b.example","now"\n',
        gzip.compress(b"Email,Time\na@b.example,now\n", mtime=0),
        gzip.compress(b"Email,Time\n", mtime=0) + gzip.compress(b"a@b.example,now\n", mtime=0),
    ],
    ids=["plain", "mark", "semicolon", "tab", "quotes", "gzip", "two members"],
)
def test_the_same_row_in_many_forms(raw: bytes) -> None:
    assert [value for _, value in read(raw)] == [ROW]


def test_json_lines_keep_their_numbers() -> None:
    raw = b'\n{"a": 1}\n\n{"a":\n[2]\n' + b"[" * 100_000 + b"\n"
    assert read(raw, ()) == [(2, {"a": 1}), (4, "bad_json"), (5, [2]), (6, "bad_json")]


def test_bad_rows_of_csv_end_at_their_line() -> None:
    raw = b'Email,Time\na,1\nb\nc,1,2\n"d"x,1\n"e\nf",1\ng,"h""i"\nj,1\n'
    assert read(raw) == [
        (2, {"Email": "a", "Time": "1"}),
        (3, "wrong_columns"),
        (4, "wrong_columns"),
        (5, "bad_csv"),
        (6, {"Email": "e\nf", "Time": "1"}),
        (8, {"Email": "g", "Time": 'h"i'}),
        (9, {"Email": "j", "Time": "1"}),
    ]


def test_a_quote_that_is_never_closed_is_refused() -> None:
    assert read(b'Email,Time\na,1\n"b,1\nc,1\n')[-1] == (3, "bad_csv")


def test_a_line_that_is_too_long_is_refused_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "LINE_BYTES_MAX", 20)
    long = b"x" * 75
    assert read(b"Email,Time\n" + long + b",1\na,1\n" + long) == [
        (2, "line_too_long"),
        (3, {"Email": "a", "Time": "1"}),
        (4, "line_too_long"),
    ]
    assert read(b'{"a": 1}\n' + long + b'\n{"a": 2}', ()) == [
        (1, {"a": 1}), (2, "line_too_long"), (3, {"a": 2})
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "contains no row"),
        (b"\n \n", "contains no row"),
        ("Email,Time\nä".encode("latin-1"), "Line 2 of file is not UTF-8.*iconv"),
        ("Email,Time".encode("utf-16"), "UTF-16.*iconv"),
        (b"PK\x03\x04....", "ZIP archive"),
        (gzip.compress(b"Email,Time\n" * 9_999, mtime=0)[:-20], "damaged after line"),
        (b"Email,When\n", "2 columns, and no column Time"),
        (b"Email,Time,Email\n", "two columns Email"),
        (b"jane@secret.example,2024\n", "no column Email, Time"),
    ],
)
def test_files_that_cannot_be_imported(raw: bytes, message: str) -> None:
    with pytest.raises(OperatorError, match=message) as error:
        read(raw)
    assert "secret" not in str(error.value)


def test_a_format_that_is_always_json_refuses_csv() -> None:
    with pytest.raises(OperatorError, match="This format is JSON"):
        read(b"Email,Time\n", ())


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8)


@given(st.lists(st.tuples(CELL, CELL), max_size=8), st.sampled_from([",", ";", "\t", "|"]))
def test_what_python_writes_is_read(rows: list[tuple[str, str]], delimiter: str) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
    writer.writerows([COLUMNS, *rows])
    read_rows = [tuple(value.values()) for _, value in read(file.getvalue().encode())]
    assert read_rows == rows


@given(st.binary(max_size=60))
def test_no_bytes_are_an_unexpected_error(raw: bytes) -> None:
    try:
        read(b"Email,Time\n" + raw)
        read(raw)
    except OperatorError:
        pass
