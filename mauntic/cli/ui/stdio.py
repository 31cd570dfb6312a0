"""Encodings of standard input and output: refuse invalid UTF-8, escape unprintable characters."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from io import StringIO, TextIOWrapper

from mauntic.errors import OperatorError
from mauntic.project.printable import is_readable


def let_streams_pass() -> None:
    """Make every byte of input and every character of output acceptable.

    Input is UTF-8 with or without a byte order mark; missing input counts as empty.
    """
    if sys.stdout is None:
        raise OperatorError("Standard output is closed: redirect it, for example to /dev/null.")
    if sys.stdin is None:
        sys.stdin = StringIO()
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8-sig", errors="surrogateescape")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def refuse_unreadable(arguments: Iterable[str]) -> None:
    """Raise OperatorError if an argument could not be decoded."""
    for argument in arguments:
        if not is_readable(argument):
            raise OperatorError(
                f"The argument {argument!a} cannot be read: write it in UTF-8 and set a"
                " UTF-8 locale (LC_ALL)."
            )
