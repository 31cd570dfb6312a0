"""Which messages go to the queue next: limits, fairness, and the time for 1,000 organizations."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from time import perf_counter
from typing import Any
from uuid import UUID

import pytest

from delivery.store import feeder
from delivery.store.statements import SQL
from tests.workers.delivery.stage import NOW, Stage, org, person

INSERT = """
insert into delivery.messages
    (organization_id, idempotency_key, channel, class, contact_id, content, expires_at, created_at)
select
    cast(lpad(to_hex(organization), 32, '0') as uuid), 'k' || organization || ':' || :class || n,
    'email', :class, :contact, '{}', cast(:now as timestamptz) + interval '1 day',
    cast(:now as timestamptz) - interval '1 second' * (cast(:rows as integer) - n)
from generate_series(cast(:first as integer), cast(:last as integer)) as organization
cross join generate_series(1, cast(:rows as integer)) as n
"""


def fill(stage: Stage, first: int, last: int, rows: int, name: str = "marketing") -> None:
    values: dict[str, Any] = {"first": first, "last": last, "rows": rows, "class": name}
    stage.db.execute(INSERT, contact=person(1), now=NOW, **values)


@dataclass(frozen=True)
class Found:
    """A reference of the feeder, with ids instead of texts."""

    organization_id: UUID
    message_id: UUID
    delay_s: int


def feed(stage: Stage, least: int = 1) -> list[Found]:
    return [
        Found(UUID(own.organization_id), UUID(own.message_id), own.delay_s)
        for own in feeder.feed(stage.worker, "email", stage.outside.now, least)
    ]


def claim(stage: Stage, rows: int) -> None:
    stage.db.execute(
        "update delivery.messages set state = 'claimed', lease_until = now(), queued_until = null"
        " where id in (select id from delivery.messages"
        " where state = 'queued' and class = 'marketing' limit :rows)",
        rows=rows,
    )


def by_organization(fed: list[Found]) -> Counter[UUID]:
    return Counter(own.organization_id for own in fed)


def test_an_organization_has_at_most_its_share_in_flight(stage: Stage) -> None:
    stage.db.execute(
        "insert into delivery.organization_settings (organization_id, weight) values (:org, 3)",
        org=org(2),
    )
    fill(stage, 1, 2, 700)
    assert by_organization(feed(stage)) == {org(1): 200, org(2): 600}
    assert feed(stage) == []


def test_all_together_have_at_most_the_total(stage: Stage) -> None:
    fill(stage, 1, 30, 100)
    fed = by_organization(feed(stage))
    assert fed.total() == 2_000
    assert max(fed.values()) - min(fed.values()) <= 1


def test_who_has_fewest_in_flight_is_next(stage: Stage) -> None:
    fill(stage, 1, 9, 200)
    assert len(feed(stage)) == 1_800
    fill(stage, 10, 12, 200)
    fed = by_organization(feed(stage))
    assert fed.keys() == {org(10), org(11), org(12)}
    assert sorted(fed.values()) == [66, 67, 67]


def test_few_free_places_of_a_class_are_not_worth_a_look(stage: Stage) -> None:
    """After a batch most references are still in the queue; the sweep fills every place."""
    fill(stage, 1, 10, 200)
    assert len(feed(stage, least=500)) == 2_000
    fill(stage, 11, 11, 50)
    fill(stage, 11, 11, 1, "transactional")
    claim(stage, 499)
    assert len(feed(stage, least=500)) == 1  # the transactional one
    claim(stage, 1)
    assert by_organization(feed(stage, least=500)) == {org(11): 50}
    fill(stage, 12, 12, 50)
    assert feed(stage, least=500) == []
    assert by_organization(feed(stage)) == {org(12): 50}


def test_transactional_messages_have_places_of_their_own(stage: Stage) -> None:
    fill(stage, 1, 20, 150)
    assert len(feed(stage)) == 2_000
    fill(stage, 1, 1, 5, "transactional")
    fed = feed(stage)
    assert len(fed) == 5


def test_the_messages_of_an_organization_are_together(stage: Stage) -> None:
    """So a batch of the queue has few organizations, and its calls many messages. An organization
    with few messages waits for none with many; transactional messages are before all."""
    fill(stage, 1, 3, 90)
    fill(stage, 4, 4, 2)
    fill(stage, 3, 3, 3, "transactional")
    runs = [(found, len(list(own))) for found, own in groupby(
        feed(stage), key=lambda own: own.organization_id)]  # fmt: skip
    assert runs == [(org(3), 3), (org(4), 2), (org(1), 90), (org(2), 90), (org(3), 90)]


def test_the_older_is_first(stage: Stage) -> None:
    fill(stage, 1, 1, 300)
    fed = {own.message_id for own in feed(stage)}
    rows = stage.db.rows("select id from delivery.messages order by created_at limit 200")
    assert fed == {row["id"] for row in rows}


def test_a_deferred_message_goes_with_its_delay(stage: Stage) -> None:
    soon, late, never = (
        stage.message(1, 1, state="deferred", not_before=NOW + timedelta(minutes=minutes))
        for minutes in (5, 11, 600_000)
    )
    due = stage.message(1, 1, state="deferred", not_before=NOW - timedelta(minutes=5))
    fed = {own.message_id: own.delay_s for own in feed(stage)}
    assert fed == {soon: 300, due: 0}
    assert stage.row(soon)["queued_until"] == NOW + timedelta(minutes=20)
    assert {stage.row(own)["state"] for own in (late, never)} == {"deferred"}


def test_held_and_other_channels_are_left(stage: Stage) -> None:
    stage.message(1, 1, state="held")
    stage.message(1, 1, channel="sms")
    assert feed(stage) == []


def test_a_second_feeder_does_nothing(stage: Stage) -> None:
    fill(stage, 1, 1, 3)
    with stage.db.transaction():
        stage.db.rows("select * from delivery.feeders where channel = 'email' for update")
        assert feed(stage) == []
    assert len(feed(stage)) == 3


def test_a_thousand_organizations_are_fed_at_once(stage: Stage) -> None:
    """It prints its time; `make bench ONLY=deliver` compares it with the target."""
    fill(stage, 1, 1_000, 200)
    stage.db.execute("analyze delivery.messages")
    feed(stage)
    stage.db.execute("update delivery.messages set state = 'pending', queued_until = null")
    stage.db.execute("analyze delivery.messages")
    began = perf_counter()
    fed = by_organization(feed(stage))
    took_s = perf_counter() - began
    print(f"feeder with 1,000 organizations: {took_s * 1_000:.0f} ms")
    assert set(fed.values()) == {2}
    assert len(fed) == 1_000


@pytest.mark.parametrize(("organizations", "rows"), [(1, 20_000), (1_000, 20)])
def test_no_plan_of_the_feeder_reads_the_whole_table(
    stage: Stage, organizations: int, rows: int
) -> None:
    """With statistics of few organizations the planner expects that most rows are chosen."""
    fill(stage, 1, organizations, rows)
    stage.db.execute("analyze delivery.messages")
    values = {"channel": "email", "class": "marketing", "now": NOW, "least": 1}
    limits = {"most_each": 200, "most": 2_000}
    times = {"ahead": feeder.AHEAD, "patience": feeder.PATIENCE}
    plan = stage.db.rows(f"explain {SQL['feed']}", **values, **limits, **times)
    text = "\n".join(row["QUERY PLAN"] for row in plan)
    assert "Seq Scan on messages" not in text
    assert text.count("Tid Scan on messages") == 2
    assert "messages_organization_id_idempotency_key_key" not in text
