"""`mauntic queues` against the account, over real HTTP."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from analytics.worker import WORKER
from mauntic.operations.message_input import problems_of
from mauntic.operations.worker_catalog import find_intake
from shared.adapters.postgres.client import Postgres
from tests.mauntic.harness import DLQ, HOURLY, QUEUE, Cli
from tests.mauntic.vendor import TOKEN, Vendor

GOOD = json.dumps({"type": HOURLY})


def test_a_message_is_sent_as_it_was_given(cli: Cli, vendor: Vendor) -> None:
    body = {"type": HOURLY, "scheduledFor": "2026-03-10T11:00:00Z", "extra": "é"}
    answer = cli("enqueue", QUEUE, json.dumps(body), "--delay", 7, "--remote", "--json")
    window = {"type": HOURLY, "window": "2026-03-10T10:00Z/2026-03-10T11:00Z", "messages": 1}
    assert (answer.code, answer.json) == (0, {"queue": QUEUE, "sent": 1, "windows": [window]})
    assert (vendor.sent, vendor.delays_s) == ([(QUEUE, body)], [7])


def test_the_answer_names_the_window_of_each_message(cli: Cli, vendor: Vendor) -> None:
    """`scheduledFor` is the end of a window, `jobs run --window` its start."""
    times = ["2026-03-10T11:00:00Z", "2026-03-10T11:59:00Z", "2026-03-10T12:00:00Z"]
    lines = [json.dumps({"type": HOURLY, "scheduledFor": at}) for at in times]
    one = cli("enqueue", QUEUE, lines[0], "--remote")
    window = "2026-03-10T10:00Z/2026-03-10T11:00Z"
    assert one.out == f"1 sent to {QUEUE}: {HOURLY} {window}\n"
    all_of_them = cli("enqueue", QUEUE, "-", "--remote", stdin="\n".join(lines))
    assert all_of_them.out.splitlines() == [
        f"3 sent to {QUEUE}",
        f"{HOURLY} {window}",
        f"{HOURLY} 2026-03-10T11:00Z/2026-03-10T12:00Z",
    ]
    run = cli("jobs", "run", HOURLY, "--window", "2026-03-10T10:00Z", "--no-wait", "--remote")
    assert run.out == f"{HOURLY} {window} sent\n"


@pytest.mark.parametrize(
    ("field", "meant"),
    [
        ("scheduledfor", ": did you mean scheduledFor?"),
        ("scheduled_for", ": did you mean scheduledFor?"),
        ("correlationID", ": did you mean correlationId?"),
        ("padding", ""),
    ],
)
def test_a_field_that_nothing_reads_is_warned_of(
    cli: Cli, vendor: Vendor, field: str, meant: str
) -> None:
    body = {"type": HOURLY, field: "2026-03-01T01:00Z"}
    answer = cli("enqueue", QUEUE, json.dumps(body), "--remote")
    assert answer.code == 0
    sentence = f'warning "{field}" is not a field of {HOURLY} and is ignored{meant}'
    assert answer.err == f"{sentence}\n"
    assert vendor.sent == [(QUEUE, body)]


def test_what_a_redrive_adds_is_no_field_to_warn_of(cli: Cli, vendor: Vendor) -> None:
    body = {"type": HOURLY, "redrivenFrom": 7, "trigger": "manual", "correlationId": "x"}
    assert cli("enqueue", QUEUE, json.dumps(body), "--remote").err == ""


def test_a_window_that_is_not_over_is_refused(cli: Cli, vendor: Vendor) -> None:
    """The worker would bury it as too early. It waits up to a quarter of an hour."""
    in_two_hours = datetime.now(UTC) + timedelta(hours=2)
    early = json.dumps({"type": HOURLY, "scheduledFor": in_two_hours.isoformat()})
    answer = cli("enqueue", QUEUE, early, "--remote")
    assert (answer.code, vendor.sent) == (1, [])
    assert "scheduledFor: its window" in answer.err
    assert "has not ended yet" in answer.err
    assert cli("enqueue", QUEUE, early, "--delay", 3 * 3_600, "--remote").code == 0


def test_every_wrong_field_is_named_and_nothing_is_sent(cli: Cli, vendor: Vendor) -> None:
    wrong = {"type": HOURLY, "scheduledFor": "yesterday", "data": {"colour": "red"}}
    lines = "\n".join([GOOD, json.dumps(wrong), '{"type": "analytics.nothing"}', "[1]", "{", "NaN"])
    answer = cli("queues", "enqueue", QUEUE, "-", "--remote", stdin=lines)
    assert (answer.code, answer.out, vendor.sent) == (1, "", [])
    for words in (
        "line 2: scheduledFor",
        "line 2: data.colour",
        "line 3: type",
        "line 4: the body is not a JSON object",
        "line 5: not JSON",
        "line 6: NaN is not JSON",
    ):
        assert words in answer.err
    assert HOURLY in answer.err  # the types that there are
    assert "red" not in answer.err  # no values: they may be personal


def test_raw_messages_are_not_checked(cli: Cli, vendor: Vendor) -> None:
    assert cli("enqueue", QUEUE, '"text"', "--raw", "--remote").code == 0
    assert cli("enqueue", DLQ, "[]", "--raw", "--remote").code == 0
    assert vendor.sent == [(QUEUE, "text"), (DLQ, [])]


def test_lines_are_sent_in_batches_that_the_platform_takes(cli: Cli, vendor: Vendor) -> None:
    padding = "x" * 90_000
    small = [{"type": HOURLY, "correlationId": str(n)} for n in range(250)]
    large = [{"type": HOURLY, "padding": padding, "correlationId": str(n)} for n in range(5)]
    lines = "\n".join(json.dumps(body) for body in small + large) + "\n\n"
    answer = cli("enqueue", QUEUE, "-", "--remote", "--json", stdin=lines)
    assert answer.json["sent"] == 255
    assert sum(window["messages"] for window in answer.json["windows"]) == 255
    assert f'"padding" is not a field of {HOURLY} in 5 messages' in answer.err
    assert vendor.bodies(QUEUE) == small + large
    batches = [target for method, target in vendor.requests if method == "POST"]
    assert len(batches) == 5  # 100, 100, 50 + 2 large, 2 large, 1 large


def test_a_message_over_the_limit_is_refused_before_it_is_sent() -> None:
    [problem] = problems_of({"type": HOURLY, "padding": "x" * 128_000}, find_intake(QUEUE))
    assert "128,000" in problem


def test_unrequire_queues_are_refused_with_the_nearest_name(cli: Cli, vendor: Vendor) -> None:
    answer = cli("enqueue", "mauntic-analytics-job", GOOD, "--remote")
    assert (answer.code, f"did you mean {QUEUE}" in answer.err) == (1, True)
    assert cli("queues", "pause", "nothing", "--remote").code == 1
    del vendor.queues[QUEUE]
    answer = cli("enqueue", QUEUE, GOOD, "--remote")
    assert (answer.code, "wrangler queues create" in answer.err) == (1, True)


@pytest.mark.parametrize("delay", ["-1", "86401", "soon"])
def test_impossible_delays_are_a_wrong_usage(cli: Cli, delay: str) -> None:
    assert cli("enqueue", QUEUE, GOOD, "--delay", delay).code == 2


def test_a_queue_is_paused_and_resumed(cli: Cli, vendor: Vendor) -> None:
    settings = vendor.queues[QUEUE]["settings"]
    assert cli("queues", "pause", QUEUE, "--remote", "--json").json["paused"] is True
    assert settings["delivery_paused"] is True
    assert cli("queues", "resume", QUEUE, "--remote").code == 0
    assert settings["delivery_paused"] is False


def test_status_shows_every_queue_of_ours_and_no_other(
    cli: Cli, vendor: Vendor, db: Postgres
) -> None:
    vendor.page_items = 2
    for number in range(5):
        vendor.add_queue(f"somebody-elses-{number}")
    vendor.queues[QUEUE]["backlog"] = 3
    vendor.queues[DLQ]["settings"]["delivery_paused"] = True
    for number, status in enumerate(["dead", "dead", "redriven"]):
        db.execute(
            "insert into ops.dead_letters (queue, message_id, reason, attempts, dead_at, status)"
            " values (:queue, :id, 'failed', 1, now(), :status)",
            queue=QUEUE, id=f"m{number}", status=status,
        )  # fmt: skip
    answer = cli("queues", "status", "--remote", "--json")
    rows = {row["queue"]: row for row in answer.json}
    assert not any(name.startswith("somebody") for name in rows)
    own, dead = rows[QUEUE], rows[DLQ]
    assert (own["backlog"], own["consumers"], own["paused"]) == (3, [WORKER.name], False)
    assert (own["dead_letters"], own["oldest_at"]) == (2, "2026-02-02T02:40:00+00:00")
    assert (dead["backlog"], dead["paused"], dead["oldest_at"]) == (0, True, None)
    assert QUEUE in cli("queues", "status", "--remote").out


def test_status_is_shown_without_a_database(
    cli: Cli, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://stranger:secret@127.0.0.1:9/none")
    answer = cli("queues", "status", "--remote", "--json")
    rows = {row["queue"]: row for row in answer.json}
    assert (answer.code, rows[QUEUE]["dead_letters"]) == (0, None)
    assert "dead letters could not be counted" in answer.err
    assert "secret" not in answer.out + answer.err


def test_the_vendor_has_no_tail(cli: Cli, vendor: Vendor) -> None:
    answer = cli("tail", QUEUE, "--remote")
    assert (answer.code, f"wrangler tail {WORKER.name}" in answer.err) == (1, True)


def test_without_a_system_the_remedy_is_printed(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAUNTIC_CONTROL_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("MAUNTIC_CONTROL_TOKEN", "0" * 64)
    answer = cli("enqueue", QUEUE, GOOD)
    assert (answer.code, "mauntic dev" in answer.err) == (1, True)
    answer = cli("enqueue", QUEUE, GOOD, "--remote")
    assert (answer.code, "CLOUDFLARE_API_TOKEN" in answer.err) == (1, True)
    assert TOKEN not in answer.err
