"""The meaning of each error: retried or not, logged or not, and its remedy."""

from __future__ import annotations

from asyncio import CancelledError
from typing import Any

import pytest

from mauntic.cli import main as command
from mauntic.docs_gen.pages import errors_page
from shared import errors
from shared.error_text import error_text
from shared.errors import (
    RULES,
    CodedError,
    DatabaseError,
    DatabaseUnreachable,
    EmailFailed,
    HttpFailed,
    Rule,
    StorageError,
    error_class,
    is_retryable,
    join_error,
    remedy,
    rule_for,
)
from shared.telemetry.redaction import describe_error
from tests.shared.toy import CpuLimitExceeded

RETRYABLE = {
    "08006", "40001", "40P01", "40002", "53300", "55P03", "55006", "57014", "57P01", "58030",
    "25006",
}  # fmt: skip
NOT_RETRYABLE = {
    "22P02", "23505", "42P01", "42703", "42501", "42601", "3F000", "28P01", "XX000", "P0001",
    "0A000", "25P02",
}  # fmt: skip
RETRYABLE_EXCEPTIONS = {
    "DatabaseUnreachable", "QueueUnavailable", "LeaseLost", "DependencyNotReady",
    "SubjectChanged", "CpuLimitExceeded", "ConnectionError", "ConnectionRefusedError",
    "ConnectionResetError", "BrokenPipeError", "TimeoutError", "CancelledError", "MemoryError",
}  # fmt: skip


def example(rule: Rule) -> BaseException:
    """An error to which the rule applies."""
    if rule.source == "sqlstate":
        return DatabaseError(rule.code.ljust(5, "0"), "no")
    if rule.source == "r2":
        return StorageError(int(rule.code.ljust(3, "0")), "no")
    if rule.source == "http":
        return HttpFailed("no", begun=rule.code == "begun")
    if rule.source == "email":
        return EmailFailed(rule.code, "no")
    classes: dict[str, Any] = vars(errors) | vars(__import__("builtins"))
    classes |= {"CpuLimitExceeded": CpuLimitExceeded, "CancelledError": CancelledError}
    classes["InterfaceError"] = type("InterfaceError", (Exception,), {})
    arguments = {"PermanentError": ("unknown_contact", "no")}
    made: BaseException = classes[rule.code](*arguments.get(rule.code, ()))
    return made


@pytest.mark.parametrize(
    "rule",
    [rule for rule in RULES if rule.source != "outcome"],
    ids=lambda rule: f"{rule.source}-{rule.code}",
)
def test_each_row_applies_to_its_error(rule: Rule) -> None:
    error = example(rule)
    assert rule_for(error) is rule
    assert is_retryable(error) is rule.retryable


def test_no_two_rows_have_the_same_code() -> None:
    keys = [(rule.source, rule.code) for rule in RULES]
    assert len(keys) == len(set(keys))


def test_the_exceptions_that_are_retried() -> None:
    rules = [rule for rule in RULES if rule.source == "exception"]
    assert {rule.code for rule in rules if is_retryable(example(rule))} == RETRYABLE_EXCEPTIONS


@pytest.mark.parametrize("sqlstate", sorted(RETRYABLE))
def test_states_of_the_server_that_pass(sqlstate: str) -> None:
    assert is_retryable(DatabaseError(sqlstate, "no"))


@pytest.mark.parametrize("sqlstate", sorted(NOT_RETRYABLE))
def test_states_of_the_server_that_stay(sqlstate: str) -> None:
    assert not is_retryable(DatabaseError(sqlstate, "no"))


@pytest.mark.parametrize(
    ("status", "retryable"), [(429, True), (500, True), (503, True), (400, False), (403, False)]
)
def test_r2(status: int, retryable: bool) -> None:
    assert is_retryable(StorageError(status, "no")) is retryable


@pytest.mark.parametrize(
    "name",
    ["LeaseLostForGood", "DependencyNotReadyYet", "TimeoutErrorPage", "MemoryErrorReport", "40001"],
)
def test_a_name_that_only_begins_like_a_rule_is_not_retried(name: str) -> None:
    stranger = type(name, (Exception,), {})("x")
    assert rule_for(stranger) is None
    assert not is_retryable(stranger)


def test_an_outcome_that_is_unknown_is_never_repeated() -> None:
    """The server may have done the work. A request that was not sent is repeated."""
    assert is_retryable(HttpFailed("x", begun=False))
    assert not is_retryable(HttpFailed("x", begun=True))
    for code in ("unknown", "E_INTERNAL_SERVER_ERROR", "E_DELIVERY_FAILED"):
        assert not is_retryable(EmailFailed(code, "x"))
    assert is_retryable(EmailFailed("E_RATE_LIMIT_EXCEEDED", "x"))


def test_the_text_of_the_email_binding_is_not_logged() -> None:
    """It may contain the recipient's address."""
    error = EmailFailed("E_RECIPIENT_SUPPRESSED", "eve@example.org is suppressed")
    assert describe_error(error) == "EmailFailed:E_RECIPIENT_SUPPRESSED"


def test_a_rule_applies_to_subclasses() -> None:
    assert is_retryable(ConnectionAbortedError())
    assert is_retryable(type("QueueFull", (errors.QueueUnavailable,), {})("x"))
    assert not is_retryable(FileNotFoundError())


def test_an_error_without_a_rule_is_a_programming_error() -> None:
    for stranger in (KeyError("x"), AssertionError(), ZeroDivisionError(), ValueError("x")):
        assert rule_for(stranger) is None
        assert not is_retryable(stranger)


def test_the_class_carries_the_code() -> None:
    assert error_class(DatabaseError("23505", "no")) == "DatabaseError:23505"
    assert error_class(StorageError(429, "no")) == "StorageError:429"
    assert error_class(KeyError("x")) == "KeyError"


def test_a_status_of_a_foreign_error_is_not_its_code() -> None:
    """It may contain anything, so only the class is logged."""
    foreign = type("Foreign", (Exception,), {"status": "eve@example.org"})("x")
    assert error_class(foreign) == "Foreign"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (DatabaseError("42P01", 'relation "x" does not exist'),
         'DatabaseError:42P01: relation "x" does not exist'),
        (StorageError(429, "slow down (10058)"), "StorageError:429: slow down (10058)"),
        (DatabaseUnreachable("cannot connect"), "DatabaseUnreachable: cannot connect"),
    ],
)  # fmt: skip
def test_a_code_is_shown_once(error: Exception, text: str) -> None:
    assert join_error(error_class(error), error_text(error)) == text
    assert describe_error(error) == text


def test_the_text_alone_has_the_code() -> None:
    """The command shows it without the class."""
    assert str(DatabaseError("22012", "division by zero")) == "22012: division by zero"
    assert isinstance(DatabaseError("22012", "x"), CodedError)


@pytest.mark.parametrize("sqlstate", ["42P01", "42703", "3F000"])
def test_the_command_names_the_remedy_for_a_missing_schema(sqlstate: str) -> None:
    error = DatabaseError(sqlstate, "x does not exist")
    assert command.remedy(error) == f": {remedy(error)}"
    assert "`mauntic db migrate`" in command.remedy(error)


def test_the_command_adds_nothing_where_there_is_no_remedy() -> None:
    assert command.remedy(DatabaseError("40P01", "deadlock detected")) == ""
    assert command.remedy(RuntimeError("x")) == ""


def test_the_page_has_every_row() -> None:
    lines = errors_page().splitlines()
    for rule in RULES:
        [line] = [line for line in lines if line.startswith(f"| `{rule.code}` | {rule.meaning} |")]
        assert f"| {'yes' if rule.retryable else 'no'} |" in line
        assert line.endswith(f"| {rule.remedy or '—'} |")
