"""Every error that a job or an adapter raises, and one table of what each error means.

A row of `RULES` states whether the work is retried, whether the log may contain the error's own
text, and what an operator does. `consume` (retries), `redaction` (the log), the `mauntic` command
(remedies) and docs/errors.md all read this table. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shared.outcome import Reason


class CodedError(Exception):
    """An error with a short stable code, such as an SQLSTATE or an HTTP status.

    `message` does not contain the code, so that class, code and message can be joined.
    """

    is_safe_to_log = False

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


class DatabaseError(CodedError):
    """Postgres refused a statement. `sqlstate` is its five-character code."""

    is_safe_to_log = True

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(sqlstate, message)
        self.sqlstate = sqlstate


class DatabaseUnreachable(Exception):
    """Postgres did not answer, or the connection broke. The last statement may have committed."""


class StorageError(CodedError):
    """R2 failed. `status` is its HTTP status."""

    is_safe_to_log = True

    def __init__(self, status: int, message: str) -> None:
        super().__init__(str(status), message)
        self.status = status


class QueueUnavailable(Exception):
    """A queue did not accept messages. Some of them may have been sent, and are sent again."""


class HttpRefused(Exception):
    """The settings do not allow the URL, or the request exceeds a limit. Nothing was sent."""


class HttpFailed(CodedError):
    """There is no complete response. `begun` is False only if provably nothing was sent."""

    is_safe_to_log = True

    def __init__(self, message: str, *, begun: bool) -> None:
        super().__init__("begun" if begun else "unsent", message)
        self.begun = begun


class EmailFailed(CodedError):
    """The `send_email` binding failed. `code` is its code, or `unknown`: it may have been sent."""


class CryptoFailed(Exception):
    """A key is malformed, or a ciphertext is not authentic."""


class LeaseLost(Exception):
    """A newer run of the same window has started. The work of this run was rolled back."""


class SubjectChanged(Exception):
    """The row with the split work has another version now. The work of this part was rolled
    back.
    """


class DependencyNotReady(Exception):
    """Work that this job builds on has not finished. Try again later."""


class PermanentError(Exception):
    """The message is well formed, but no retry can succeed. Operators select by `reason`."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


Source = Literal["sqlstate", "r2", "http", "email", "exception", "outcome"]


@dataclass(frozen=True)
class Rule:
    """The meaning of an error.

    `code` is a prefix of an SQLSTATE or of an HTTP status, or the exact name of an exception or an
    outcome. `remedy` is empty if no action is needed. `safe_to_log` is True if the error's own text
    cannot contain personal data; of any other error the log has only the class. For an error with a
    code, its class decides that.
    """

    source: Source
    code: str
    retryable: bool
    meaning: str
    remedy: str = ""
    safe_to_log: bool = False


MIGRATE = "the schema is not there: `mauntic db migrate`, or `mauntic db adopt` for existing tables"
FIX_CODE = "correct the code and deploy it"
FIX_DATA = "correct the value, in the row or in the message"
FIX_PRODUCER = "correct the producer; `mauntic dlq discard` removes the message"
CHECK_POSTGRES = "check that Postgres runs and accepts connections at that address"

# The first rule that matches applies. An error without a rule is not retried.
RULES: tuple[Rule, ...] = (
    Rule("sqlstate", "08", True, "the connection failed", CHECK_POSTGRES),
    Rule("sqlstate", "40001", True, "serialization failure"),
    Rule("sqlstate", "40P01", True, "deadlock"),
    Rule("sqlstate", "40", True, "the server rolled the transaction back"),
    Rule("sqlstate", "53", True, "out of connections, memory or disk",
         "give Postgres more of it, or close what uses it"),
    Rule("sqlstate", "55P03", True, "a lock is held by another transaction"),
    Rule("sqlstate", "55006", True, "the object is in use"),
    Rule("sqlstate", "57014", True, "statement timeout"),
    Rule("sqlstate", "57P", True, "the server shuts down, crashed or starts"),
    Rule("sqlstate", "58", True, "the server's disk or system failed", "repair the server"),
    Rule("sqlstate", "25006", True, "read-only server: a failover is in progress"),
    Rule("sqlstate", "22", False, "invalid value", FIX_DATA),
    Rule("sqlstate", "23", False, "constraint violation", FIX_DATA),
    Rule("sqlstate", "42P01", False, "a table is missing", MIGRATE),
    Rule("sqlstate", "42703", False, "a column is missing", MIGRATE),
    Rule("sqlstate", "3F000", False, "a schema is missing", MIGRATE),
    Rule(
        "sqlstate", "42501", False, "the role lacks a privilege",
        "`mauntic db grants --apply` grants what the workers need",
    ),
    Rule("sqlstate", "42", False, "the statement does not fit the schema", FIX_CODE),
    Rule("sqlstate", "28", False, "wrong user or password",
         "correct user and password of the connection"),
    Rule("r2", "429", True, "too many writes to one key"),
    Rule("r2", "5", True, "R2 failed"),
    Rule("r2", "4", False, "R2 refused the request", "check the bucket and its binding"),
    Rule("http", "unsent", True, "no connection was made"),
    Rule("http", "begun", False, "no complete response: the server may have done the work",
         "look up the outcome before you repeat the request"),
    Rule("email", "E_RATE_LIMIT", True, "too many messages in a short time"),
    Rule("email", "E_DAILY_LIMIT", False, "the daily quota is used up",
         "raise the quota, or wait until midnight UTC"),
    Rule("email", "E_SENDER", False, "the sender's domain is not verified",
         "verify the domain with the provider"),
    Rule("email", "E_RECIPIENT", False, "the recipient is suppressed or not allowed"),
    Rule("email", "E_INTERNAL", False, "the provider failed: it may have sent the message",
         "look up the outcome before you repeat it"),
    Rule("email", "E_", False, "the message is invalid or was rejected", FIX_DATA),
    Rule("email", "unknown", False, "no answer: the provider may have sent the message",
         "look up the outcome before you repeat it"),
    Rule("exception", "DatabaseUnreachable", True, "no connection to Postgres, or it broke",
         CHECK_POSTGRES, safe_to_log=True),
    Rule("exception", "QueueUnavailable", True, "a queue did not accept a message",
         safe_to_log=True),
    Rule("exception", "HttpRefused", False, "the host is not allowed, or a limit is exceeded",
         "add the host to HTTP_ALLOWED_HOSTS, or correct the request", safe_to_log=True),
    Rule("exception", "CryptoFailed", False, "a key or a ciphertext is wrong",
         "check the key, and that it is the one that encrypted the text", safe_to_log=True),
    Rule("exception", "LeaseLost", True, "a newer run of the window has started",
         safe_to_log=True),
    Rule("exception", "SubjectChanged", True, "the work was planned for an earlier version",
         safe_to_log=True),
    Rule("exception", "DependencyNotReady", True, "work that it builds on has not finished",
         safe_to_log=True),
    Rule("exception", "CpuLimitExceeded", True, "the invocation used up its CPU time",
         safe_to_log=True),
    Rule("exception", "ConnectionRefusedError", True, "the peer refused the connection",
         safe_to_log=True),
    Rule("exception", "ConnectionResetError", True, "the peer reset the connection",
         safe_to_log=True),
    Rule("exception", "BrokenPipeError", True, "the peer closed the connection",
         safe_to_log=True),
    Rule("exception", "ConnectionError", True, "the connection failed", safe_to_log=True),
    Rule("exception", "TimeoutError", True, "no answer in time", safe_to_log=True),
    Rule("exception", "CancelledError", True, "what it waited for was canceled"),
    Rule("exception", "MemoryError", True, "the isolate ran out of memory", safe_to_log=True),
    Rule("exception", "PermanentError", False, "the message cannot be carried out",
         "see its reason in docs/operations.md, Dead letters",
         safe_to_log=True),
    Rule("exception", "InterfaceError", False, "the database driver was misused", FIX_CODE,
         safe_to_log=True),
    Rule("exception", "OSError", False, "the system refused an operation",
         safe_to_log=True),
    Rule("exception", "AttributeError", False, "programming error", FIX_CODE, safe_to_log=True),
    Rule("exception", "ModuleNotFoundError", False, "the bundle lacks a module", FIX_CODE,
         safe_to_log=True),
    Rule("exception", "ImportError", False, "a module cannot be imported", FIX_CODE,
         safe_to_log=True),
    Rule("exception", "NameError", False, "programming error", FIX_CODE, safe_to_log=True),
    Rule("exception", "NotImplementedError", False, "programming error", FIX_CODE,
         safe_to_log=True),
    Rule("exception", "RecursionError", False, "programming error", FIX_CODE, safe_to_log=True),
    Rule("exception", "TypeError", False, "programming error", FIX_CODE, safe_to_log=True),
    Rule("outcome", "InvalidBody", False, "the body is no valid message",
         FIX_PRODUCER, safe_to_log=True),
    Rule("outcome", "ValidationError", False, "fields of the message are missing or wrong",
         FIX_PRODUCER, safe_to_log=True),
    Rule("outcome", "UnknownType", False, "the worker has no job of this type",
         "deploy the job, or correct the producer", safe_to_log=True),
    Rule("outcome", "UnknownContact", False, "the contact does not exist",
         "create the contact; `mauntic dlq discard` removes the message", safe_to_log=True),
    Rule("outcome", "UnknownConfig", False, "a webhook names no config of its provider",
         "remove the webhook at the provider, or correct its URL", safe_to_log=True),
    Rule("outcome", "BadSignature", False, "a webhook's signature is missing, wrong or old",
         "compare the webhook's secret with the config's", safe_to_log=True),
    Rule("outcome", "ConfigUnreadable", True, "a provider config cannot be decrypted",
         "compare PROVIDER_KEY with the platform's ENCRYPTION_KEY", safe_to_log=True),
    Rule("outcome", "Busy", True, "another run of the same window is in progress",
         safe_to_log=True),
    Rule("outcome", "TooEarly", False, "the window has not ended; retried if it ends soon",
         "correct `scheduledFor`, then enqueue the message again", safe_to_log=True),
)  # fmt: skip

# Errors whose code selects the rule, by the prefix of the code.
CODED: dict[str, type[CodedError]] = {
    "sqlstate": DatabaseError,
    "r2": StorageError,
    "http": HttpFailed,
    "email": EmailFailed,
}

# The classes of errors whose own text the log may contain.
SAFE_TO_LOG = frozenset(
    {rule.code for rule in RULES if rule.safe_to_log}
    | {error.__name__ for error in CODED.values() if error.is_safe_to_log}
)


def rule_for(error: BaseException) -> Rule | None:
    """Return the rule for `error`, or None if no rule matches.

    An exception matches by its own name and by those of its base classes.
    """
    keys = [("exception", base.__name__) for base in type(error).__mro__]
    if isinstance(error, CodedError):
        keys += [(source, error.code) for source, base in CODED.items() if isinstance(error, base)]
    return next((rule for rule in RULES if any(_matches(rule, *key) for key in keys)), None)


def _matches(rule: Rule, source: str, code: str) -> bool:
    if rule.source != source:
        return False
    return code.startswith(rule.code) if source in CODED else code == rule.code


def is_retryable(error: BaseException) -> bool:
    """Return True if a retry may succeed.

    >>> is_retryable(DatabaseError("40P01", "deadlock detected"))
    True
    >>> is_retryable(KeyError("x"))
    False
    """
    rule = rule_for(error)
    return rule is not None and rule.retryable


def remedy(error: BaseException) -> str:
    """Return what an operator does about `error`; empty if nothing is known or needed.

    >>> remedy(DatabaseError("42P01", "relation does not exist"))
    'the schema is not there: `mauntic db migrate`, or `mauntic db adopt` for existing tables'
    """
    rule = rule_for(error)
    return rule.remedy if rule else ""


def error_class(error: BaseException) -> str:
    """Return a short stable name for metrics: the exception's, with its code if it has one."""
    name = type(error).__name__
    return f"{name}:{error.code}" if isinstance(error, CodedError) else name


def join_error(name: str, text: str | None) -> str:
    """Join an error's class and its text, for one line of a log or a table.

    >>> join_error("DatabaseError:42P01", "relation does not exist"), join_error("KeyError", None)
    ('DatabaseError:42P01: relation does not exist', 'KeyError')
    """
    return f"{name}: {text}" if text else name
