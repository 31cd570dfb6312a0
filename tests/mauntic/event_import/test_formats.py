"""Exports in the shapes that the systems publish, with invented values and rows by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid5

import pytest

from mauntic.event_import.event import RawEvent
from mauntic.event_import.formats.catalogue import FORMATS
from mauntic.operations.connection import database_at
from shared.adapters.postgres.client import Postgres
from tests.mauntic.event_import.importing import (
    ANN,
    BOB,
    ORG,
    add_people,
    data_of,
    import_text,
    rows,
)

EXPORTS = Path(__file__).parent / "exports"


@pytest.fixture
def db(database: str) -> Iterator[Postgres]:
    with closing(database_at(database)) as opened:
        add_people(opened)
        yield opened


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def campaign(system: str, foreign: str) -> str:
    return str(uuid5(ORG, f"{system}/{foreign}"))


def test_hubspot(db: Postgres) -> None:
    counts = import_text(db, (EXPORTS / "hubspot.ndjson").read_text(), FORMATS["hubspot"])
    ours, prefix = campaign("hubspot", "288932"), "hubspot:1f2e3d4c-0000-4000-8000-00000000000"
    assert rows(db) == [
        (ANN, "email_sent", ours, at("2014-04-01 17:00:00"), f"{prefix}1:1396371600000"),
        (ANN, "email_opened", ours, at("2014-04-01 17:00:10"), f"{prefix}3:1396371610000"),
        (ANN, "email_clicked", ours, at("2014-04-02 17:00:00"), f"{prefix}4:1396458000000"),
        (BOB, "email_unsubscribed", None, at("2014-04-02 17:01:00"), f"{prefix}5:1396458060000"),
    ]
    assert data_of(db) == [
        {"system": "hubspot", "campaign": "288932"},
        {"system": "hubspot", "campaign": "288932", "machine": True},
        {"system": "hubspot", "campaign": "288932", "url": "https://shop.example/a"},
        {"system": "hubspot"},
    ]
    assert (counts.left_out, counts.refused.total()) == ({"PROCESSED": 1, "STATUSCHANGE": 1}, 0)
    assert (counts.made_ids, counts.campaigns) == (0, {"288932": ours})


def test_mailchimp_has_no_ids_so_equal_actions_are_one_event(db: Postgres) -> None:
    counts = import_text(db, (EXPORTS / "mailchimp.ndjson").read_text(), FORMATS["mailchimp"])
    ours = campaign("mailchimp", "42694e9e57")
    stored = sorted(row[:4] for row in rows(db))
    assert stored == sorted(
        [
            (ANN, "email_opened", ours, at("2023-03-26 01:30:00")),
            (ANN, "email_clicked", ours, at("2023-03-26 01:31:00")),  # two links
            (ANN, "email_clicked", ours, at("2023-03-26 01:31:00")),
            (BOB, "email_bounced", ours, at("2023-03-26 02:00:00")),
            (BOB, "email_unsubscribed", ours, at("2023-03-27 08:00:00")),
            (BOB, "email_complained", ours, at("2023-03-27 09:00:00")),
        ]
    )
    assert (counts.new, counts.repeated, counts.made_ids) == (6, 1, 5)
    assert rows(db)[-1][4] == "mailchimp:abuse:42694e9e57:42"
    assert {"system": "mailchimp", "campaign": "42694e9e57", "bounceKind": "soft"} in data_of(db)


def test_klaviyo(db: Postgres) -> None:
    counts = import_text(db, (EXPORTS / "klaviyo.ndjson").read_text(), FORMATS["klaviyo"])
    ours = campaign("klaviyo", "01GH")
    assert rows(db) == [
        (ANN, "email_opened", ours, at("2022-11-08 01:23:45"), "klaviyo:3a1"),
        (ANN, "email_clicked", ours, at("2022-11-08 01:25:00"), "klaviyo:3a2"),
        (BOB, "Placed Order", None, at("2022-11-08 01:30:00"), "klaviyo:3a3"),
    ]
    assert counts.refused == {"bad_record": 1}  # its profile is not included


def test_sendgrid(db: Postgres) -> None:
    counts = import_text(db, (EXPORTS / "sendgrid.ndjson").read_text(), FORMATS["sendgrid"])
    single, older = campaign("sendgrid", "s-77"), campaign("sendgrid", "12345")
    assert rows(db) == [
        (ANN, "email_sent", single, at("2017-12-15 00:59:29"), "sendgrid:c2dfZXZlbnRfMQ=="),
        (ANN, "email_opened", single, at("2017-12-15 01:00:00"), "sendgrid:c2dfZXZlbnRfMw=="),
        (BOB, "email_bounced", older, at("2017-12-15 02:00:00"), "sendgrid:c2dfZXZlbnRfNA=="),
        (BOB, "email_unsubscribed", None, at("2017-12-15 02:01:00"), "sendgrid:c2dfZXZlbnRfNQ=="),
    ]
    message = "m1.filter0001.16648.5515E0B88.0"
    assert data_of(db)[1] == {
        "system": "sendgrid", "campaign": "s-77", "machine": True, "messageId": message
    }  # fmt: skip
    assert data_of(db)[2]["bounceKind"] == "soft"
    assert counts.left_out == {"deferred": 1}


def test_ses_has_the_ids_of_messages_only(db: Postgres) -> None:
    """Two opens of one message are two events; who clicked of two recipients is unknown."""
    counts = import_text(db, (EXPORTS / "ses.ndjson").read_text(), FORMATS["ses"])
    ours = campaign("ses", "autumn-16")
    stored = sorted((row[3], row[0], row[1], row[2]) for row in rows(db))
    assert stored == [
        (at("2016-10-14 05:02:16.645"), ANN, "email_sent", ours),
        (at("2016-10-14 05:02:16.645"), BOB, "email_sent", ours),
        (at("2016-10-14 05:02:17.001"), ANN, "email_delivered", ours),
        (at("2017-08-05 00:41:02.669"), BOB, "email_bounced", None),
        (at("2017-08-09 22:00:19.652"), ANN, "email_opened", ours),
        (at("2017-08-10 22:00:19.652"), ANN, "email_opened", ours),
    ]
    assert (counts.made_ids, counts.refused) == (6, {"unknown_recipient": 1})
    assert counts.left_out == {"DeliveryDelay": 1}


def test_segment(db: Postgres) -> None:
    counts = import_text(db, (EXPORTS / "segment.ndjson").read_text(), FORMATS["segment"])
    ours = campaign("segment", "123")
    assert rows(db) == [
        (ANN, "email_opened", ours, at("2015-12-12 19:11:01.249"), "segment:ajs-1"),
        (ANN, "email_clicked", ours, at("2015-12-12 19:12:00"), "segment:ajs-2"),
        (BOB, "page_visited", None, at("2015-12-12 19:13:00"), "segment:ajs-3"),
        (BOB, "Order Completed", None, at("2015-12-12 19:14:00"), "segment:ajs-4"),
    ]
    assert (counts.left_out, counts.refused) == ({"identify": 1}, {"no_contact": 1})


@pytest.mark.parametrize("name", FORMATS)
def test_a_second_run_inserts_nothing(name: str, db: Postgres) -> None:
    export = (EXPORTS / f"{name}.ndjson").read_text()
    first = import_text(db, export, FORMATS[name])
    before = rows(db)
    again = import_text(db, export, FORMATS[name])
    assert (again.new, again.stored_before, rows(db)) == (0, first.new, before)


STRANGE = (
    "[]", "{}", "1", '"x"', "null", "[[1]]", '{"events":[1]}', '{"data":[3],"included":[null]}',
    '{"emails":[7]}', '{"type":{"a":1}}', '{"mail":[],"eventType":"Open"}',
)  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("value", STRANGE)
def test_a_record_of_another_form_is_refused_and_never_an_error(name: str, value: str) -> None:
    found = list(FORMATS[name].events(json.loads(value)))
    assert not [event for event in found if isinstance(event, RawEvent) and event.email]
