"""What may be repeated of an error that Postgres answered with: nothing that a value could be in.

The platform's triggers and functions run in our statements. Their words may quote a row, under any
code that they choose; so may an error of the server about SQL that they put together. An answer
says where it comes from: the source file (F), and the functions that it went through (W).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

# A value in the message of a data exception, in whatever quotes the server's language has.
_QUOTED = re.compile(r"[\"'«»„“”‹›「].*[\"'«»„“”‹›」]", re.DOTALL)
# Source files of procedural languages: what `raise` in a function says comes from one of these.
_LANGUAGES = re.compile(r"pl(?:_|py|perl|tcl|v8|r\b|java|lua)", re.ASCII)

# Errors of these classes have fixed texts, with the names of tables and constraints at most.
_FIXED = ("08", "23", "40", "53", "54", "55", "57", "58")

# What a pool before the server says of itself, which has no source file: it is full, or shut down.
_POOL = ("08", "53", "57", "58")


def text_of(answer: Mapping[str, str]) -> str:
    """The answer's message where it is the server's own and has no value in it; else what kind of
    error it is.

    >>> text_of({"C": "22P02", "M": 'invalid input syntax for type uuid: "eve"', "F": "uuid.c"})
    'invalid input syntax for type uuid: …'
    >>> text_of({"C": "40001", "M": "eve is busy", "F": "pl_exec.c", "W": "PL/pgSQL function f()"})
    'a function or trigger of the database refused it, in words of its own'
    """
    state, text, source = answer.get("C", ""), answer.get("M", ""), answer.get("F", "")
    if _LANGUAGES.match(source):
        return "a function or trigger of the database refused it, in words of its own"
    if not source:
        return text if state.startswith(_POOL) and "W" not in answer else "no source is named"
    if state.startswith("22"):
        return _QUOTED.sub("…", text)
    if state.startswith(_FIXED) or "W" not in answer:
        return text
    return "a statement in a function or trigger of the database is wrong"
