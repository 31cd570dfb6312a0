"""The demo's campaign: who gets it, and that its comparison finds errors in each place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import islice

import pytest

from delivery.worker import WORKER
from mauntic.database.embedded.server import temporary_server
from mauntic.database.migrations import migrate
from mauntic.database.url import connect
from mauntic.demo import campaign
from mauntic.demo.importer import hillstrom_contacts, hillstrom_customers, load_contacts, rows_of
from mauntic.demo.segments import SEGMENTS
from mauntic.local.control_client import LocalRuntime
from mauntic.operations.connection import database_at

MENS_OVER_1000 = 464
FEW = 8_000


def test_the_recipients_and_their_answers_are_those_of_the_file() -> None:
    recipients = campaign.recipients_of(hillstrom_customers())
    assert len(recipients) == MENS_OVER_1000
    visited = [
        number
        for number, row in enumerate(rows_of("hillstrom.csv.gz"))
        if row["segment"] == "Mens E-Mail"
        and float(row["history"]) >= 1_000
        and row["visit"] == "1"
    ]
    answers = Counter(recipient.answer for recipient in recipients)
    assert answers["click"] == len(visited) > 50
    assert all(0 < answers[rare] < 20 for rare in ("bounce", "complaint", "unsubscribe"))
    assert len({recipient.address for recipient in recipients}) == MENS_OVER_1000


def test_the_segments_have_the_published_sizes() -> None:
    """Counted with the csv module alone, by the texts of the columns."""
    customers = list(hillstrom_customers())
    assert [sum(map(segment.has, customers)) for segment in SEGMENTS] == [
        21_307, 21_387, 21_306, 8_078, 13_049, MENS_OVER_1000,
    ]  # fmt: skip


@pytest.fixture
def runtime() -> Iterator[LocalRuntime]:
    with temporary_server(in_memory=True) as server:
        migrate(server.url)
        with closing(connect(server.url)) as connection:
            load_contacts(connection, islice(hillstrom_contacts(), FEW))
        yield LocalRuntime(server.url, envs=[WORKER.env])


@pytest.mark.e2e
def test_each_figure_is_the_files_in_each_place(
    runtime: LocalRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the report is found as well."""
    few = list(islice(hillstrom_customers(), FEW))
    monkeypatch.setattr(campaign, "hillstrom_customers", lambda: few)
    built, checked = campaign.build_segments_and_send(runtime)
    assert built.is_right, built.rows
    assert checked.is_right, checked.rows
    recipients = campaign.recipients_of(few)
    with closing(database_at(runtime.database_url)) as database:
        database.execute("update analytics.campaign_daily_stats set clicked = clicked + 1")
        again = campaign.compare(database, recipients, len(recipients))
    assert [row["figure"] for row in again.rows if not row["equal"]] == ["clicked"]
    assert not again.is_right
