"""The settings of every transaction: one list for workers and commands.

A pool in transaction mode keeps no session state, and the defaults of a database, a role or a
server belong to the administrator. So each transaction sets everything that a result depends on, in
the round trip of its first statement.
"""

from __future__ import annotations

from collections.abc import Mapping

# Hyperdrive ends a statement after 60 s; a shorter timeout gives an error with the reason.
STATEMENT_TIMEOUT_S = 55
# A run sorts and hashes the contacts of an hour; with the default of 4 MB it would use the disk.
WORK_MEM_MB = 64

SETTINGS = {
    # The text of values: what the driver reads and writes.
    "client_encoding": "UTF8",
    "TimeZone": "UTC",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    # The meaning of SQL text. Statements name schemas; temporary tables come last.
    "search_path": "pg_catalog, pg_temp",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "transform_null_equals": "off",
    # The time limits of a statement, a lock and an idle transaction. A wait for a lock ends before
    # its statement does, so that the error names the lock. A transaction whose worker is gone must
    # not keep its rows locked: `skip locked` skips them silently.
    "statement_timeout": f"{STATEMENT_TIMEOUT_S}s",
    "lock_timeout": f"{STATEMENT_TIMEOUT_S - 5}s",
    "idle_in_transaction_session_timeout": "60s",
    # Plans for work over sets.
    "work_mem": f"{WORK_MEM_MB}MB",
    "jit": "off",
}
# The settings that a direct connection may send when it connects, also through PgBouncer:
# https://www.pgbouncer.org/config.html#ignore_startup_parameters
AT_CONNECT = {name: SETTINGS[name] for name in ("TimeZone", "DateStyle")}


# An operator's statement may read whole tables, and the operator can end it.
AS_COMMAND = SETTINGS | {"statement_timeout": "0", "idle_in_transaction_session_timeout": "10min"}


def begin(settings: Mapping[str, str] = SETTINGS) -> str:
    """Begin a transaction with these settings.

    The locking of ledger, days and backlog relies on `read committed`.
    """
    return _with("begin isolation level read committed read write", settings, "true")


def whole_session(settings: Mapping[str, str]) -> str:
    """Return the settings for a direct connection, whose statements may be outside a
    transaction.
    """
    opening = "set session characteristics as transaction isolation level read committed read write"
    return _with(opening, settings, "false")


def _with(opening: str, settings: Mapping[str, str], is_local: str) -> str:
    """Return the opening, then one statement that sets all settings and returns no row."""
    calls = [
        f"pg_catalog.set_config('{name}', '{to}', {is_local})" for name, to in settings.items()
    ]
    return f"{opening}; select where pg_catalog.concat({', '.join(calls)}) is null"
