"""Parse lines as CSV with a header, or as one JSON value a line."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

from mauntic.errors import OperatorError
from mauntic.event_import.event import Refused
from mauntic.event_import.lines import Line

DELIMITERS = (",", ";", "\t", "|")


class Record(NamedTuple):
    """A parsed row with the number of its first line; `value` is the reason if it is refused."""

    line: int
    value: Any | Refused


def records(lines: Iterator[Line], columns: Sequence[str]) -> Iterator[Record]:
    """Yield the rows of CSV as dicts, or the values of JSON lines.

    `columns` are the columns that a header must have; a format that is always JSON has none.
    """
    first = next((line for line in lines if line.text is None or line.text.strip()), None)
    if first is None:
        raise OperatorError("The file contains no row.")
    start = (first.text or "").lstrip()[:1]
    if start in ("{", "["):
        return _json(chain([first], lines))
    if not columns:
        raise OperatorError("This format is JSON, one record on each line, and the file is not.")
    return _csv(first, lines, columns)


def _json(lines: Iterable[Line]) -> Iterator[Record]:
    for number, text in lines:
        if text is None:
            yield Record(number, Refused("line_too_long"))
        elif text.strip():
            yield Record(number, _parsed(text))


def _parsed(text: str) -> Any | Refused:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return Refused("bad_json")


def _csv(first: Line, lines: Iterator[Line], columns: Sequence[str]) -> Iterator[Record]:
    header, delimiter = _header(first.text or "", columns)
    reading = _Rows(lines, first.number, delimiter)
    for number, row in reading:
        if isinstance(row, Refused):
            yield Record(number, row)
        elif len(row) != len(header):
            yield Record(number, Refused("wrong_columns"))
        else:
            yield Record(number, dict(zip(header, row, strict=True)))


def _header(text: str, columns: Sequence[str]) -> tuple[list[str], str]:
    """Return the names of the columns and the delimiter with which all required ones are found."""
    best: list[str] = []
    for delimiter in DELIMITERS:
        names = [name.strip() for name in next(csv.reader([text], delimiter=delimiter), [])]
        if set(columns) <= set(names):
            doubled = {name for name in columns if names.count(name) > 1}
            if doubled:
                raise OperatorError(f"The header has two columns {', '.join(sorted(doubled))}.")
            return names, delimiter
        best = max(best, names, key=len)
    # Not the names of the file: without a header they would be a person's data.
    missing = ", ".join(name for name in columns if name not in best)
    raise OperatorError(
        f"The first line has {len(best)} columns, and no column {missing}: CSV needs a header;"
        " JSON needs one object on each line."
    )


class _Rows:
    """The rows of CSV after the header, each with the number of its first line.

    An error ends one row only: the rest of the line, or up to the closing quote, is refused.
    """

    def __init__(self, lines: Iterator[Line], header_line: int, delimiter: str) -> None:
        self._lines = lines
        self._first = self._last = header_line
        self._is_too_long = False
        self._reader = csv.reader(self._texts(), delimiter=delimiter, strict=True)

    def __iter__(self) -> Iterator[tuple[int, list[str] | Refused]]:
        while True:
            self._first, self._is_too_long = 0, False
            row: list[str] | Refused | None
            try:
                row = next(self._reader)
            except StopIteration:
                return
            except csv.Error:
                row = Refused("bad_csv")
            if self._is_too_long:
                row = Refused("line_too_long")
            if row:
                yield self._first or self._last, row

    def _texts(self) -> Iterator[str]:
        for number, text in self._lines:
            self._last = number
            self._first = self._first or number
            self._is_too_long |= text is None
            yield f"{text or ''}\n"
