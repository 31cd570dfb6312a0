"""Small parts at the edge: SQL blocks, log, settings, points, alerts, failures, storage."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mauntic.database.url import connect
from shared.adapters.postgres.client import Postgres
from shared.errors import DatabaseError
from shared.flow import attempts
from shared.outcome import RetryIn
from shared.ports import HttpResponse
from shared.sanitize import DEPTH_MAX, is_json_too_deep, is_too_deep, printable, sanitize
from shared.settings import Gate, Settings
from shared.sql.blocks import SqlBlocks
from shared.telemetry import metrics, notify
from shared.telemetry.log import line
from shared.telemetry.metrics import Metric
from shared.telemetry.points import checked_point
from tests.fakes import FakeDelivery
from tests.shared.test_messages import JSON, nested
from tests.shared.toy import rows_of, world

# SQL blocks


def test_blocks_are_cut_at_their_names(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text(
        "-- a file\n-- name: one\n-- why\nselect 1;\n\n-- name: two\nselect 2\n"
    )
    (tmp_path / "b.sql").write_text("-- name: three\nselect 3\n")
    assert SqlBlocks(tmp_path).blocks == {
        "one": "-- why\nselect 1",
        "two": "select 2",
        "three": "select 3",
    }


def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    for name in ("a.sql", "b.sql"):
        (tmp_path / name).write_text("-- name: one\nselect 1\n")
    with pytest.raises(ValueError, match=r"two SQL blocks are called one, one of them in b\.sql"):
        _ = SqlBlocks(tmp_path)["one"]


# Log


def test_an_event_is_one_line_of_json() -> None:
    output = line("toy.happened", level="warning", count=2, error="two\nlines", reason=None)
    assert "\n" not in output
    assert json.loads(output) == {
        "event": "toy.happened",
        "level": "warning",
        "count": 2,
        "error": r"two\nlines",
    }


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]52;c;eA==\x1b\\", r"\x1b]52;c;eA==\x1b" + "\\"),
        ("\x9b2J\x7f\x07\0", r"\x9b2J\x7f\x07\x00"),
        ("a\u202egpj.exe\u2066\u2069\u200f\u061c", r"a\u202egpj.exe\u2066\u2069\u200f\u061c"),
        ("\u2028\u2029\u200b\ufeff\U000e0041", r"\u2028\u2029\u200b\ufeff\U000e0041"),
        ("\ud800", r"\ud800"),
        ("Zoë 你好 \N{PILE OF POO} \\x", "Zoë 你好 \N{PILE OF POO} \\x"),
    ],
)
def test_what_a_terminal_obeys_or_hides_is_written_out(text: str, shown: str) -> None:
    logged = json.loads(line("toy.happened", correlation_id=text, traceback=f"{text}\n{text}"))
    assert logged["correlation_id"] == shown
    assert logged["traceback"] == f"{shown}\n{shown}"
    line("toy.happened", correlation_id=text).encode()


def test_a_field_that_is_not_on_the_list_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match=r"\['email'\]"):
        line("toy.happened", email="eve@example.org")


def test_a_long_text_is_cut() -> None:
    assert len(line("toy.happened", error="x" * 100_000)) < 2_100


# Settings


@pytest.mark.parametrize(
    ("value", "gate"),
    [
        (None, Gate.OPEN),
        ("true", Gate.OPEN),
        ("TRUE", Gate.OPEN),
        ("True ", Gate.OPEN),
        ("false", Gate.HELD),
        ("False", Gate.HELD),
        ("", Gate.WRONG),
        ("1", Gate.WRONG),
        ("yes", Gate.WRONG),
        ("flase", Gate.WRONG),
    ],
)
def test_a_gate(value: str | None, gate: Gate) -> None:
    assert Settings({"GATE": value}.get).gate("GATE") is gate


def test_an_empty_webhook_is_none() -> None:
    assert Settings({"ALERT_WEBHOOK_URL": ""}.get).alert_webhook_url is None


# Points and metrics


@pytest.mark.parametrize(
    ("index", "blobs", "doubles", "says"),
    [
        ("ö" * 49, [], [], "96 bytes of index, not 98"),
        ("q", ["x"] * 21, [], "20 blobs, not 21"),
        ("q", ["x" * 16_385], [], "16384 bytes of blobs"),
        ("q", [], [0.0] * 21, "20 doubles, not 21"),
    ],
)
def test_a_point_beyond_a_limit_is_refused(
    index: str, blobs: list[str], doubles: list[float], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        checked_point(index, blobs, doubles)


METRIC = Metric("toy-jobs", "toy", "toy.single", "retry", 2, 3, 4, error_class="KeyError")


def test_a_message_is_one_point_and_one_line() -> None:
    outside = world(None)
    metrics.write(METRIC, outside.ports(), "m1", "c1", "no such key")
    assert outside.points == [
        {
            "indexes": ["toy-jobs"],
            "blobs": ["queue.metric", "toy", "toy.single", "retry", "KeyError", "", "", "toy-jobs"],
            "doubles": [2, 3, 4, 0, 0],
        }
    ]
    [line] = outside.named("queue.metric")
    assert line["level"] == "warning"
    assert (line["message_id"], line["correlation_id"], line["error"]) == (
        "m1",
        "c1",
        "no such key",
    )
    assert "organization_id" not in line


def test_a_point_that_cannot_be_written_is_an_event_and_no_more() -> None:
    outside = world(None)
    metrics.write(Metric("q" * 97, "toy", "t", "ack", 1, 0, 0), outside.ports(), "m1", None, None)
    assert outside.points == []
    assert outside.named("metric.write_failed")
    assert outside.named("queue.metric")
    metrics.write_feed("f" * 97, 1, 1, outside.ports())
    assert outside.points == []
    assert len(outside.named("metric.write_failed")) == 2


# Alerts


def test_an_alert_is_logged_and_posted() -> None:
    outside = world(None)
    outside.secrets["ALERT_WEBHOOK_URL"] = "http://alerts.test/secret"
    asyncio.run(notify.send("job.overdue", outside.ports(), type="toy.hourly", overdue_s=60))
    assert outside.http.posts == [
        (
            "http://alerts.test/secret",
            {"event": "job.overdue", "type": "toy.hourly", "overdue_s": 60},
        )
    ]
    assert outside.named("job.overdue")[0]["level"] == "error"


def test_what_is_posted_steers_no_terminal() -> None:
    outside = world(None)
    outside.secrets["ALERT_WEBHOOK_URL"] = "http://alerts.test/secret"
    asyncio.run(notify.send("job.overdue", outside.ports(), type="a\x1b[2J", error="b\u202e"))
    [(_, payload)] = outside.http.posts
    assert (payload["type"], payload["error"]) == (r"a\x1b[2J", r"b\u202e")


@pytest.mark.parametrize("trouble", [500, OSError("no route"), "silence"])
def test_an_undelivered_alert_is_logged_without_its_url(
    trouble: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = world(None)
    outside.secrets["ALERT_WEBHOOK_URL"] = "http://alerts.test/secret"
    monkeypatch.setattr(notify, "WEBHOOK_TIMEOUT_S", 0.05)

    async def respond(method: str, url: str) -> HttpResponse:
        if trouble == "silence":
            await asyncio.sleep(60)
        if isinstance(trouble, Exception):
            raise trouble
        return HttpResponse(int(trouble), {}, b"")

    monkeypatch.setattr(outside.http, "respond", respond)
    asyncio.run(notify.send("job.overdue", outside.ports(), type="toy.hourly"))
    assert outside.named("job.overdue")
    assert outside.named("notify.delivery_failed")
    assert "secret" not in json.dumps(outside.events)


# Failures


def test_a_failure_is_kept_once_an_attempt(database: str) -> None:
    outside = world(database)
    delivery = FakeDelivery({"type": "toy.single"}, id="m1", attempts=2)
    ports = outside.ports()
    for text in ("first", "second\0\ud800"):
        attempts.record(delivery, None, RetryIn(1, "KeyError", text), "toy-jobs", ports)
    ports.db.close()
    with rows_of(database) as look:
        [row] = look("select * from ops.message_failures")
    assert (row["message_id"], row["attempt"], row["error_text"]) == ("m1", 2, "second\ufffd?")


def test_a_failure_that_cannot_be_kept_is_an_event_and_no_more() -> None:
    outside = world(None)
    attempts.record(
        FakeDelivery({}), None, RetryIn(1, "KeyError", "x"), "toy-jobs", outside.ports()
    )
    assert outside.named("attempt.record_failed")
    attempts.record(
        FakeDelivery({}), None, RetryIn(1, "DatabaseUnreachable", "x"), "q", outside.ports()
    )
    assert len(outside.named("attempt.record_failed")) == 1


def test_a_digest_differs_by_body_and_not_by_the_order_of_fields() -> None:
    assert attempts.digest({"a": 1, "b": [1]}) == attempts.digest({"b": [1], "a": 1})
    assert attempts.digest({"a": 1}) != attempts.digest({"a": "1"})
    assert attempts.digest("x") == hashlib.sha256(b'"x"').hexdigest()
    attempts.digest(nested(10_000))


# Storable values


@given(value=JSON)
def test_what_is_storable_is_taken_by_json_and_stays_as_it_is(value: Any) -> None:
    stored = sanitize(value)
    json.dumps(stored, allow_nan=False, ensure_ascii=False).encode()
    assert sanitize(stored) == stored


@given(text=st.text(st.characters(categories=["Cs", "L", "Cc"])))
def test_what_is_printable_is_utf8_without_nul(text: str) -> None:
    assert b"\0" not in printable(text).encode()


def test_nesting_ends() -> None:
    assert sanitize(nested(DEPTH_MAX - 1)) == nested(DEPTH_MAX - 1)
    assert not is_too_deep(nested(DEPTH_MAX - 1))
    assert is_too_deep(nested(DEPTH_MAX + 1))
    assert "too deeply" in json.dumps(sanitize(nested(5_000)))


@pytest.mark.parametrize("levels", [["[", "]"], ['{"a":', "}"], ['[{"[{\\"[": ', "}]"]])
def test_the_depth_of_json_text_is_that_of_its_brackets(levels: list[str]) -> None:
    """Brackets within strings do not count; both kinds do, and many next to each other are not
    deep.
    """
    opening, closing = levels
    each = 2 if opening.startswith("[{") else 1
    deepest = opening * (DEPTH_MAX // each) + "0" + closing * (DEPTH_MAX // each)
    assert not is_json_too_deep(deepest)
    assert not is_json_too_deep(f"{deepest}, " * 50 + deepest)
    assert is_json_too_deep(f"[{deepest}]")


def test_postgres_takes_what_is_storable(database: str) -> None:
    hostile = {"a\0": ["\ud800", 2**70, 1e308, -0.0, float("nan"), nested(200), {1: 2}]}
    with rows_of(database) as look:
        [row] = look("select cast(:it as jsonb) as it", it=json.dumps(sanitize(hostile)))
    assert row["it"]["a\ufffd"][0] == "?"


# Postgres


def test_an_error_of_the_server_keeps_its_code(database: str) -> None:
    db = Postgres(lambda: connect(database))
    with pytest.raises(DatabaseError, match=r"^42P01: ") as caught:
        db.rows("select * from nowhere")
    assert caught.value.sqlstate == "42P01"
    assert db.rows("select 1 as one") == [{"one": 1}]
    db.close()
