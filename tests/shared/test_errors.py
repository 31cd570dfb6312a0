"""Which errors are worth another try: a test a row of the table."""

from __future__ import annotations

from asyncio import CancelledError

import pytest

from shared import errors
from shared.errors import (
    RULES,
    DatabaseError,
    Rule,
    StorageError,
    error_class,
    is_retryable,
    rule_for,
)
from tests.shared.toy import CpuLimitExceeded

RETRYABLE = {
    "08006", "40001", "40P01", "40002", "53300", "55P03", "55006", "57014", "57P01", "58030",
    "25006",
}  # fmt: skip
NOT_RETRYABLE = {"22P02", "23505", "42P01", "28P01", "XX000", "P0001", "0A000", "25P02"}
RETRYABLE_EXCEPTIONS = {
    "DatabaseUnreachable", "QueueUnavailable", "LeaseLost", "DependencyNotReady",
    "CpuLimitExceeded",
    "ConnectionError", "TimeoutError", "CancelledError", "MemoryError",
}  # fmt: skip


def example(rule: Rule) -> BaseException:
    """An error that the row speaks of."""
    if rule.source == "sqlstate":
        return DatabaseError(rule.code.ljust(5, "0"), "no")
    if rule.source == "r2":
        return StorageError(int(rule.code.ljust(3, "0")), "no")
    known = {"CpuLimitExceeded": CpuLimitExceeded, "CancelledError": CancelledError}
    known |= vars(errors) | vars(__import__("builtins"))
    kind = known[rule.code]
    arguments = {"PermanentError": ("unknown_contact", "no")}
    made: BaseException = kind(*arguments.get(rule.code, ()))
    return made


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.source}-{rule.code}")
def test_each_row_decides_over_its_error(rule: Rule) -> None:
    error = example(rule)
    assert rule_for(error) is rule
    assert is_retryable(error) is rule.retryable


def test_the_exceptions_that_are_worth_another_try() -> None:
    rules = [rule for rule in RULES if rule.source == "exception"]
    assert {rule.code for rule in rules if is_retryable(example(rule))} == RETRYABLE_EXCEPTIONS
    assert {rule.code for rule in rules} - RETRYABLE_EXCEPTIONS == {"PermanentError"}


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


def test_a_subclass_is_as_its_parent_and_a_stranger_is_a_programming_error() -> None:
    assert is_retryable(ConnectionResetError())
    assert is_retryable(TimeoutError())
    for stranger in (KeyError("x"), AssertionError(), ZeroDivisionError(), RecursionError()):
        assert rule_for(stranger) is None
        assert not is_retryable(stranger)


def test_the_name_of_an_error_carries_its_code() -> None:
    assert error_class(DatabaseError("23505", "no")) == "DatabaseError:23505"
    assert error_class(StorageError(429, "no")) == "StorageError:429"
    assert error_class(KeyError("x")) == "KeyError"
