"""The retained period, as a process that purges events declares it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import date
from uuid import UUID

import pytest

from mauntic.database.url import connect
from shared.adapters.postgres.client import Postgres

ONE, OTHER = UUID(int=1), UUID(int=2)


@pytest.fixture
def db(database: str) -> Iterator[Postgres]:
    with closing(Postgres(lambda: connect(database))) as db:
        yield db


def purged_before(db: Postgres, day: str, organization: UUID | None = None) -> None:
    db.execute("select ops.purged_before(:day, :one)", day=day, one=organization)


def since(db: Postgres, organization: UUID) -> object:
    [row] = db.rows("select ops.retained_since(:one) as day", one=organization)
    return row["day"]


def test_the_later_of_the_two_days_counts(db: Postgres) -> None:
    purged_before(db, "2026-01-01")
    purged_before(db, "2026-02-01", ONE)
    assert (since(db, ONE), since(db, OTHER)) == (date(2026, 2, 1), date(2026, 1, 1))
    purged_before(db, "2026-03-01")
    assert (since(db, ONE), since(db, OTHER)) == (date(2026, 3, 1), date(2026, 3, 1))


def test_an_earlier_day_changes_nothing(db: Postgres) -> None:
    for organization in (ONE, None):
        purged_before(db, "2026-02-01", organization)
        before = db.rows("select * from ops.retention order by organization_id")
        purged_before(db, "2026-01-01", organization)
        assert db.rows("select * from ops.retention order by organization_id") == before


def test_without_a_purge_the_source_is_complete(db: Postgres) -> None:
    [row] = db.rows("select ops.retained_since(:one) < '4000-01-01 BC' as is_whole", one=ONE)
    assert row["is_whole"]


def test_a_purge_that_is_rolled_back_declares_nothing(db: Postgres) -> None:
    with suppress(KeyError), db.transaction():
        purged_before(db, "2026-02-01", ONE)
        raise KeyError
    assert db.rows("select 1 from ops.retention") == []
