"""The logged part of errors of a real server, whatever raises them."""

from __future__ import annotations

from contextlib import closing

import pytest

from mauntic.database.url import connect
from shared.adapters.postgres.client import Postgres
from shared.errors import DatabaseError

EVE = "eve@example.org"
REFUSED = "a function or trigger of the database refused it (its text is not logged)"
WRONG = "a statement in a function or trigger of the database is wrong"


def answer_to(url: str, *statements: str) -> str:
    """Return the error of the last statement of a transaction."""
    with closing(Postgres(lambda: connect(url))) as db, db.transaction():
        for statement in statements[:-1]:
            db.execute(statement)
        with pytest.raises(DatabaseError) as caught:
            db.rows(statements[-1])
        db.execute("rollback")
    return str(caught.value)


@pytest.mark.parametrize(
    "state",
    ["08006", "22P02", "23514", "25006", "28000", "40001", "40P01", "42501", "42601", "53100",
     "54000", "55P03", "57014", "58030", "P0001", "P0002", "XX000", "0A000"],
)  # fmt: skip
def test_no_code_lets_a_functions_own_words_pass(database: str, state: str) -> None:
    raised = (
        f"do $$ begin raise exception 'no contact {EVE}' using errcode = '{state}',"
        f" constraint = '{EVE}', table = '{EVE}', column = '{EVE}', detail = '{EVE}'; end $$"
    )
    assert answer_to(database, raised) == f"{state}: {REFUSED}"


def test_a_triggers_own_words_do_not_pass(database: str) -> None:
    assert answer_to(
        database,
        "create function refuse() returns trigger language plpgsql as $$ begin"
        " raise exception 'no %', new.email using errcode = '23514'; end $$",
        "create trigger refuse before insert on crm.contacts for each row"
        " execute function refuse()",
        f"insert into crm.contacts (organization_id, email) values (gen_random_uuid(), '{EVE}')",
    ) == f"23514: {REFUSED}"  # fmt: skip


@pytest.mark.parametrize(
    ("state", "dynamic"),
    [
        ("42601", "select 1 {eve}"),
        ("42703", 'select "{eve}"'),
        ("42P01", 'select 1 from "{eve}"'),
        ("42704", 'select 1::"{eve}"'),
        ("3F000", 'create table "{eve}".x ()'),
        ("0A000", 'select 1 from "{eve}".b.c'),
    ],
)
def test_nor_does_what_the_server_says_of_sql_that_a_function_put_together(
    database: str, state: str, dynamic: str
) -> None:
    statement = dynamic.format(eve=EVE).replace("'", "''")
    output = answer_to(database, f"do $$ begin execute '{statement}'; end $$")
    assert output == f"{state}: {WRONG}"


def test_a_value_that_a_function_cannot_read_is_left_out(database: str) -> None:
    output = answer_to(database, f"do $$ begin perform cast('{EVE}' as uuid); end $$")
    assert output == "22P02: invalid input syntax for type uuid: …"


@pytest.mark.parametrize(
    ("statement", "output"),
    [
        ("select * from nowhere", '42P01: relation "nowhere" does not exist'),
        ("select 1 / 0", "22012: division by zero"),
        (f"select cast('{EVE}' as date)", "22007: invalid input syntax for type date: …"),
        ("select pg_sleep(1)", "57014: canceling statement due to statement timeout"),
    ],
)
def test_the_servers_own_words_about_our_statements_stay(
    database: str, statement: str, output: str
) -> None:
    assert answer_to(database, "set statement_timeout = '50ms'", statement) == output


def test_names_of_constraints_stay(database: str) -> None:
    row = "insert into crm.contacts (organization_id, status) values (gen_random_uuid(), '{}')"
    output = answer_to(
        database,
        "alter table crm.contacts add constraint known check (status <> 'x@example.org')",
        row.format("x@example.org"),
    )
    assert output.startswith("23514: ")
    assert "x@example.org" not in output
    assert "contacts" in output
