"""One list determines which rows are deleted by age: statements and runbook follow from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mauntic.database.url import connect
from mauntic.docs_gen import catalogue, kept
from mauntic.operations.worker_catalog import declared
from shared.adapters.postgres.client import Postgres
from shared.sql.blocks import SqlBlocks
from shared.tick.retention import RETENTION_PERIODS, RetentionPeriod, parameter

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MORE = (
    RetentionPeriod("ops.more", 10, ("closed_at", "opened_at"), "its end", only="status <> 'open'"),
    RetentionPeriod("ops.more_days", 10, ("day",), "the day", is_day=True),
    RetentionPeriod("ops.more_feed", 10, ("at",), "the change", is_feed=True),
)


@pytest.fixture
def db(database: str) -> Iterator[Postgres]:
    with closing(connect(database)) as owner:
        owner.run(
            "create table ops.more (status text, opened_at timestamptz, closed_at timestamptz)"
        )
        owner.run("create table ops.more_days (day date)")
        owner.run("create table ops.more_feed (id bigint, at timestamptz)")
    with closing(Postgres(lambda: connect(database))) as opened:
        yield opened


def block(text: str, tmp_path: Any) -> str:
    (tmp_path / "made.sql").write_text(text)
    [statement] = SqlBlocks(tmp_path).blocks.values()
    return statement


def bounds(lists: tuple[RetentionPeriod, ...]) -> dict[str, datetime]:
    return {parameter(one): NOW - timedelta(days=one.days) for one in lists}


def test_a_table_is_added_by_an_entry_of_the_list_alone(db: Postgres, tmp_path: Any) -> None:
    db.execute(
        "insert into ops.more values ('open', :old, null), ('done', :old, null),"
        " ('done', :old, :new), ('done', :new, :old)",
        old=NOW - 11 * DAY, new=NOW - 9 * DAY,
    )  # fmt: skip
    db.execute("insert into ops.more_days values ('2026-02-27'), ('2026-02-28'), ('2026-03-01')")
    db.execute(
        "insert into ops.more_feed values (1, :old), (2, :new), (3, :old)",
        old=NOW - 11 * DAY, new=NOW - 9 * DAY,
    )  # fmt: skip
    every = RETENTION_PERIODS + MORE
    reported = db.rows(block(kept.report(every), tmp_path), **bounds(every))
    assert [tuple(row.values()) for row in reported[len(RETENTION_PERIODS) :]] == [
        ("ops.more", 4, NOW - 11 * DAY, 2),
        ("ops.more_days", 3, datetime(2026, 2, 27, tzinfo=UTC), 1),
        ("ops.more_feed", 3, NOW - 11 * DAY, 2),
    ]
    [gone] = db.rows(
        block(kept.deletion(every), tmp_path),
        **bounds(every), brief_jobs=[], brief_before=[], now=NOW, most=2,
    )  # fmt: skip
    assert {table: rows for table, rows in gone.items() if rows} == {
        "ops__more": 2, "ops__more_days": 1, "ops__more_feed": 1,
    }  # fmt: skip
    assert [row["id"] for row in db.rows("select id from ops.more_feed order by id")] == [2, 3]
    assert [row["status"] for row in db.rows("select status from ops.more")] == ["open", "done"]
    assert "| `ops.more` | 10 days | its end | `RETENTION_DAYS_MORE` |" in kept.page(every)


def test_what_a_tick_deletes_is_what_the_list_says() -> None:
    """An entry of the list that is in no statement would keep its rows permanently."""
    assert [one.name for one in catalogue.stale(declared().workers)] == []


@pytest.mark.parametrize("name", ['ops."more"', "ops.more; select 1", "Ops.more", "ops.", ""])
def test_a_name_that_would_need_quotes_is_refused(name: str) -> None:
    for one in (
        RetentionPeriod(name, 10, ("at",), ""),
        RetentionPeriod("ops.more", 10, ("at", name), ""),
    ):
        with pytest.raises(ValueError, match="is not a plain name"):
            kept.deletion([one])
        with pytest.raises(ValueError, match="is not a plain name"):
            kept.report([one])
