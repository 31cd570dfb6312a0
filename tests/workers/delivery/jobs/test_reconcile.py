"""A call with an unknown outcome: evidence settles its messages, and nothing else does."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from delivery.domain.messages import Reconcile
from delivery.jobs.reconcile import reconcile_call
from delivery.jobs.sweep import sweep
from delivery.store import feedback, sweeps
from shared.jobs import Run
from shared.outcome import Done
from shared.ports import HttpResponse
from shared.windows import Window
from tests.fakes import FakeHttp
from tests.workers.delivery.stage import Stage, org

Answer = HttpResponse | OSError | Callable[[str, str], HttpResponse]


class Provider(FakeHttp):
    """Answers each request with the next answer."""

    def __init__(self, *answers: Answer) -> None:
        super().__init__()
        self.answers = list(answers)

    async def respond(self, method: str, url: str) -> HttpResponse:
        answer = self.answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer if isinstance(answer, HttpResponse) else answer(method, url)


def json_answer(body: Any, status: int = 200) -> HttpResponse:
    return HttpResponse(status, {}, json.dumps(body).encode())


BROKEN = OSError("connection reset")
BOTH = json_answer({"data": [{"id": "re-1"}, {"id": "re-2"}]})


def live(stage: Stage, provider_type: str, secrets: dict[str, str], *answers: Answer) -> Provider:
    stage.organization()
    stage.config(provider_type=provider_type, secrets=secrets)
    stage.outside.secrets["DELIVERY_MODE"] = "live"
    provider = Provider(*answers)
    stage.outside.http = provider
    return provider


def due(stage: Stage) -> list[dict[str, Any]]:
    """Run the sweep; return the messages that ask for a look-up."""
    stage.outside.queue.sent.clear()
    ports = stage.ports()
    window = Window(stage.outside.now - timedelta(minutes=5), stage.outside.now)
    stage.run(sweep(Run(window, stage.outside.now, None, ports, "cron")))
    ports.db.close()
    return list(stage.outside.queue.sent)


def look(stage: Stage, body: dict[str, Any]) -> None:
    ports = stage.ports()
    outcome = stage.run(reconcile_call(Reconcile.model_validate(body), ports))
    ports.db.close()
    assert isinstance(outcome, Done)


def uncertain_pair(stage: Stage, *answers: Answer) -> tuple[Provider, UUID, UUID]:
    """Two marketing e-mails in one call to Resend, whose connection breaks."""
    provider = live(stage, "resend", {"apiKey": "k"}, BROKEN, *answers)
    stage.contact(1)
    stage.contact(2)
    first, second = sorted((stage.message(1), stage.message(2)))
    stage.send(first, second)
    assert {stage.state(own)[0] for own in (first, second)} == {"uncertain"}
    return provider, first, second


def ids_in(body: bytes) -> list[str]:
    return [entry["tags"][0]["value"] for entry in json.loads(body)]


def test_the_same_bytes_again_settle_the_messages_of_a_call(stage: Stage) -> None:
    provider, first, second = uncertain_pair(stage, BOTH)
    assert due(stage) == []  # ten minutes after the call, not before
    stage.outside.advance(minutes=10)
    [body] = due(stage)
    [call] = stage.db.rows("select id from delivery.calls")
    assert body["data"] == {"organizationId": str(org()), "callId": str(call["id"])}
    look(stage, body)
    (_, url, sent, content), (_, url_again, sent_again, content_again) = provider.requests
    assert (url, content) == (url_again, content_again)
    assert sent["Idempotency-Key"] == sent_again["Idempotency-Key"] == str(call["id"])
    expected = dict(zip(ids_in(content), ("re-1", "re-2"), strict=True))
    for own in (first, second):
        row = stage.row(own)
        assert (row["state"], row["provider_message_id"]) == ("sent", expected[str(own)])
        assert row["sent_at"] == row["called_at"]
        [attempt] = stage.attempts(own)  # a repetition is no new call
        assert attempt["verdict"] == "accepted"
    events = stage.db.rows("select event_id from analytics.contact_activity order by event_id")
    assert {row["event_id"] for row in events} == {f"msg:{own}:sent" for own in (first, second)}
    look(stage, body)  # once more changes nothing
    assert len(provider.requests) == 2


def test_nothing_is_repeated_once_one_recipient_is_suppressed(stage: Stage) -> None:
    """The first request may never have arrived: the repetition would send to that recipient."""
    provider, first, second = uncertain_pair(stage)
    stage.db.rows("select delivery.suppress(:org, 'p1@people.example')", org=org())
    stage.outside.advance(minutes=10)
    [body] = due(stage)
    look(stage, body)
    assert len(provider.requests) == 1
    assert {stage.state(own)[0] for own in (first, second)} == {"uncertain"}


def test_a_suppression_in_another_spelling_stops_the_repetition_too(stage: Stage) -> None:
    provider = live(stage, "resend", {"apiKey": "k"}, BROKEN)
    stage.contact(1, email="zoe@xn--strae-oqa.example")
    message = stage.message(1)
    stage.send(message)
    stage.db.rows("select delivery.suppress(:org, 'Zoe@Straße.example')", org=org())
    stage.outside.advance(minutes=10)
    [body] = due(stage)
    look(stage, body)
    assert len(provider.requests) == 1
    assert stage.state(message)[0] == "uncertain"


@pytest.mark.parametrize(
    "answer",
    [
        BROKEN,
        json_answer({}, 500),
        json_answer({"name": "concurrent_idempotent_requests"}, 409),
        json_answer({"data": [{"id": "re-1"}]}),  # cannot be aligned
        HttpResponse(200, {}, b"<html>"),
    ],
)
def test_an_answer_that_proves_nothing_changes_nothing(stage: Stage, answer: Answer) -> None:
    _, first, second = uncertain_pair(stage, answer)
    stage.outside.advance(minutes=10)
    [body] = due(stage)
    look(stage, body)
    for own in (first, second):
        row = stage.row(own)
        assert (row["state"], row["finished_at"]) == ("uncertain", None)
        assert row["not_before"] == row["called_at"] + timedelta(hours=1)


def test_an_entry_that_the_provider_refuses_was_not_sent(stage: Stage) -> None:
    partly = json_answer({"data": [{"id": "re-1"}], "errors": [{"index": 1, "message": "no"}]})
    provider, first, second = uncertain_pair(stage, partly)
    stage.outside.advance(minutes=10)
    [body] = due(stage)
    look(stage, body)
    order = ids_in(provider.requests[0][3])
    assert [stage.state(UUID(own))[0] for own in order] == ["sent", "failed"]
    assert {first, second} == {UUID(own) for own in order}


def test_evidence_is_looked_for_four_times_and_a_repetition_ends_after_23_hours(
    stage: Stage,
) -> None:
    provider, first, _ = uncertain_pair(stage, *[json_answer({}, 500)] * 3)
    called = stage.row(first)["called_at"]
    times = []
    for minutes in range(0, 25 * 60, 10):
        stage.outside.now = called + timedelta(minutes=minutes)
        for body in due(stage):
            times.append(minutes)
            look(stage, body)
    assert times == [10, 60, 6 * 60, 24 * 60]
    assert len(provider.requests) == 1 + 3  # not after 24 hours: the provider forgets the key
    assert stage.row(first)["finished_at"] is None
    stage.outside.now = called + timedelta(hours=48)
    due(stage)
    row = stage.row(first)
    assert (row["state"], row["finished_at"]) == ("uncertain", stage.outside.now)


def test_a_look_up_finds_the_message_by_our_id(stage: Stage) -> None:
    provider = live(
        stage, "postmark", {"serverToken": "t", "broadcastStream": "b"}, BROKEN,
        json_answer({"Messages": [{"MessageID": "pm-0"}, {"MessageID": "pm-1"}]}),
        json_answer({"MessageID": "pm-0", "Metadata": {"message_id": "another"}}),
        lambda method, url: json_answer(
            {"MessageID": "pm-1", "Metadata": {"message_id": str(message)}}
        ),
    )  # fmt: skip
    stage.contact()
    message = stage.message()
    stage.send(message)
    assert stage.state(message)[0] == "uncertain"
    stage.outside.advance(minutes=10)
    [body] = due(stage)
    look(stage, body)
    row = stage.row(message)
    assert (row["state"], row["provider_message_id"]) == ("sent", "pm-1")
    assert len(provider.gets) == 3
    assert provider.answers == []


def test_no_trace_of_a_message_proves_nothing(stage: Stage) -> None:
    live(
        stage, "postmark", {"serverToken": "t", "broadcastStream": "b"}, BROKEN,
        json_answer({"Messages": []}),
    )  # fmt: skip
    stage.contact()
    message = stage.message()
    stage.send(message)
    stage.outside.advance(minutes=10)
    [body] = due(stage)
    look(stage, body)
    assert stage.state(message)[0] == "uncertain"


def test_a_long_call_is_looked_up_in_parts(stage: Stage) -> None:
    """At most twenty look-ups at once; a further queue message continues."""
    empty = json_answer({"Messages": []})
    provider = live(
        stage, "postmark", {"serverToken": "t", "broadcastStream": "b"}, BROKEN, *[empty] * 30
    )
    for number in range(30):
        stage.contact(number)
    stage.send(*[stage.message(number) for number in range(30)])
    stage.outside.advance(minutes=10)
    [body] = due(stage)
    stage.outside.queue.sent.clear()
    look(stage, body)
    assert len(provider.gets) == 20
    [again] = stage.outside.queue.sent
    assert (again, stage.outside.queue.delays_s[-1]) == (body, 60)
    look(stage, again)
    assert len(provider.gets) == 30


def test_nothing_is_asked_unless_the_mode_is_live(stage: Stage) -> None:
    provider, first, _ = uncertain_pair(stage)
    stage.outside.secrets["DELIVERY_MODE"] = "shadow"
    stage.outside.advance(minutes=10)
    for body in due(stage):
        look(stage, body)
    assert len(provider.requests) == 1
    assert stage.state(first)[0] == "uncertain"


# -- what others have decided in the meantime


@pytest.mark.parametrize("decision", ["pending", "sent", "failed"])
def test_nothing_is_repeated_once_one_message_of_the_call_went_another_way(
    decision: str, stage: Stage
) -> None:
    """An operator settles one of two messages, or sends it again: the repetition would send it too,
    because the first request may never have arrived."""
    provider, first, second = uncertain_pair(stage, BOTH)
    sweeps.resolve_uncertain(stage.worker, [first], decision, stage.outside.now)
    stage.outside.advance(minutes=10)
    [body] = due(stage)
    look(stage, body)
    assert len(provider.requests) == 1
    assert stage.state(second)[0] == "uncertain"


def test_nothing_is_repeated_once_one_message_of_the_call_was_called_again(stage: Stage) -> None:
    """The second call is unknown too: its request is repeated, and the first one is not."""
    provider = live(stage, "resend", {"apiKey": "k"}, BROKEN, BROKEN, json_answer({}, 500))
    stage.contact(1)
    stage.contact(2)
    repeated = stage.message(1, 1, on_uncertain="retry", **{"class": "transactional"})
    kept = stage.message(2, 1, on_uncertain="hold", **{"class": "transactional"})
    stage.send(repeated, kept)
    stage.outside.advance(minutes=11)
    [of_kept] = due(stage)  # its sweep opens the other message
    stage.send(repeated)
    assert stage.row(repeated)["attempts"] == 2
    look(stage, of_kept)
    assert len(provider.requests) == 2
    assert {stage.state(own)[0] for own in (repeated, kept)} == {"uncertain"}


def test_an_event_that_proves_one_message_leaves_the_repetition_for_the_other(stage: Stage) -> None:
    provider, first, second = uncertain_pair(stage, BOTH)
    feedback.record_evidence(stage.worker, [(org(), first)], stage.outside.now)
    stage.outside.advance(minutes=10)
    [body] = due(stage)
    look(stage, body)
    assert len(provider.requests) == 2
    assert {stage.state(own)[0] for own in (first, second)} == {"sent"}


def test_the_refusal_of_a_whole_repetition_is_the_refusal_of_none(stage: Stage) -> None:
    """One wrong entry must not end its neighbors, which were not sent."""
    refusal = json_answer({"name": "validation_error"}, 422)
    _, first, second = uncertain_pair(stage, refusal)
    stage.outside.advance(minutes=10)
    [body] = due(stage)
    look(stage, body)
    for own in (first, second):
        row = stage.row(own)
        assert (row["state"], row["finished_at"]) == ("uncertain", None)


def test_a_refused_repetition_does_not_hide_an_earlier_unknown_call(stage: Stage) -> None:
    refusal = json_answer({"name": "validation_error"}, 422)
    live(stage, "resend", {"apiKey": "k"}, BROKEN, BROKEN, refusal)
    stage.contact()
    message = stage.message(1, 1, on_uncertain="retry", **{"class": "transactional"})
    stage.send(message)
    stage.outside.advance(minutes=11)
    due(stage)
    stage.send(message)
    stage.outside.advance(minutes=10)
    [body] = due(stage)
    look(stage, body)
    assert stage.state(message)[0] == "uncertain"
    assert [own["verdict"] for own in stage.attempts(message)] == ["unknown", "refused"]


@pytest.mark.parametrize("state", ["pending", "claimed", "uncertain"])
def test_a_look_up_that_finds_the_message_stops_its_second_call(state: str, stage: Stage) -> None:
    """The sweep opens the message while the provider is asked about its first call."""

    def found(method: str, url: str) -> HttpResponse:
        if state != "uncertain":
            stage.outside.advance(minutes=10)
            stage.sweep()
        if state == "claimed":
            stage.claim(message)
        assert stage.state(message)[0] == state
        return json_answer({"MessageID": "pm-1", "Metadata": {"message_id": str(message)}})

    live(
        stage, "postmark", {"serverToken": "t", "broadcastStream": "b"}, BROKEN,
        json_answer({"Messages": [{"MessageID": "pm-1"}]}), found,
    )  # fmt: skip
    stage.contact()
    message = stage.message(1, 1, on_uncertain="retry", **{"class": "transactional"})
    stage.send(message)
    stage.db.execute("update delivery.messages set not_before = called_at")
    [call] = stage.db.rows("select id from delivery.calls")
    data = {"organizationId": str(org()), "callId": str(call["id"])}
    look(stage, {"type": "delivery.reconcile", "data": data})
    row = stage.row(message)
    assert (row["state"], row["provider_message_id"], row["lease_until"]) == ("sent", "pm-1", None)
    stage.send(message)
    assert stage.row(message)["attempts"] == 1
