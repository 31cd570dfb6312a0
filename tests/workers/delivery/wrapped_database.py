"""A database port at whose statements something happens: another's work, an error, a crash."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from delivery.store.statements import SQL
from shared.ports import Database, Row, Statement

Hook = Callable[[str, bool], None]


@dataclass
class Wrapped:
    """Calls `before` and `after` with the name of each statement, and whether a transaction is
    open. What they raise, the statement raises."""

    db: Database
    before: Hook = lambda name, is_open: None
    after: Hook = lambda name, is_open: None
    names: list[str] = field(default_factory=list)
    is_open: bool = False

    def rows(self, sql: str, **parameters: Any) -> list[Row]:
        name = self._begin(sql)
        found = self.db.rows(sql, **parameters)
        self.after(name, self.is_open)
        return found

    def execute(self, sql: str, **parameters: Any) -> int:
        name = self._begin(sql)
        found = self.db.execute(sql, **parameters)
        self.after(name, self.is_open)
        return found

    def together(self, *statements: Statement, commit: bool = False) -> list[list[Row]]:
        """One after the other, so that something can happen at each."""
        return [self.rows(sql, **parameters) for sql, parameters in statements]

    def _begin(self, sql: str) -> str:
        name = next((name for name, text in SQL.blocks.items() if text == sql), "another")
        self.names.append(name)
        self.before(name, self.is_open)
        return name

    def ahead(self, sql: str) -> None:
        self.db.ahead(sql)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self.db.transaction():
            self.is_open = True
            try:
                yield
                self.names.append("commit")
                self.before("commit", True)
            finally:
                self.is_open = False
        self.after("commit", False)

    def open(self) -> None:
        self.db.open()

    def close(self) -> None:
        self.db.close()
