"""The counts agree with the broker for every path of a message."""

import json
import time
from typing import Any

import pytest

from tests.e2e.system import until
from tests.mauntic.local.runtime.harness import Server

pytestmark = pytest.mark.e2e


EMPTY = {"waiting": 0, "delayed": 0, "inFlight": 0}


def counts(server: Server, queue: str) -> dict[str, int]:
    """Return the hosts' counts. The broker counts their sum, the only count of runtime native."""
    state = server.get("/queues")[queue]
    assert state["unacked"] == sum(state[name] for name in EMPTY)
    return {name: state[name] for name in EMPTY}


def deliveries(server: Server) -> list[list[int]]:
    return [batch["attempts"] for batch in server.ask("/seen")["batches"]]


def test_many_messages_are_delivered_and_acknowledged(server: Server) -> None:
    assert server.send("work", *({"n": n} for n in range(250))) == {"sent": 250}
    outcome = server.wait_idle()
    assert outcome == {"idle": True, "queues": outcome["queues"]}
    assert outcome["queues"]["work"] == EMPTY
    bodies = [body for batch in server.ask("/seen")["batches"] for body in batch["bodies"]]
    assert sorted(body["n"] for body in bodies) == list(range(250))


def test_large_messages_are_sent_in_portions(server: Server) -> None:
    assert server.send("work", *({"text": "x" * 90_000} for _ in range(7))) == {"sent": 7}
    assert server.wait_idle()["idle"]
    assert sum(map(len, deliveries(server))) == 7


def test_a_message_in_hand_is_in_flight(server: Server) -> None:
    server.send("work", {"do": "sleep", "seconds": 0.5})
    assert server.wait_idle(timeout_ms=200) | {"queues": {}} == {"idle": False, "queues": {}}
    assert counts(server, "work") == EMPTY | {"inFlight": 1}
    assert server.wait_idle()["idle"]


def test_a_retry_is_delayed_then_delivered_again(server: Server) -> None:
    server.send("work", {"do": "retry-once"})
    assert server.wait_idle()["idle"]
    assert deliveries(server) == [[1], [2]]
    server.send("work", {"do": "retry", "delay": 1})
    assert not server.wait_idle(timeout_ms=300)["idle"]
    assert counts(server, "work") == EMPTY | {"delayed": 1}
    assert server.wait_idle()["idle"]


def test_a_dead_letter_is_followed_into_its_queue(server: Server) -> None:
    before = len(server.ask("/", "toy-beta"))
    server.send("work", {"do": "retry", "name": "dead"})
    assert server.wait_idle()["idle"]
    assert deliveries(server) == [[1], [2], [3]]
    assert server.ask("/", "toy-beta")[before:] == [{"bodies": [{"do": "retry", "name": "dead"}]}]


def test_an_exception_retries_what_was_acknowledged_too(server: Server) -> None:
    server.send("work", {"do": "ack", "whole": "raise"}, {"do": "ack"})
    assert server.wait_idle()["idle"]
    assert deliveries(server) == [[1, 1], [2, 2], [3, 3]]


def test_retry_all_retries_what_has_no_answer(server: Server) -> None:
    server.send("work", {"do": "nothing", "whole": "retry-all"})
    assert server.wait_idle()["idle"]
    assert deliveries(server) == [[1], [2], [3]]


def test_the_first_answer_to_a_message_counts(server: Server) -> None:
    server.send("work", {"do": "both"})
    assert server.wait_idle()["idle"]
    assert deliveries(server) == [[1]]


def test_a_cancelled_batch_is_not_in_flight_for_ever(server: Server) -> None:
    server.send("work", {"do": "nothing", "whole": "hang"})
    assert server.wait_idle()["idle"]
    assert deliveries(server) == [[1], [2], [3]]


def test_a_batch_in_which_the_interpreter_crashes_is_delivered_again(server: Server) -> None:
    server.send("work", {"do": "crash-once"}, {"do": "ack"})
    assert server.wait_idle(timeout_ms=60_000)["idle"]
    assert deliveries(server) == [[2, 2]]  # the first went with the interpreter's memory


def test_work_after_the_answer_delays_no_message_but_counts(server: Server) -> None:
    """The next batch arrives in between; a queue is idle without any work, and points are kept."""
    server.send("work", {"do": "linger", "n": 1, "seconds": 3, "then": "raise"})
    until(lambda: deliveries(server) == [[1]] and counts(server, "work") == EMPTY)
    assert not server.wait_idle(timeout_ms=100)["idle"]
    server.send("work", {"do": "linger", "n": 2, "seconds": 0.1})
    assert server.wait_idle()["idle"]
    seen = [batch.get("lingered", batch["attempts"]) for batch in server.ask("/seen")["batches"]]
    assert seen == [[1], [1], 2, 1]
    indexes = [index for point in server.get("/metrics") for index in point["indexes"]]
    lingered = [index for index in indexes if index.startswith("lingered")]
    assert lingered == ["lingered 2", "lingered 1"]
    reported = server.wait_event("log", worker="toy-alpha", level="error", timeout_s=5)["text"]
    assert reported.startswith("queue work, afterwards, raised\n")
    assert reported.endswith("ValueError: too late to matter")


def test_an_interpreter_that_crashed_has_nothing_left_to_do(server: Server) -> None:
    """If it crashes afterwards, or in the batch that leaves work for later."""
    server.send("work", {"do": "linger", "n": 1, "seconds": 60})
    assert not server.wait_idle(timeout_ms=300)["idle"]
    assert server.fetch("/crash")["status"] == 500
    assert server.wait_idle(timeout_ms=10_000)["idle"]
    server.send("work", {"do": "linger", "n": 2, "seconds": 0.5}, {"do": "crash-once"})
    assert server.wait_idle(timeout_ms=15_000)["idle"]


def test_a_delayed_message_is_counted_as_such(server: Server) -> None:
    server.send("work", {"do": "ack"}, delaySeconds=1)
    assert not server.wait_idle(timeout_ms=200)["idle"]
    assert counts(server, "work") == EMPTY | {"delayed": 1}
    assert server.wait_idle()["idle"]
    assert deliveries(server) == [[1]]


def test_what_a_handler_sends_is_counted_before_it_ends(server: Server) -> None:
    server.post("/cron", {"worker": "toy-alpha", "cron": "send"})
    assert server.wait_idle()["idle"]
    assert deliveries(server) == [[1]]


def test_a_refused_send_is_not_counted(server: Server) -> None:
    assert server.fetch("/too-large")["status"] == 500
    assert counts(server, "work") == EMPTY
    answer = server.request("POST", "/queues/work/messages", [{"body": "x" * 200_000}])
    assert answer.status_code == 400
    assert "0 sent, then refused (a message has at most 128,000 bytes)" in answer.json()["error"]
    assert counts(server, "work") == EMPTY


def test_a_queue_without_a_consumer_is_refused(server: Server) -> None:
    answer = server.request("POST", "/queues/unread/messages", [{"body": 1}])
    assert answer.status_code == 409
    server.ask("/send?binding=UNREAD&body=1")
    assert counts(server, "unread") == EMPTY
    assert server.request("POST", "/queues/absent/messages", []).status_code == 404


def test_a_pause_holds_delivery_and_spends_no_attempt(server: Server) -> None:
    server.post("/queues/work/pause")
    try:
        server.send("work", *({"n": n} for n in range(150)))
        assert not server.wait_idle(timeout_ms=300)["idle"]
        assert counts(server, "work") == EMPTY | {"waiting": 150}
        assert server.get("/queues")["work"]["paused"]
        assert deliveries(server) == []
    finally:
        server.post("/queues/work/resume")
    assert server.wait_idle()["idle"]
    assert {attempt for batch in deliveries(server) for attempt in batch} == {1}


def test_the_oldest_message_of_a_paused_queue_is_known(server: Server) -> None:
    """Also while its batch is held back: the broker has already delivered it."""
    server.post("/queues/work/pause")
    try:
        sent_after = time.time() * 1_000
        server.send("work", {"n": 1})
        sent_before = time.time() * 1_000
        time.sleep(1.5)  # longer than the broker gathers a batch
        server.send("work", {"n": 2})
        assert sent_after - 1 <= server.get("/queues")["work"]["oldestMessageAt"] <= sent_before + 1
    finally:
        server.post("/queues/work/resume")
    assert server.wait_idle()["idle"]
    assert server.get("/queues")["work"]["oldestMessageAt"] is None


def test_a_tail_shows_each_answer(server: Server) -> None:
    answers: list[Any] = []
    with server.api.stream("GET", "/queues/work/tail") as tail:
        for line in tail.iter_lines():
            if line == "":  # the tail is open
                server.send("work", {"do": "retry-once", "n": 1})
                continue
            answers.append(json.loads(line))
            if len(answers) == 2:
                break
    first, second = answers
    assert first["id"] == second["id"]
    assert (first["attempts"], first["answer"]) == (1, "retry")
    assert (second["attempts"], second["answer"]) == (2, "ack")
    assert first["body"] == {"do": "retry-once", "n": 1}


def test_a_queue_is_described(server: Server) -> None:
    state = server.get("/queues")["work"]
    assert (state["consumer"], state["deadLetterQueue"]) == ("toy-alpha", "work-dlq")
    assert (state["maxBatchSize"], state["maxRetries"]) == (100, 2)
    assert state["oldestMessageAt"] is None
