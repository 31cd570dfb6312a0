"""The rights of the two roles: enough for the jobs, no more than they use, no table forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mauntic.database.url import connect
from mauntic.errors import OperatorError
from mauntic.operations import grants
from mauntic.operations.connection import database_at
from shared.sql.blocks import SqlBlocks
from tests.roles import ROLES, as_worker

ROOT = Path(__file__).resolve().parent.parent
STATEMENTS = [
    text
    for folder in [
        ROOT / "shared" / "sql",
        *sorted(ROOT.glob("workers/*/sql")),
        *sorted(ROOT.glob("workers/*/sql/criteria")),
    ]
    for text in SqlBlocks(folder).blocks.values()
]
VERBS = {"insert into": "insert", "update": "update", "delete from": "delete"}
TABLES = (
    "select nspname || '.' || relname from pg_class join pg_namespace as n on n.oid = relnamespace"
    " where nspname in ('analytics', 'campaign', 'content', 'crm', 'delivery',"
    " 'journey', 'ops', 'scoring')"
    " and relname <> 'schema_migrations' and relkind = any(:kinds)"
)


@pytest.fixture
def owner(database: str) -> Iterator[Any]:
    with closing(connect(database)) as connection:
        yield connection


def used() -> dict[str, set[str]]:
    """Return the rights that the workers' statements use, read from their text, without reading.

    Locking a row needs the right to update it.
    """
    ours = rf"(?:{'|'.join(grants.SCHEMAS)})\.\w+"
    written = re.compile(rf"\b({'|'.join(VERBS)})\s+({ours})")
    locked = re.compile(rf"\bfrom\s+({ours})(?:(?!\bfrom\b).)*?\bfor (?:update|share)", re.DOTALL)
    found: dict[str, set[str]] = {}
    for text in STATEMENTS:
        plain = re.sub(r"--[^\n]*", "", text)
        for match in written.finditer(plain):
            verb, table = match.groups()
            found.setdefault(table, set()).add(VERBS[verb])
            if verb == "insert into" and "do update" in plain[match.end() :].split("returning")[0]:
                found[table].add("update")
        for table in locked.findall(plain):
            found.setdefault(table, set()).add("update")
    return found


def test_every_table_of_ours_has_an_entry(owner: Any) -> None:
    tables = {name for [name] in owner.run(TABLES, kinds=["r", "v", "p"])}
    assert tables == grants.WORKERS.keys()
    assert grants.PLATFORM.keys() <= tables


def test_the_workers_may_write_what_their_statements_write_and_nothing_else() -> None:
    given = {
        table: {right.partition(" (")[0] for right in rights} - {"select"}
        for table, rights in grants.WORKERS.items()
    }
    assert {table: rights for table, rights in given.items() if rights} == used()


def test_the_workers_may_read_what_their_statements_name() -> None:
    named = rf"\b(?:{'|'.join(grants.SCHEMAS)})\.\w+"
    text = "\n".join(re.sub(r"--[^\n]*", "", one) for one in STATEMENTS)
    readable = {table for table, rights in grants.WORKERS.items() if "select" in rights}
    assert set(re.findall(named, text)) & grants.WORKERS.keys() == readable


def test_nothing_is_missing_and_a_right_that_is_taken_away_is_named(database: str) -> None:
    with closing(database_at(database)) as db:
        assert grants.missing(db, ROLES.workers) == []
        db.execute(f"revoke update on ops.job_runs from {ROLES.workers}")
        db.execute(f"revoke usage on sequence scoring.backlog_version from {ROLES.workers}")
        db.execute("drop table scoring.threshold_outbox")
        assert grants.missing(db, ROLES.workers) == [
            "delete on scoring.threshold_outbox",
            "insert on scoring.threshold_outbox",
            "select on scoring.threshold_outbox",
            "update on ops.job_runs",
            "update on scoring.threshold_outbox",
            "usage on sequence scoring.backlog_version",
        ]


def test_applying_again_takes_away_what_is_no_longer_on_the_list(database: str) -> None:
    with closing(database_at(database)) as db:
        db.execute(f"grant delete on crm.contacts to {ROLES.workers}")
        grants.apply(db, ROLES)
        [row] = db.rows(
            f"select has_table_privilege('{ROLES.workers}', 'crm.contacts', 'delete') as may"
        )
    assert row["may"] is False


@pytest.mark.parametrize(
    "statement",
    [
        "select email from crm.contacts limit 0; delete from crm.contacts",
        "update crm.contacts set email = null",
        "update analytics.contact_activity set event_type = 'x'",
        "select ops.purged_before(date '2026-01-01')",
        "select scoring.request_recompute('{}', '{}', 'x')",
        "alter table ops.job_runs add column more text",
        "create table ops.more (n integer)",
        "create role another",
    ],
)
def test_a_worker_may_not(statement: str, database: str) -> None:
    with closing(as_worker(database)) as worker:
        worker.run("set default_transaction_read_only = off")
        with pytest.raises(Exception, match="42501"):
            worker.run(statement)


def test_the_platform_calls_its_functions_and_reads_no_ledger(owner: Any) -> None:
    owner.run(f"set role {ROLES.platform}")
    org, contact = f"{1:032x}", f"{2:032x}"
    owner.run("select ops.purged_before(date '2026-01-01')")
    owner.run(
        f"select scoring.request_recompute(array['{org}']::uuid[], array['{contact}']::uuid[], 'x')"
    )
    [[alert]] = owner.run(
        f"select scoring.open_alert('{org}', '{contact}', 'DEMO_REQUEST', 'high')"
    )
    assert alert is not None
    owner.run("update scoring.signal_alerts set status = 'acknowledged', acknowledged_at = now()")
    for table in ("ops.job_runs", "ops.dead_letters", "scoring.recompute_backlog"):
        with pytest.raises(Exception, match="42501"):
            owner.run(f"select * from {table}")


def test_what_runs_with_its_owners_rights_names_its_schemas(owner: Any) -> None:
    """It searches temporary schemas last: a caller's temporary table must not replace a table."""
    loose = owner.run(
        "select proname from pg_proc join pg_namespace as n on n.oid = pronamespace"
        " where nspname in ('analytics', 'campaign', 'content', 'crm', 'delivery',"
        " 'journey', 'ops', 'scoring') and prosecdef"
        " and prosqlbody is null"
        " and not 'search_path=pg_catalog, pg_temp' = any(coalesce(proconfig, '{}'))"
    )
    assert loose == []


def test_what_runs_with_its_owners_rights_is_called_by_the_platform_alone(owner: Any) -> None:
    """No role calls a trigger's function; any other is open to all until that is revoked."""
    open_to_all = owner.run(
        "select proname from pg_proc join pg_namespace as n on n.oid = pronamespace"
        " where nspname in ('analytics', 'campaign', 'content', 'crm', 'delivery',"
        " 'journey', 'ops', 'scoring') and prosecdef"
        " and prorettype <> 'trigger'::regtype"
        " and has_function_privilege('public', pg_proc.oid, 'execute')"
    )
    assert open_to_all == []


def test_the_file_is_what_the_command_prints() -> None:
    file = (ROOT / "grants.sql").read_text(encoding="utf-8")
    assert file == grants.script(grants.Roles())


@pytest.mark.parametrize("name", ["Robert; drop table x", 'a"b', "", "A", "x" * 64])
def test_a_role_has_a_plain_name(name: str) -> None:
    with pytest.raises(OperatorError, match="not a valid role name"):
        grants.Roles(workers=name)
