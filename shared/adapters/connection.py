"""pg8000's connection, with one way to the server and back for a statement in place of three.

pg8000 waits for the server's word after parsing, again after describing, and again after executing.
Nothing of what it hears is needed to go on, so all is sent at once: the protocol allows it
(https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-PIPELINING). It is also
safer where connections are pooled by transaction: outside of one, each such wait ends a turn, and
the next half of the statement may reach another server process.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pg8000.native
from pg8000.converters import make_params
from pg8000.core import NULL_BYTE, SYNC_MSG, Context


class Connection(pg8000.native.Connection):  # type: ignore[misc]
    """A connection to Postgres."""

    def execute_unnamed(
        self, statement: str, vals: Sequence[Any] = (), oids: Sequence[int] = (), stream: Any = None
    ) -> Any:
        """Run a statement with its values. A COPY, which is a conversation, is left to pg8000."""
        if stream is not None:
            return super().execute_unnamed(statement, vals, oids, stream)
        parameters = make_params(self.py_types, vals)
        context = Context(statement)
        self.send_PARSE(NULL_BYTE, statement, oids)
        self.send_DESCRIBE_STATEMENT(NULL_BYTE)
        self.send_BIND(NULL_BYTE, parameters)
        self.send_EXECUTE()
        self._sock.write(SYNC_MSG)
        self._sock.flush()
        self.handle_messages(context)
        return context
