"""The part of a Postgres error that may be logged: nothing that could contain a value.

The platform's triggers and functions run in this project's statements. Their texts may quote a row,
under any code that they choose; so may an error of the server about SQL that they build. An answer
contains its source: the source file (F), and the functions that it went through (W).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

# A value in the message of a data exception, in the quotes of any language of the server.
_QUOTED = re.compile(r"[\"'«»„“”‹›「].*[\"'«»„“”‹›」]", re.DOTALL)
# Source files of procedural languages: a function's `raise` names one of these.
_LANGUAGES = re.compile(r"pl(?:_|py|perl|tcl|v8|r\b|java|lua)", re.ASCII)

# Errors of these classes have fixed texts, with at most the names of tables and constraints.
_FIXED = ("08", "23", "40", "53", "54", "55", "57", "58")

# Messages of a pool before the server have no source file: it is full, or shut down.
_POOL = ("08", "53", "57", "58")


def text_of(answer: Mapping[str, str]) -> str:
    """Return the server's own message without values; for any other message the kind of error.

    >>> text_of({"C": "22P02", "M": 'invalid input syntax for type uuid: "eve"', "F": "uuid.c"})
    'invalid input syntax for type uuid: …'
    >>> text_of({"C": "40001", "M": "eve is busy", "F": "pl_exec.c", "W": "PL/pgSQL function f()"})
    'a function or trigger of the database refused it (its text is not logged)'
    """
    state, text, source = answer.get("C", ""), answer.get("M", ""), answer.get("F", "")
    if _LANGUAGES.match(source):
        return "a function or trigger of the database refused it (its text is not logged)"
    if not source:
        return text if state.startswith(_POOL) and "W" not in answer else "the error has no source"
    if state.startswith("22"):
        return _QUOTED.sub("…", text)
    if state.startswith(_FIXED) or "W" not in answer:
        return text
    return "a statement in a function or trigger of the database is wrong"
