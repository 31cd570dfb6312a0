"""Text on its way in and out. What is no UTF-8 is refused in words; what the terminal has no letter
for is written as its code."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from io import StringIO, TextIOWrapper

from mauntic.errors import OperatorError
from mauntic.project.printable import is_readable


def let_streams_pass() -> None:
    """Let no byte of the input and no character of the output end a command. Input is UTF-8, with
    or without a byte order mark, which some editors put first; none at all is an empty one."""
    if sys.stdout is None:
        raise OperatorError("Standard output is closed: lead it somewhere, such as to /dev/null.")
    if sys.stdin is None:
        sys.stdin = StringIO()
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8-sig", errors="surrogateescape")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def refuse_unreadable(arguments: Iterable[str]) -> None:
    """OperatorError where an argument could not be decoded."""
    for argument in arguments:
        if not is_readable(argument):
            raise OperatorError(
                f"The argument {argument!a} cannot be read: write it in UTF-8, and have the"
                " locale (LC_ALL) be one of UTF-8."
            )
