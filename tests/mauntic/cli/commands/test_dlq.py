"""`mauntic dlq` on a real Postgres, sending to the account over real HTTP."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mauntic.database.url import connect
from mauntic.operations import ledger_queries
from mauntic.operations.dead_letter_filters import REASONS
from mauntic.operations.dead_letters import portions, redrive_letters
from mauntic.operations.ledger_queries import DeadLetterFilter
from mauntic.operations.system import Advance, QueueState, ignored
from mauntic.operations.vendor.api import VendorRefused
from shared.adapters.postgres.client import Postgres
from shared.ports import Row
from tests.mauntic.harness import HOURLY, QUEUE, Cli, Consumer
from tests.mauntic.vendor import Vendor, failure
from tests.thorough import examples

OTHER = "mauntic-scoring-events"
ROOT = Path(__file__).parents[4]


def bury(db: Postgres, number: int, **fields: Any) -> int:
    known = {
        "queue": QUEUE, "job_type": HOURLY, "reason": "failed", "status": "dead", "age_h": 1.0,
        "body": {"type": HOURLY, "scheduledFor": "2026-03-10T11:00:00Z"}, **fields,
    }  # fmt: skip
    known["dead_at"] = datetime.now(UTC) - timedelta(hours=known.pop("age_h"))
    known["body"] = json.dumps(known["body"])
    [row] = db.rows(
        "insert into ops.dead_letters"
        " (queue, message_id, job_type, body, reason, attempts, dead_at, status)"
        " values (:queue, :id, :job_type, cast(:body as jsonb), :reason, 6, :dead_at, :status)"
        " returning id",
        id=f"message-{number}", **known,
    )  # fmt: skip
    return int(row["id"])


def states(db: Postgres) -> dict[int, str]:
    return {row["id"]: row["status"] for row in db.rows("select id, status from ops.dead_letters")}


@pytest.fixture
def letters(db: Postgres) -> dict[str, int]:
    """One dead letter of each kind."""
    return {
        "plain": bury(db, 1),
        "old": bury(db, 2, age_h=50),
        "unknown": bury(db, 3, job_type=None, reason="unknown_type", body={"type": "nothing"}),
        "other": bury(db, 4, queue=OTHER, job_type="scoring.CalculateScore", reason="exhausted"),
        "gone": bury(db, 5, status="discarded"),
    }


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([], {"plain", "old", "unknown", "other"}),
        (["--queue", OTHER], {"other"}),
        (["--type", HOURLY], {"plain", "old"}),
        (["--reason", "unknown_type"], {"unknown"}),
        (["--older", "2d"], {"old"}),
        (["--newer", "2d", "--type", HOURLY], {"plain"}),
        (["--status", "discarded"], {"gone"}),
        (["--status", "all", "--queue", QUEUE], {"plain", "old", "unknown", "gone"}),
        (["--limit", "1", "--older", "40h"], {"old"}),
    ],
)
def test_filters_narrow_together(
    cli: Cli, letters: dict[str, int], filters: list[str], expected: set[str]
) -> None:
    listed = cli("dlq", "list", *filters, "--json").json
    assert {row["id"] for row in listed} == {letters[name] for name in expected}
    assert all("body" not in row for row in listed)


@pytest.mark.parametrize(
    ("option", "wrong", "words"),
    [
        ("--reason", "unknown_typ", "did you mean unknown_type"),
        ("--queue", "mauntic-analytics-job", f"did you mean {QUEUE}"),
        ("--type", "analytics.agregate-hourly", f"did you mean {HOURLY}"),
    ],
)
def test_a_slip_of_the_keyboard_is_no_empty_list(
    cli: Cli, letters: dict[str, int], option: str, wrong: str, words: str
) -> None:
    for command in (["dlq", "list"], ["redrive", "--yes"], ["dlq", "discard", "--note", "x"]):
        answer = cli(*command, option, wrong)
        assert (answer.code, words in answer.err) == (1, True)


def test_what_a_retired_job_left_behind_can_be_named(cli: Cli, db: Postgres) -> None:
    number = bury(db, 1, job_type="analytics.retired", queue="retired-jobs", reason="odd")
    for filters in (["--type", "analytics.retired"], ["--queue", "retired-jobs"]):
        [row] = cli("dlq", "list", *filters, "--reason", "odd", "--json").json
        assert row["id"] == number
    old = bury(db, 2, job_type="analytics.reset-warmup-daily")
    [row] = cli("dlq", "list", "--type", "analytics.warmup-daily-reset", "--json").json
    assert row["id"] == old


def test_the_reasons_of_the_help_are_those_that_the_workers_give() -> None:
    given = re.compile(r'Dead\(\s*"([a-z_]+)"')
    sources = [path for name in ("shared", "workers") for path in (ROOT / name).rglob("*.py")]
    found = {reason for path in sources for reason in given.findall(path.read_text())}
    assert found | {"failed"} == set(REASONS)  # `failed` is the result of every unexpected error


def test_a_number_is_shown_as_it_is_typed(cli: Cli, db: Postgres) -> None:
    db.execute("alter table ops.dead_letters alter column id restart with 2435")
    number = bury(db, 1)
    assert number == 2435
    assert "2435" in cli("dlq", "list").out
    assert cli("dlq", "show", "2435").code == 0


def test_one_is_shown_whole_with_its_relatives(
    cli: Cli, db: Postgres, letters: dict[str, int]
) -> None:
    later = bury(db, 9)
    db.execute(
        "update ops.dead_letters set redriven_from = :first where id = :id",
        first=letters["plain"], id=later,
    )  # fmt: skip
    shown = cli("dlq", "show", letters["plain"], "--json").json
    assert shown["body"] == {"type": HOURLY, "scheduledFor": "2026-03-10T11:00:00Z"}
    assert (shown["died_again_as"], shown["attempts"]) == ([later], 6)
    assert cli("dlq", "show", later, "--json").json["redriven_from"] == letters["plain"]
    assert HOURLY in cli("dlq", "show", later).out
    assert cli("dlq", "show", 9_999).code == 1


TOO_LARGE = 99_999_999_999_999_999_999


def test_a_number_that_postgres_does_not_know_is_no_letter_s(
    cli: Cli, letters: dict[str, int]
) -> None:
    for words in (("show", TOO_LARGE), ("redrive", letters["plain"], TOO_LARGE)):
        answer = cli("dlq", *words)
        assert (answer.code, "No dead letter 99999" in answer.err) == (1, True)
    assert cli("dlq", "list", TOO_LARGE, "--json").json == []
    assert cli("dlq", "list", "--limit", TOO_LARGE).code == 2
    assert cli("runs", "list", "--limit", TOO_LARGE).code == 2


def test_the_reason_for_an_empty_selection_is_printed(cli: Cli, letters: dict[str, int]) -> None:
    plain, gone = letters["plain"], letters["gone"]
    assert "redriven: none of these is dead\n" in cli("dlq", "redrive", gone).out
    filtered = cli("dlq", "redrive", plain, "--reason", "invalid").out
    assert "redriven: none of these is dead and matches the filters\n" in filtered
    assert "redriven: no dead letter matches\n" in cli("redrive", "--reason", "invalid").out


def test_named_dead_letters_that_are_left_out_are_printed(
    cli: Cli, vendor: Vendor, letters: dict[str, int]
) -> None:
    plain, old, gone = letters["plain"], letters["old"], letters["gone"]
    assert cli("redrive", plain, "--remote").err == ""
    answer = cli("redrive", plain, old, gone, "--remote", "--json")
    assert (answer.json["redriven"], answer.json["chosen"]) == (1, [old])
    assert f"left out: {plain} (redriven already)\n" in answer.err
    assert f"left out: {gone} (discarded already)\n" in answer.err
    other = cli("redrive", letters["other"], letters["unknown"], "--queue", QUEUE, "--dry-run")
    assert other.err == f"left out: {letters['other']} (does not match the filters)\n"


def test_a_dry_run_passes_nothing_over(cli: Cli, letters: dict[str, int]) -> None:
    answer = cli("redrive", letters["plain"], "--dry-run", "--json")
    assert answer.json == {"chosen": [letters["plain"]], "redriven": 0, "passed_over": 0}


def test_redriving_sends_the_body_back_once_and_says_who(
    cli: Cli, vendor: Vendor, db: Postgres, letters: dict[str, int]
) -> None:
    number = letters["plain"]
    call = ("redrive", number, "--remote", "--json", "--by", "ada", "--note", "fixed")
    assert cli(*call).json == {"chosen": [number], "redriven": 1, "passed_over": 0}
    assert vendor.bodies(QUEUE) == [
        {"type": HOURLY, "scheduledFor": "2026-03-10T11:00:00Z", "redrivenFrom": number}
    ]
    again = cli(*call)
    assert (again.code, again.json["redriven"], len(vendor.sent)) == (0, 0, 1)
    listed = cli("dlq", "list", "--status", "redriven").out
    assert "ada" in listed
    assert "fixed" in listed
    [row] = ledger_queries.dead_letters(db, DeadLetterFilter(ids=[number], status=None))
    assert (row["status"], row["changed_by"], row["note"]) == ("redriven", "ada", "fixed")
    assert abs(row["changed_at"] - datetime.now(UTC)) < timedelta(minutes=1)
    assert cli("redrive", 9_999, "--remote").code == 1


def test_a_bulk_action_needs_a_filter_and_an_answer(
    cli: Cli, vendor: Vendor, db: Postgres, letters: dict[str, int]
) -> None:
    before = states(db)
    assert cli("redrive", "--remote").code == 1
    assert cli("dlq", "discard", "--note", "why").code == 1
    assert cli("redrive", "--all", "--remote", stdin="n\n").code == 1
    assert cli("redrive", "--all", "--remote", stdin="").code == 1
    assert cli("redrive", "--queue", QUEUE, "--dry-run", "--remote").code == 0
    assert cli("dlq", "discard", "--all", "--dry-run").code == 0
    assert cli("dlq", "discard", "--all").code == 2  # without a note
    assert (states(db), vendor.sent) == (before, [])
    vendor.add_queue(OTHER)
    answer = cli("redrive", "--all", "--remote", "--json", stdin="y\n")
    assert (answer.code, answer.json["redriven"], len(vendor.sent)) == (0, 4, 4)


def test_discarded_letters_stay_with_the_reason(
    cli: Cli, db: Postgres, letters: dict[str, int]
) -> None:
    call = ("dlq", "discard", "--type", HOURLY, "--note", "tests", "--by", "ada", "--yes", "--json")
    assert cli(*call).json["discarded"] == 2
    assert cli(*call).json["discarded"] == 0
    rows = ledger_queries.dead_letters(db, DeadLetterFilter(job_type=HOURLY, status="discarded"))
    assert {(row["changed_by"], row["note"]) for row in rows} >= {("ada", "tests")}
    assert states(db)[letters["other"]] == "dead"


def test_bodies_that_are_no_objects_are_sent_as_they_are(
    cli: Cli, vendor: Vendor, db: Postgres
) -> None:
    bodies = ["text", [1, 2], 7, None]
    numbers = [bury(db, n, body=body, job_type=None) for n, body in enumerate(bodies)]
    assert cli("redrive", *numbers, "--remote").code == 0
    assert vendor.bodies(QUEUE) == bodies


@pytest.mark.parametrize("body", [{"type": HOURLY}, json.dumps({"type": HOURLY})])
def test_a_message_without_a_time_keeps_the_window_that_it_meant(
    cli: Cli, vendor: Vendor, db: Postgres, body: object
) -> None:
    """Also one that its sender wrote as JSON text: it would be taken for a new one."""
    number = bury(db, 1, body=body)
    db.execute(
        "insert into ops.job_runs"
        " (job_type, window_start, window_end, status, trigger, message_id, scheduled_for)"
        " values (:type, '2026-03-10T10:00Z', '2026-03-10T11:00Z', 'dead', 'manual', 'message-1',"
        " '2026-03-10T11:07Z')",
        type=HOURLY,
    )
    assert cli("redrive", number, "--remote").code == 0
    assert vendor.bodies(QUEUE) == [
        {"type": HOURLY, "scheduledFor": "2026-03-10T11:07:00+00:00", "redrivenFrom": number}
    ]


def test_a_message_that_left_no_run_keeps_the_window_that_it_meant(
    cli: Cli, vendor: Vendor, db: Postgres
) -> None:
    """Postgres was unavailable for each try."""
    number = bury(db, 1, body={"type": HOURLY})
    sent = datetime(2026, 3, 10, 11, 7, tzinfo=UTC)
    db.execute("update ops.dead_letters set sent_at = :sent", sent=sent)
    assert cli("redrive", number, "--remote").code == 0
    [body] = vendor.bodies(QUEUE)
    assert body["scheduledFor"] == sent.isoformat()


def test_what_could_not_be_sent_is_still_dead(
    cli: Cli, vendor: Vendor, db: Postgres, letters: dict[str, int]
) -> None:
    del vendor.queues[QUEUE]
    assert cli("redrive", letters["plain"], "--remote").code == 1
    assert states(db)[letters["plain"]] == "dead"


def test_a_letter_that_fails_again_points_to_the_old_one(
    cli: Cli, consumer: Consumer, db: Postgres
) -> None:
    first = bury(db, 1, body={"type": HOURLY, "scheduledFor": "no time"})
    assert cli("redrive", first, "--remote").code == 0
    for _ in range(500):
        if rows := ledger_queries.dead_letters(db, DeadLetterFilter()):
            break
        time.sleep(0.02)
    assert (rows[0]["redriven_from"], rows[0]["reason"]) == (first, "invalid")


class Outbox:
    """A System that keeps sent messages, and fails on request."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.breaks: list[str] = []

    def send(self, queue: str, bodies: Any, delay_s: int = 0, advance: Advance = ignored) -> None:
        fault = self.breaks.pop(0) if self.breaks else ""
        if fault == "before":
            raise VendorRefused("broken")
        self.sent += [body["redrivenFrom"] for body in bodies]
        if fault == "after":
            raise VendorRefused("the answer was lost")

    def queue_states(self, names: Any) -> list[QueueState]:
        return []

    def set_paused(self, queue: str, paused: bool) -> None: ...

    def loads(self, since: Any, queue: Any) -> list[Any]:
        return []

    def verdicts(self, since: Any) -> list[Any]:
        return []

    def gauges(self, since: Any) -> list[Any]:
        return []


def redriven(
    db: Postgres,
    outbox: Outbox,
    letters: list[Row],
    rate: float,
    sleep: Callable[[float], None] = lambda seconds: None,
) -> list[list[int]]:
    """Return the sent dead letters, by portion."""
    found = redrive_letters(
        db, outbox, letters, rate=rate, by="x", note=None, sleep=sleep, advance=ignored
    )
    return list(found)


@settings(
    max_examples=examples(20),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    count=st.integers(1, 12),
    rate=st.integers(1, 5),
    faults=st.lists(st.sampled_from(["", "before", "after"]), max_size=8),
)
def test_however_often_it_breaks_every_letter_is_sent_and_marked(
    db: Postgres, count: int, rate: int, faults: list[str]
) -> None:
    """Each is sent at least once, none after it was marked, and none is marked without sending."""
    db.execute("delete from ops.dead_letters")
    numbers = {bury(db, n) for n in range(count)}
    outbox = Outbox()
    outbox.breaks = list(faults)
    marked: set[int] = set()
    for _ in range(len(faults) + 1):
        letters = ledger_queries.dead_letters(db, DeadLetterFilter())
        already = len(outbox.sent)
        with suppress(VendorRefused):
            redriven(db, outbox, letters, rate)
        assert not marked & set(outbox.sent[already:])
        marked = {n for n, status in states(db).items() if status == "redriven"}
        assert marked <= set(outbox.sent)
    assert marked == set(outbox.sent) == numbers


class SlowOutbox(Outbox):
    """Sends only after the other operator has finished."""

    def __init__(self, other_is_through: threading.Event) -> None:
        super().__init__()
        self._other_is_through = other_is_through
        self.has_claimed = threading.Event()

    def send(self, *arguments: Any) -> None:
        self.has_claimed.set()
        self._other_is_through.wait()
        super().send(*arguments)


def test_two_operators_at_once_send_each_letter_once(db: Postgres, database: str) -> None:
    numbers = {bury(db, n) for n in range(60)}
    letters = ledger_queries.dead_letters(db, DeadLetterFilter())
    through = threading.Event()
    slow = SlowOutbox(through)
    outboxes = [slow, Outbox()]

    def work(outbox: Outbox) -> None:
        own = Postgres(lambda: connect(database))
        redriven(own, outbox, letters, 7)
        own.close()

    threads = [threading.Thread(target=work, args=(outbox,)) for outbox in outboxes]
    threads[0].start()
    assert slow.has_claimed.wait(60)
    threads[1].start()
    threads[1].join()
    through.set()
    threads[0].join()
    sent = outboxes[0].sent + outboxes[1].sent
    assert sorted(sent) == sorted(numbers)


def test_the_rate_is_held(db: Postgres) -> None:
    for n in range(10):
        bury(db, n)
    naps: list[float] = []
    redriven(db, Outbox(), ledger_queries.dead_letters(db, DeadLetterFilter()), 2, naps.append)
    # No process really sleeps, so each portion of two is due a second after the one before.
    assert [round(nap) for nap in naps] == [0, 1, 2, 3, 4]


def test_portions_are_of_one_queue_and_oldest_first() -> None:
    letters = [{"queue": "b", "id": 3}, {"queue": "a", "id": 2}, {"queue": "b", "id": 1}]
    assert list(portions(letters, 5)) == [("a", [2]), ("b", [1, 3])]
    assert list(portions(letters, 1)) == [("a", [2]), ("b", [1]), ("b", [3])]


def test_a_failed_request_names_its_cause(
    cli: Cli, vendor: Vendor, letters: dict[str, int]
) -> None:
    vendor.failures = [failure(403, 10000, "no")]
    answer = cli("redrive", letters["plain"], "--remote")
    assert (answer.code, "Queues Edit" in answer.err) == (1, True)
