"""Read the numbered lines of a file or of standard input: UTF-8, plain or gzip."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple, cast

from mauntic.errors import OperatorError

LINE_BYTES_MAX = 16 * 1024 * 1024
STDIN = "-"
_GZIP, _ZIP, _BOM = b"\x1f\x8b", b"PK\x03\x04", b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


class Line(NamedTuple):
    """A line with its number, from 1. `text` is None if the line is too long to be read."""

    number: int
    text: str | None


class Source:
    """An open file. `position` is the number of bytes read so far, `size` the bytes in total."""

    def __init__(self, raw: IO[bytes], name: str, size: int | None) -> None:
        self.name = name
        self.size = size
        self._raw = _Counted(raw)
        self._number = 0

    @property
    def position(self) -> int:
        return self._raw.count

    def lines(self) -> Iterator[Line]:
        """Yield the lines without their ends. Raise OperatorError for what is not UTF-8."""
        content = self._unpacked()
        while raw := self._read(lambda: content.readline(LINE_BYTES_MAX + 1)):
            self._number += 1
            if self._number == 1:
                raw = self._without_mark(raw)
            if len(raw) > LINE_BYTES_MAX:
                while raw and not raw.endswith(b"\n"):
                    raw = self._read(lambda: content.readline(LINE_BYTES_MAX))
                yield Line(self._number, None)
            else:
                yield Line(self._number, self._decoded(raw))

    def _unpacked(self) -> IO[bytes]:
        buffered = io.BufferedReader(cast(io.RawIOBase, self._raw), 1 << 20)
        start = buffered.peek(4)[:4]
        if start.startswith(_ZIP):
            raise OperatorError(
                f"{self.name} is a ZIP archive: unpack it and import its files one by one."
            )
        if start.startswith(_GZIP):
            return cast(IO[bytes], gzip.GzipFile(fileobj=buffered))
        return buffered

    def _read(self, read: Callable[[], bytes]) -> bytes:
        try:
            return read()
        except (EOFError, gzip.BadGzipFile, zlib.error):
            raise OperatorError(
                f"The compressed file {self.name} is damaged after line {self._number}:"
                " get it again and run the same command."
            ) from None
        except OSError as error:
            raise OperatorError(f"{self.name} cannot be read: {type(error).__name__}.") from None

    def _without_mark(self, raw: bytes) -> bytes:
        if raw.startswith(_UTF_16):
            raise OperatorError(
                f"{self.name} is UTF-16: convert it with `iconv -f UTF-16 -t UTF-8`."
            )
        return raw.removeprefix(_BOM)

    def _decoded(self, raw: bytes) -> str:
        try:
            return raw.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise OperatorError(
                f"Line {self._number} of {self.name} is not UTF-8: convert the file, for example"
                " with `iconv -f WINDOWS-1252 -t UTF-8`, and run the same command."
            ) from None


@contextmanager
def open_source(name: str) -> Iterator[Source]:
    """Yield the named file, or standard input for `-`."""
    if name == STDIN:
        yield Source(_standard_input(), "standard input", None)
        return
    try:
        file = Path(name).open("rb")  # noqa: SIM115
    except OSError as error:
        raise OperatorError(f"{name} cannot be read: {type(error).__name__}.") from None
    with file:
        yield Source(file, name, Path(name).stat().st_size)


def _standard_input() -> IO[bytes]:
    """Return the bytes of standard input, also where it is replaced by a text."""
    buffer: IO[bytes] | None = getattr(sys.stdin, "buffer", None)
    return buffer or io.BytesIO(sys.stdin.read().encode())


class _Counted(io.RawIOBase):
    """Counts the bytes that are read, for the progress."""

    def __init__(self, raw: IO[bytes]) -> None:
        self.count = 0
        self._raw_file = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._raw_file.read(len(buffer))
        buffer[: len(data)] = data
        self.count += len(data)
        return len(data)
