"""The errors that jobs raise on purpose, and one table of which errors are worth another try."""

from __future__ import annotations

from dataclasses import dataclass

from shared.outcome import Reason


class DatabaseError(Exception):
    """Postgres answered with an error. `sqlstate` is its five-character code."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(f"{sqlstate}: {message}")
        self.sqlstate = sqlstate


class DatabaseUnreachable(Exception):
    """Postgres did not answer, or the connection broke: what was sent may or may not be done."""


class StorageError(Exception):
    """R2 failed. `status` is its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"R2 answered {status}: {message}")
        self.status = status


class QueueUnavailable(Exception):
    """A queue did not take messages: some of them may have been sent, and will be again."""


class LeaseLost(Exception):
    """Another run of the same window has started since: what this one did was rolled back."""


class DependencyNotReady(Exception):
    """What this work builds upon is still under way: it is to be done a little later."""


class PermanentError(Exception):
    """The message is well formed but cannot be obeyed, ever. `reason` is what an operator reads."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Rule:
    """`code` is the start of an SQLSTATE or of an HTTP status, or an exception's name."""

    source: str
    code: str
    retryable: bool
    why: str


# The first rule that matches decides; an error that none matches is not retryable.
RULES: tuple[Rule, ...] = (
    Rule("sqlstate", "08", True, "connection exception"),
    Rule("sqlstate", "40001", True, "serialization failure"),
    Rule("sqlstate", "40P01", True, "deadlock"),
    Rule("sqlstate", "40", True, "transaction rolled back by the server"),
    Rule("sqlstate", "53", True, "out of connections, memory or disk"),
    Rule("sqlstate", "55P03", True, "lock not available"),
    Rule("sqlstate", "55006", True, "object in use"),
    Rule("sqlstate", "57014", True, "statement timeout"),
    Rule("sqlstate", "57P", True, "server shutting down, crashed or starting"),
    Rule("sqlstate", "58", True, "the server's disk or system failed"),
    Rule("sqlstate", "25006", True, "read only: a failover is under way"),
    Rule("sqlstate", "22", False, "a value that the database refuses"),
    Rule("sqlstate", "23", False, "a constraint says no"),
    Rule("sqlstate", "42", False, "a programming error, or a schema that is not migrated"),
    Rule("sqlstate", "28", False, "wrong user or password"),
    Rule("r2", "429", True, "too many writes to one key"),
    Rule("r2", "5", True, "R2 failed"),
    Rule("r2", "4", False, "R2 refuses the request"),
    Rule("exception", "DatabaseUnreachable", True, "no connection, or it broke"),
    Rule("exception", "QueueUnavailable", True, "a queue did not take a message"),
    Rule("exception", "LeaseLost", True, "a newer run of the window is under way"),
    Rule("exception", "DependencyNotReady", True, "what it builds upon is still under way"),
    Rule("exception", "CpuLimitExceeded", True, "the isolate's time was used up"),
    Rule("exception", "ConnectionError", True, "socket refused, reset or broken"),
    Rule("exception", "TimeoutError", True, "no answer in time"),
    Rule("exception", "CancelledError", True, "what it waited for was cancelled"),
    Rule("exception", "MemoryError", True, "the isolate was full"),
    Rule("exception", "PermanentError", False, "the message cannot be obeyed"),
)


def rule_for(error: BaseException) -> Rule | None:
    """The rule that decides over `error`, or None where no rule speaks of it."""
    keys = _keys(error)
    for rule in RULES:
        if any(source == rule.source and code.startswith(rule.code) for source, code in keys):
            return rule
    return None


def is_retryable(error: BaseException) -> bool:
    """True where another try may succeed.

    >>> is_retryable(DatabaseError("40P01", "deadlock detected"))
    True
    >>> is_retryable(KeyError("x"))
    False
    """
    rule = rule_for(error)
    return rule is not None and rule.retryable


def error_class(error: BaseException) -> str:
    """A short stable name for metrics: the exception's, with its code where it has one."""
    code = getattr(error, "sqlstate", None) or getattr(error, "status", None)
    return f"{type(error).__name__}:{code}" if code else type(error).__name__


def _keys(error: BaseException) -> list[tuple[str, str]]:
    keys = [("exception", kind.__name__) for kind in type(error).__mro__]
    if isinstance(error, DatabaseError):
        keys.append(("sqlstate", error.sqlstate))
    if isinstance(error, StorageError):
        keys.append(("r2", str(error.status)))
    return keys
