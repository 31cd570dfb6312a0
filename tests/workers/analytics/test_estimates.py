"""The planner knows how many events a shard has: when it expected one it chose slow plans."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from analytics.store import statements
from mauntic.database.embedded.server import Server
from mauntic.database.url import connect
from shared.adapters.postgres.client import Postgres
from shared.ledger.shards import contact_bounds, part_bounds
from shared.messages import Shard
from tests.scratch import scratch_database
from tests.workers.analytics.history import DAY, org


def contact(digit: int) -> UUID:
    """Return the first contact whose id begins with that digit."""
    return UUID(int=digit << 124)


LARGE = org(5)  # nine tenths of all events, between small organizations
FACTOR_MAX = 10


@pytest.fixture(scope="module")
def template(postgres: Server, migrated: str) -> Iterator[str]:
    """Yield the name of a database with 60,000 events of a month: five types, a sixth of them
    opens, contacts with random ids.
    """
    with scratch_database(postgres, migrated) as url:
        fill(url)
        yield url.rpartition("/")[2]


@pytest.fixture
def database(postgres: Server, template: str) -> Iterator[str]:
    with scratch_database(postgres, template) as url:
        yield url


@pytest.fixture
def month(database: str) -> Iterator[Postgres]:
    with closing(Postgres(lambda: connect(database))) as db:
        yield db


def fill(url: str) -> None:
    with closing(Postgres(lambda: connect(url))) as db:
        db.execute("alter table analytics.contact_activity disable trigger user")
        db.execute(
            """
            insert into analytics.contact_activity
                (organization_id, contact_id, event_type, event_source, occurred_at, created_at)
            select lpad(case when n % 10 < 9 then 5 else 1 + n / 10 % 9 end::text, 32, '0')::uuid,
                md5((n * 7919 % 5000)::text)::uuid,
                (array['email_clicked', 'email_delivered', 'email_opened', 'email_sent',
                    'email_sent', 'page_visited'])[1 + n % 6],
                md5('campaign' || n % 20)::uuid::text, at, at
            from generate_series(0, 59999) as n
            cross join lateral (
                select cast(:day as timestamptz) + n * interval '44 seconds'
            ) as moment (at)
            """,
            day=DAY,
        )
    vacuum(url)


def vacuum(url: str) -> None:
    """It must run outside a transaction."""
    with closing(connect(url)) as connection:
        connection.run("vacuum analyze analytics.contact_activity")


def scans(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if plan.get("Relation Name") == "contact_activity":
        yield plan
    for part in plan.get("Plans", []):
        yield from scans(part)


def planned(db: Postgres, sql: str, **parameters: Any) -> list[tuple[int, int]]:
    """Return the planner's estimate of each scan of the events, and its actual rows."""
    [row] = db.rows(f"explain (analyze, format json) {sql}", **parameters)
    [answer] = row.values()
    return [
        (scan["Plan Rows"] * scan["Actual Loops"], scan["Actual Rows"] * scan["Actual Loops"])
        for scan in scans(answer[0]["Plan"])
    ]


def assert_known(estimates: list[tuple[int, int]]) -> None:
    assert estimates
    for expected, actual in estimates:
        assert actual / FACTOR_MAX <= expected <= max(actual, 1) * FACTOR_MAX, estimates


SHARDS: tuple[dict[str, Any], ...] = (
    {"untilOrganization": LARGE},
    {"firstOrganization": LARGE, "untilOrganization": LARGE, "untilPart": "email_opened"},
    {
        "firstOrganization": LARGE,
        "untilOrganization": LARGE,
        "firstPart": "email_sent",
        "untilPart": "page_visited",
    },
    {"firstOrganization": LARGE, "untilOrganization": LARGE, "firstPart": "page_visited"},
    {"firstOrganization": org(6)},
)


def expected_of(db: Postgres, part: dict[str, Any]) -> list[tuple[int, int]]:
    shard = Shard.model_validate({"index": 1, "of": 5} | part)
    predicate = (statements.SQL.folder / "parts" / "within_shard.sql").read_text()
    sql = f"select event_type from analytics.contact_activity where {predicate}"
    return planned(db, sql, **part_bounds(shard))


@pytest.mark.parametrize("part", SHARDS)
def test_the_events_of_a_shard_are_as_many_as_the_planner_expects(
    month: Postgres, part: dict[str, Any]
) -> None:
    assert_known(expected_of(month, part))


def test_also_where_one_organization_has_every_event(database: str, month: Postgres) -> None:
    """Because of row comparisons the planner expected one event of 50,000."""
    month.execute(
        "delete from analytics.contact_activity where organization_id <> :large", large=LARGE
    )
    vacuum(database)
    for part in SHARDS[1:4]:
        assert_known(expected_of(month, part))


MARCH = {"start": DAY, "end": DAY + timedelta(days=31)}
ONE_DAY = {"start": DAY, "end": DAY + timedelta(days=1), "days": [DAY.date()]}
PIECES: tuple[dict[str, Any], ...] = (
    {"untilOrganization": LARGE},
    {"firstOrganization": LARGE, "untilOrganization": LARGE, "untilContact": contact(4)},
    {
        "firstOrganization": LARGE,
        "untilOrganization": LARGE,
        "firstContact": contact(4),
        "untilContact": contact(9),
    },
    {"firstOrganization": LARGE, "untilOrganization": LARGE, "firstContact": contact(9)},
)


@pytest.mark.parametrize(
    ("statement", "span", "part"),
    [
        *(("set_monthly_usage", MARCH, part) for part in PIECES),
        *(("count_usage", MARCH, part) for part in PIECES[1:]),
        *(("report_days", ONE_DAY, part) for part in PIECES),
        *(("count_campaigns", ONE_DAY, part) for part in PIECES[1:]),
    ],
)
def test_the_statements_of_a_piece_read_what_the_planner_expects(
    month: Postgres, statement: str, span: dict[str, Any], part: dict[str, Any]
) -> None:
    shard = Shard.model_validate({"index": 1, "of": 5, "pieces": 3} | part)
    sql = statements.SQL[statement]
    asked = span | contact_bounds(shard) | {
        "first_day": DAY.date(), "until_day": DAY.date() + timedelta(days=31), "day": DAY.date(),
        "before_retention": False, "unretained_day": None, "job_type": "", "window_start": DAY,
        "split": 1, "piece": 1,
    }  # fmt: skip
    assert_known(planned(month, sql, **{k: v for k, v in asked.items() if f":{k}" in sql}))


def test_whether_a_span_is_too_much_is_asked_of_a_few_events(month: Postgres) -> None:
    """It counts no further than necessary."""
    asked = {"start": DAY, "end": DAY + timedelta(days=31), "most": 100}
    [(_, actual)] = planned(month, statements.SQL["events_beyond"], **asked)
    assert actual == 101
