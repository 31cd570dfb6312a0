"""The whole path of a batch: providers that refuse, time out or vanish, and crashes anywhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.errors import DatabaseUnreachable
from shared.outcome import Dead, Done, RetryIn
from shared.ports import Database
from shared.warmup import counters
from tests.fake_r2 import FakeR2
from tests.workers.delivery.provider import Crash, Postmark
from tests.workers.delivery.stage import NOW, Stage, org, person, reference
from tests.workers.delivery.wrapped_database import Wrapped


@pytest.fixture
def provider(stage: Stage) -> Postmark:
    """An organization that sends through Postmark, with three contacts."""
    found = Postmark()
    stage.outside.http = found
    stage.outside.secrets["DELIVERY_MODE"] = "live"
    stage.organization()
    stage.config(priority=5)
    for number in (1, 2, 3):
        stage.contact(number)
    return found


def transactional(stage: Stage, contact: int = 1) -> UUID:
    return stage.message(contact, 1, on_uncertain="retry", **{"class": "transactional"})


def always(answer: str) -> Callable[[list[UUID]], str]:
    return lambda messages: answer


# -- calls


def test_a_batch_is_one_call(stage: Stage, provider: Postmark) -> None:
    messages = [stage.message(number) for number in (1, 2, 3)]
    outcomes = stage.send(*messages)
    assert all(isinstance(own, Done) for own in outcomes)
    assert [sorted(call.messages) for call in provider.received] == [sorted(messages)]
    assert {stage.state(own)[0] for own in messages} == {"sent"}
    assert stage.row(messages[0])["provider_message_id"] == f"pm-{messages[0]}"


def test_a_message_carries_a_way_out(stage: Stage, provider: Postmark) -> None:
    stage.send(stage.message())
    body = json.loads(provider.requests[0][3])
    headers = {header["Name"]: header["Value"] for header in body["Headers"]}
    assert headers["List-Unsubscribe"].startswith("<https://hooks.example/u/")
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert (body["MessageStream"], body["From"]) == ("b", "Acme <news@acme.example>")


def test_transactional_messages_are_called_first(stage: Stage, provider: Postmark) -> None:
    marketing, own = stage.message(1), transactional(stage, 2)
    stage.send(marketing, own)
    assert [call.messages for call in provider.received] == [[own], [marketing]]


@pytest.mark.parametrize("answer", ["lost", "nothing", "broken"])
def test_an_answer_that_says_nothing_is_unknown(
    answer: str, stage: Stage, provider: Postmark
) -> None:
    provider.answer = always(answer)
    message, own = stage.message(1), transactional(stage, 2)
    assert all(isinstance(outcome, Done) for outcome in stage.send(message, own))
    assert {stage.state(one)[0] for one in (message, own)} == {"uncertain"}
    for _ in range(30):
        stage.later(minutes=11)
        stage.sweep()
        stage.feed()
        stage.send(message, own)
    calls = [call.messages for call in provider.received]
    assert calls == [[own], [message], [own]]
    assert stage.row(own)["possible_duplicate"]
    assert stage.state(message)[0] == "uncertain"


def test_no_other_provider_gets_a_message_after_an_unknown_call(
    stage: Stage, provider: Postmark
) -> None:
    provider.answer = always("lost")
    own = transactional(stage)
    stage.send(own)
    [before] = stage.attempts(own)
    stage.config(provider_type="sendgrid", secrets={"apiKey": "k"}, priority=99)
    stage.later(minutes=11)
    stage.sweep()
    provider.answer = always("accept")
    stage.send(own)
    assert {url for _, url, _, _ in provider.requests} == {"https://api.postmarkapp.com/email"}
    assert [a["provider_config_id"] for a in stage.attempts(own)] == [
        before["provider_config_id"]
    ] * 2


def test_a_busy_provider_is_called_four_times(stage: Stage, provider: Postmark) -> None:
    provider.answer = always("busy")
    message = stage.message()
    outcomes: list[Any] = []
    for _ in range(6):
        outcomes += stage.send(message)
        stage.later(minutes=16)
    assert len(provider.received) == 4
    assert stage.state(message)[0] == "held"
    assert [type(own) for own in outcomes[:4]] == [Done, Done, Done, Dead]
    assert outcomes[3].reason == "exhausted"


def test_a_refused_account_leaves_the_message_to_the_next_provider(
    stage: Stage, provider: Postmark
) -> None:
    provider.answer = always("forbidden")
    message = stage.message()
    stage.send(message)
    assert stage.state(message) == ("pending", "401")
    stage.config(priority=1)
    provider.answer = always("accept")
    stage.send(message)
    assert stage.state(message)[0] == "sent"
    assert len(provider.received) == 2


def test_a_refused_call_is_repeated_one_by_one(stage: Stage, provider: Postmark) -> None:
    messages = [stage.message(number) for number in (1, 2, 3)]
    bad = messages[1]
    provider.answer = lambda own: "refuse_all" if bad in own else "accept"
    stage.send(*messages)
    assert [len(call.messages) for call in provider.received] == [3, 1, 1, 1]
    assert [stage.state(own)[0] for own in messages] == ["sent", "failed", "sent"]


def test_each_verdict_is_measured(stage: Stage, provider: Postmark) -> None:
    """A point counts the messages of a call with one verdict; the call lasts two seconds."""
    provider.answer = always("refuse_first")
    provider.during = lambda messages: stage.later(seconds=2)
    stage.send(*(stage.message(number) for number in (1, 2, 3)))
    own = [point for point in stage.outside.points if point["blobs"][0] == "delivery.verdict"]
    common = ["delivery.verdict", "email", "postmark"]
    assert [point["blobs"] for point in own] == [
        [*common, "accepted", "", str(org())],
        [*common, "refused", "300", str(org())],
    ]
    assert [point["doubles"] for point in own] == [[2, 2_000], [1, 2_000]]


def test_a_batch_never_writes_more_points_than_an_invocation_may(
    stage: Stage, provider: Postmark
) -> None:
    """The worst: each call of two is refused as a whole and repeated one by one. With the points of
    its 100 messages an invocation then has 250."""
    stage.db.execute("delete from delivery.provider_configs")
    secrets = {"serverToken": "t", "broadcastStream": "b", "bulkMax": 2}
    stage.config(secrets=secrets)
    for number in range(4, 101):
        stage.contact(number)
    provider.answer = always("refuse_all")
    stage.send(*(stage.message(number) for number in range(1, 101)))
    assert len(provider.received) == len(stage.outside.points) == 150


def test_an_entry_that_is_refused_fails_alone(stage: Stage, provider: Postmark) -> None:
    provider.answer = always("refuse_first")
    messages = [stage.message(number) for number in (1, 2, 3)]
    stage.send(*messages)
    assert sorted(stage.state(own)[0] for own in messages) == ["failed", "sent", "sent"]


# -- faults


def test_a_second_reference_changes_nothing(stage: Stage, provider: Postmark) -> None:
    message = stage.message()
    for _ in range(3):
        assert isinstance(stage.send(message, message)[0], Done)
    assert len(provider.received) == 1


STATEMENTS = (
    "lock_recipients", "lock_messages", "decide", "take_tokens", "write_claims", "commit",
    "load_content", "begin_call", "settle_call",
)  # fmt: skip


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", STATEMENTS)
def test_a_crash_at_any_statement_loses_nothing_and_sends_nothing_twice(
    name: str, when: str, stage: Stage, provider: Postmark
) -> None:
    """A crash between the commit and the call, or between the call and its commit, is in doubt."""
    stage.db.execute("update delivery.provider_configs set per_second = 100")
    message = stage.message()

    def crash(statement: str, is_open: bool) -> None:
        if statement == name:
            raise Crash

    stage.around = lambda db: Wrapped(db, **{when: crash})  # type: ignore[arg-type]
    with pytest.raises(Crash):
        stage.send(message)
    stage.around = lambda db: db
    for _ in range(4):
        stage.later(minutes=16)
        stage.sweep()
        stage.feed()
        stage.send(message)
    is_called = (name, when) in {
        ("begin_call", "after"), ("settle_call", "before"), ("settle_call", "after"),
    }  # fmt: skip
    calls = 0 if (name, when) == ("begin_call", "after") else 1
    assert len(provider.received) == calls
    is_in_doubt = is_called and (name, when) != ("settle_call", "after")
    assert stage.state(message)[0] == ("uncertain" if is_in_doubt else "sent")


def test_a_crash_during_the_call_is_in_doubt(stage: Stage, provider: Postmark) -> None:
    provider.answer = always("crash")
    message = stage.message()
    with pytest.raises(Crash):
        stage.send(message)
    stage.later(minutes=3)
    stage.sweep()
    assert stage.state(message) == ("uncertain", "no_verdict")
    stage.send(message)
    assert len(provider.received) == 1


@pytest.mark.parametrize("losses", [1, 2, 3])
def test_the_verdict_is_written_again_if_its_answer_is_lost(
    losses: int, stage: Stage, provider: Postmark
) -> None:
    left = [losses]

    def lose(statement: str, is_open: bool) -> None:
        if statement == "settle_call" and left[0]:
            left[0] -= 1
            raise DatabaseUnreachable("the answer was lost")

    stage.around = lambda db: Wrapped(db, after=lose)
    message = stage.message()
    assert isinstance(stage.send(message)[0], Done)
    assert stage.state(message)[0] == "sent"
    assert len(stage.db.rows("select 1 from analytics.contact_activity")) == 1


def test_without_postgres_everything_comes_again_and_nothing_is_called(
    stage: Stage, provider: Postmark
) -> None:
    message = stage.message()
    stage.outside.url = None
    with pytest.raises(DatabaseUnreachable):
        stage.send(message)
    assert provider.received == []


def suppress_at(stage: Stage, name: str, when: str) -> Callable[[Database], Database]:
    def hook(statement: str, is_open: bool) -> None:
        if statement == name:
            stage.db.rows("select delivery.suppress(:org, 'p1@people.example')", org=org())

    return lambda db: Wrapped(db, **{when: hook})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "when", "is_sent"),
    [
        ("lock_recipients", "before", False),
        ("commit", "after", False),
        ("load_content", "after", False),
        ("begin_call", "before", False),
        ("begin_call", "after", True),
    ],
)
def test_a_suppression_holds_from_its_commit_on(
    name: str, when: str, is_sent: bool, stage: Stage, provider: Postmark
) -> None:
    message = stage.message()
    stage.around = suppress_at(stage, name, when)
    stage.send(message)
    assert len(provider.received) == is_sent
    assert stage.state(message) == (("sent", None) if is_sent else ("skipped", "suppressed"))


def test_a_consumer_that_stood_still_makes_no_call(stage: Stage, provider: Postmark) -> None:
    """Its lease may have ended: another consumer may call."""

    def stand_still(statement: str, is_open: bool) -> None:
        if statement == "begin_call":
            stage.later(minutes=3)
            stage.sweep()

    message = stage.message()
    stage.around = lambda db: Wrapped(db, after=stand_still)
    stage.send(message)
    assert provider.received == []
    assert stage.state(message) == ("deferred", "too_late")


def test_two_consumers_at_once_send_each_message_once(stage: Stage, provider: Postmark) -> None:
    messages = fill(stage, 40)
    batches = [messages, messages[::-1], messages[20:] + messages[:20]]
    with ThreadPoolExecutor(len(batches)) as pool:
        list(pool.map(lambda batch: stage.send(*batch), batches))
    stage.send(*messages)
    assert sorted(provider.accepted) == sorted(messages)
    assert {stage.state(own)[0] for own in messages} == {"sent"}
    [row] = stage.db.rows("select count(*) as events from analytics.contact_activity")
    assert row["events"] == 40


def test_calls_end_after_two_minutes(stage: Stage, provider: Postmark) -> None:
    stage.config(priority=9, secrets={"serverToken": "t", "broadcastStream": "b", "bulkMax": 1})
    provider.during = lambda messages: stage.later(seconds=70)
    messages = [stage.message(number) for number in (1, 2, 3)]
    assert all(isinstance(own, Done) for own in stage.send(*messages))
    assert sorted(stage.state(own)[0] for own in messages) == ["pending", "sent", "sent"]


# -- configuration and content


def test_a_config_that_cannot_be_read_is_paused(stage: Stage, provider: Postmark) -> None:
    stage.outside.secrets["PROVIDER_KEY"] = "00" * 32
    message = stage.message()
    stage.send(message)
    assert provider.received == []
    assert stage.state(message) == ("pending", "config_unreadable")
    stage.send(message)
    assert stage.state(message) == ("deferred", "no_provider")
    [event] = stage.outside.named("delivery.waiting")
    assert (event["reason"], event["count"]) == ("no_provider", 1)


def test_a_class_that_the_config_does_not_permit_waits(stage: Stage, provider: Postmark) -> None:
    """Marketing needs a broadcast stream at Postmark; the config stays usable for the others."""
    stage.config(priority=9, secrets={"serverToken": "t"})
    marketing, own = stage.message(1), transactional(stage, 2)
    stage.send(marketing, own)
    assert stage.state(marketing) == ("deferred", "no_provider")
    assert stage.state(own)[0] == "sent"


def test_a_config_that_is_deleted_after_the_claim_stops_no_other(
    stage: Stage, provider: Postmark
) -> None:
    stage.organization(2)
    stage.contact(9, organization=2)
    gone = stage.config(2)
    lost, message = stage.message(9, 2), stage.message(1)

    def delete(name: str, is_open: bool) -> None:
        if name == "load_content":
            stage.db.execute("delete from delivery.provider_configs where id = :id", id=gone)

    stage.around = lambda db: Wrapped(db, delete)
    stage.consume([reference(lost, organization=2), reference(message)])
    assert stage.state(message)[0] == "sent"
    assert stage.state(lost)[0] == "pending"
    assert len(provider.received) == 1


def test_content_that_cannot_be_made_fails_alone(stage: Stage, provider: Postmark) -> None:
    wrong = stage.message(1, 1, content={"subject": "{{#if", "text": "x"})
    right = stage.message(2)
    outcomes = stage.send(wrong, right)
    assert all(isinstance(own, Done) for own in outcomes)
    assert (stage.state(wrong), stage.state(right)[0]) == (("failed", "template"), "sent")


def test_without_an_unsubscribe_link_marketing_waits(stage: Stage, provider: Postmark) -> None:
    del stage.outside.secrets["HOOKS_BASE_URL"]
    message, own = stage.message(1), transactional(stage, 2)
    stage.send(message, own)
    assert stage.state(message) == ("deferred", "not_configured")
    assert stage.state(own)[0] == "sent"


def test_an_error_of_ours_is_a_dead_letter_of_that_message(
    stage: Stage, provider: Postmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    from delivery.sending.compose import Composer

    compose = Composer.compose

    def broken(self: Composer, claimed: Any) -> Any:
        if claimed.id == wrong:
            raise KeyError("p1@people.example")
        return compose(self, claimed)

    monkeypatch.setattr(Composer, "compose", broken)
    wrong, right = stage.message(1), stage.message(2)
    first, second = stage.send(wrong, right)
    assert isinstance(first, Dead)
    assert first.reason == "failed"
    assert isinstance(second, Done)
    assert stage.state(right)[0] == "sent"


def test_an_unknown_reference_is_a_dead_letter(stage: Stage, provider: Postmark) -> None:
    [outcome] = stage.send(UUID(int=7))
    assert isinstance(outcome, Dead)
    assert outcome.reason == "unknown_message"


def test_no_log_line_has_an_address(stage: Stage, provider: Postmark) -> None:
    stage.db.rows("select delivery.suppress(:org, 'p3@people.example')", org=org())
    provider.answer = lambda own: "refuse_all"
    stage.send(*(stage.message(number) for number in (1, 2, 3)))
    assert stage.outside.named("delivery.called")
    assert "people.example" not in json.dumps(stage.outside.events, default=str)


# -- modes


@pytest.mark.parametrize("mode", [None, "shadow", "LIVE", "yes"])
def test_any_other_mode_sends_nothing(mode: str | None, stage: Stage, provider: Postmark) -> None:
    stage.outside.secrets.pop("DELIVERY_MODE")
    if mode:
        stage.outside.secrets["DELIVERY_MODE"] = mode
    stage.domain(age_days=1)
    message = stage.message()
    stage.send(message)
    assert provider.requests == []
    assert stage.state(message) == ("skipped", "captured")
    assert len(stage.captured) == 1
    warmup = stage.outside.buckets["WARMUP_R2"]
    assert isinstance(warmup, FakeR2)
    assert warmup.calls == []
    assert stage.db.rows("select 1 from analytics.contact_activity") == []
    assert stage.db.rows("select 1 from delivery.calls") == []


def test_the_local_mode_captures_what_the_provider_would_get(
    stage: Stage, provider: Postmark
) -> None:
    stage.outside.secrets["DELIVERY_MODE"] = "local"
    messages = [stage.message(1), stage.message(2)]
    stage.send(*messages)
    assert provider.requests == []
    assert {stage.state(own)[0] for own in messages} == {"sent"}
    [call] = [found for key, found in stage.captured.items() if "/calls/" in key]
    assert call["url"] == "https://api.postmarkapp.com/email/batch"
    assert len(json.loads(call["body"])) == 2
    assert call["headers"]["X-Postmark-Server-Token"] == "(removed)"


@pytest.mark.parametrize("mode", ["local", "shadow"])
def test_a_bucket_that_fails_delays_the_message(
    mode: str, stage: Stage, provider: Postmark
) -> None:
    stage.outside.secrets["DELIVERY_MODE"] = mode
    bucket = stage.outside.buckets["CAPTURED_R2"]
    assert isinstance(bucket, FakeR2)
    bucket.faults = lambda operation, key: "500"
    message = stage.message()
    [outcome] = stage.send(message)
    assert isinstance(outcome, Done if mode == "local" else RetryIn)
    assert stage.state(message)[0] == ("deferred" if mode == "local" else "pending")
    bucket.faults = lambda operation, key: None
    stage.later(minutes=1)
    stage.send(message)
    assert stage.state(message)[0] == ("sent" if mode == "local" else "skipped")


# -- the warm-up


def fill(stage: Stage, count: int) -> list[UUID]:
    for number in range(100, 100 + count):
        stage.contact(number)
    return [
        stage.message(number, 1, created_at=NOW - timedelta(minutes=200 - number))
        for number in range(100, 100 + count)
    ]


def test_a_new_domain_sends_its_cap_the_oldest_first(stage: Stage, provider: Postmark) -> None:
    stage.domain(age_days=0)
    messages = fill(stage, 60)
    stage.send(*messages)
    assert [stage.state(own)[0] for own in messages] == ["sent"] * 50 + ["deferred"] * 10
    tomorrow = datetime.combine(NOW.date() + timedelta(days=1), time(), UTC)
    for own in messages[50:]:
        row = stage.row(own)
        assert tomorrow <= row["not_before"] <= tomorrow + timedelta(minutes=30)
        assert (row["reason"], row["warmup_day"], row["claimed_at"]) == ("warmup", None, None)
    assert stage.row(messages[0])["warmup_day"] == NOW.date()


@pytest.mark.parametrize(("fault", "is_logged"), [("429", False), ("500", True)])
def test_without_its_counters_nothing_is_sent(
    fault: Any, is_logged: bool, stage: Stage, provider: Postmark
) -> None:
    stage.domain(age_days=0)
    bucket = stage.outside.buckets["WARMUP_R2"]
    assert isinstance(bucket, FakeR2)
    bucket.faults = lambda operation, key: fault
    message = stage.message()
    stage.send(message)
    assert provider.received == []
    row = stage.row(message)
    assert (row["state"], row["reason"]) == ("deferred", "warmup")
    assert bool(stage.outside.named("warmup.unavailable")) == is_logged
    bucket.faults = lambda operation, key: None
    stage.later(seconds=61)
    stage.send(message)
    assert stage.state(message)[0] == "sent"


def test_a_place_is_used_once_for_a_message(stage: Stage, provider: Postmark) -> None:
    """A call that was not accepted keeps its place; a repetition after doubt takes another."""
    stage.domain(age_days=0)
    provider.answer = always("slow_down")
    message, own = stage.message(1), transactional(stage, 2)
    stage.send(message)
    provider.answer = always("lost")
    stage.later(minutes=2)
    stage.send(message, own)
    assert used(stage) == 2
    stage.later(minutes=11)
    stage.sweep()
    stage.send(own)
    assert used(stage) == 3


def test_a_message_that_will_not_go_gives_its_place_back(stage: Stage, provider: Postmark) -> None:
    stage.domain(age_days=0)
    message = stage.message()
    stage.around = suppress_at(stage, "begin_call", "before")
    stage.send(message)
    assert stage.state(message) == ("skipped", "suppressed")
    assert stage.row(message)["warmup_day"] is None
    assert used(stage) == 0


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", ["set_places", "load_content", "begin_call", "settle_call"])
def test_a_crash_never_exceeds_the_cap(
    name: str, when: str, stage: Stage, provider: Postmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may lose places. Accepted and unknown calls of the day stay within the cap."""
    monkeypatch.setattr(counters, "cap", lambda warmup_day: 3)
    stage.domain(age_days=0)
    messages = fill(stage, 8)
    left = [2]

    def crash(statement: str, is_open: bool) -> None:
        if statement == name and left[0]:
            left[0] -= 1
            raise Crash

    stage.around = lambda db: Wrapped(db, **{when: crash})  # type: ignore[arg-type]
    for first in (0, 2, 4, 0, 2, 4, 6):
        with suppress(Crash):
            stage.send(*messages[first : first + 2])
        stage.later(minutes=6)
        stage.sweep()
    [row] = stage.db.rows(
        "select count(*) as count from delivery.attempts"
        " where verdict is null or verdict in ('accepted', 'unknown')"
    )
    assert row["count"] <= 3
    assert len(provider.accepted) <= 3
    assert used(stage) <= 3
    assert left == [0]


def used(stage: Stage) -> int:
    bucket = stage.outside.buckets["WARMUP_R2"]
    assert isinstance(bucket, FakeR2)
    return sum(json.loads(text)["used"] for text, _ in bucket.objects.values())


# -- what it costs


def test_a_hundred_messages_cost_seven_statements_and_a_call_two(
    stage: Stage, provider: Postmark
) -> None:
    stage.domain(age_days=2)
    names: list[str] = []
    stage.around = lambda db: Wrapped(db, names=names)
    messages = fill(stage, 100)
    stage.send(*messages)
    assert [len(call.messages) for call in provider.received] == [100]
    assert names == [
        "lock_recipients", "lock_messages", "decide", "write_claims", "commit", "set_places",
        "load_content", "begin_call", "settle_call",
    ]  # fmt: skip


# -- addresses


@pytest.mark.parametrize("answer", ["busy", "slow_down", "forbidden"])
def test_a_message_that_is_tried_again_goes_to_the_current_address(
    answer: str, stage: Stage, provider: Postmark
) -> None:
    """The provider has certainly not taken it, and the contact's address was corrected."""
    provider.answer = always(answer)
    message = stage.message(1)
    stage.send(message)
    stage.db.execute(
        "update crm.contacts set email = 'new@people.example' where id = :id", id=person(1)
    )
    stage.db.execute("update delivery.provider_configs set paused_until = null")
    stage.later(hours=2)
    provider.answer = always("accept")
    stage.send(message)
    assert [json.loads(own[3])["To"] for own in provider.requests] == [
        "p1@people.example",
        "new@people.example",
    ]
    assert stage.row(message)["address"] == "new@people.example"


def test_a_repetition_after_an_unknown_call_keeps_its_address(
    stage: Stage, provider: Postmark
) -> None:
    """Two addresses would get it."""
    provider.answer = always("lost")
    message = transactional(stage)
    stage.send(message)
    stage.db.execute("update crm.contacts set email = 'new@people.example'")
    stage.later(minutes=11)
    stage.sweep()
    stage.send(message)
    assert [json.loads(own[3])["To"] for own in provider.requests] == ["p1@people.example"] * 2


def test_an_address_of_its_own_is_kept(stage: Stage, provider: Postmark) -> None:
    provider.answer = always("busy")
    own: dict[str, Any] = {"address": "other@people.example", "class": "transactional"}
    message = stage.message(1, 1, **own)
    for _ in range(2):
        stage.send(message)
        stage.later(hours=1)
    assert [json.loads(own[3])["To"] for own in provider.requests] == ["other@people.example"] * 2


def test_a_suppression_in_unicode_stops_the_call(stage: Stage, provider: Postmark) -> None:
    """It is entered between the claim and the call."""
    stage.contact(9, email="zoe@straße.example")

    def enter(name: str, is_open: bool) -> None:
        if name == "begin_call":
            stage.db.rows("select delivery.suppress(:org, 'zoe@straße.example')", org=org())

    stage.around = lambda db: Wrapped(db, before=enter)
    message = stage.message(9)
    stage.send(message)
    assert (stage.state(message), provider.received) == (("skipped", "suppressed"), [])


def test_what_messages_hold_of_a_deleted_contact_is_emptied(
    stage: Stage, provider: Postmark
) -> None:
    """By the next sweep: the platform's statement only notes the contact."""
    sent, waiting = stage.message(1), stage.message(1, variables=json.dumps({"name": "Zoe"}))
    other = stage.message(2)
    stage.send(sent, other)
    stage.db.execute("delete from crm.contacts where id = :id", id=person(1))
    stage.sweep()
    for message in (sent, waiting):
        row = stage.row(message)
        assert (row["address"], row["content"], row["variables"]) == (None, None, None)
    assert stage.row(other)["address"] == "p2@people.example"
    assert stage.db.rows("select * from delivery.deleted_contacts") == []
    stage.send(waiting)
    assert stage.state(waiting) == ("skipped", "unknown_contact")
