"""Python sees the same inside the host as in production."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.mauntic.local.runtime.harness import Server

pytestmark = pytest.mark.e2e


def test_a_request_is_the_sdks_and_bindings_are_the_configs(server: Server) -> None:
    answer = server.fetch("/facts", method="POST", body="ping")
    facts = json.loads(answer["body"])
    assert facts["request"] == "workers.request.Request"
    assert (facts["method"], facts["body"], facts["more"]) == ("POST", "ping", 2)
    assert (facts["greeting"], facts["gate"]) == ("héllo", "false")
    assert facts["text"] == "Hello from a text file"
    assert not [name for name in facts["bindings"] if name.startswith("LOCAL_")]


def test_own_files_come_last_and_the_sdks_pth_is_honoured(server: Server) -> None:
    facts = server.ask("/facts")
    assert facts["path"][0] == "/lib/python314.zip"
    assert facts["path"][-4:] == [
        "/session/metadata/python_modules",
        "/lib/python3.14/site-packages",
        "/session/metadata",
        "/session/lib/python3.14/site-packages",
    ]
    assert facts["pth"]


def test_fetch_must_return_a_response(server: Server) -> None:
    assert server.fetch("/text")["status"] == 500
    event = server.wait_event("log", worker="toy-alpha", level="error")
    assert "TypeError: fetch must return a workers.Response, it returned str" in event["text"]


def test_each_event_has_an_instance_and_globals_persist(server: Server) -> None:
    for _ in range(3):
        server.ask("/slow")
    assert server.ask("/seen")["instances"] == ["new"] * 4


def test_env_and_ctx_arguments_are_none(server: Server) -> None:
    server.post("/cron", {"worker": "toy-alpha", "cron": "0 * * * *", "scheduledTime": 3_600_000})
    server.send("work", {"do": "ack"})
    assert server.wait_idle()["idle"]
    seen = server.ask("/seen")
    cron = {"cron": "0 * * * *", "at": 3_600_000, "env": None, "ctx": None}
    assert seen["crons"] == [cron]
    assert (seen["batches"][0]["env"], seen["batches"][0]["ctx"]) == (None, None)


def test_slow_events_interleave(server: Server) -> None:
    with ThreadPoolExecutor() as pool:
        (start_1, end_1), (start_2, end_2) = pool.map(server.ask, ["/slow"] * 2)
    assert start_1 < end_2
    assert start_2 < end_1


def test_handlers_have_the_time_and_randomness(server: Server) -> None:
    made = server.ask("/handler-time")
    age = datetime.now(UTC) - datetime.fromisoformat(made["now"])
    assert abs(age.total_seconds()) < 5
    assert len(set(made["uuids"])) == 2


def test_the_clock_of_the_workers_can_be_set_ahead(server: Server) -> None:
    ahead = timedelta(days=400)
    server.post("/clock", {"ahead_ms": ahead / timedelta(milliseconds=1)})
    try:
        made = server.ask("/handler-time")
        age = datetime.now(UTC) + ahead - datetime.fromisoformat(made["now"])
        assert abs(age) < timedelta(seconds=5)
    finally:
        server.post("/clock", {"ahead_ms": 0})
    made = server.ask("/handler-time")
    assert abs(datetime.now(UTC) - datetime.fromisoformat(made["now"])) < timedelta(seconds=5)


def test_wait_until_takes_a_coroutine(server: Server) -> None:
    server.ask("/wait-until")
    server.wait_event("log", worker="toy-alpha", text="later", timeout_s=5)


def test_what_a_worker_prints_is_an_event_each(server: Server) -> None:
    server.ask("/print")
    server.wait_event("log", worker="toy-alpha", level="info", text="one", timeout_s=5)
    server.wait_event("log", worker="toy-alpha", level="info", text="two ünï 🙂", timeout_s=5)
    server.wait_event("log", worker="toy-alpha", level="error", text="warned", timeout_s=5)
    traceback = server.wait_event("log", worker="toy-alpha", level="error", timeout_s=5)["text"]
    assert traceback.startswith("Traceback (most recent call last):\n")
    assert traceback.endswith("KeyError: 'gone'")


def test_a_failing_cron_tells_its_traceback(server: Server) -> None:
    answer = server.post("/cron", {"worker": "toy-alpha", "cron": "fail"})
    assert answer["outcome"] == "exception"
    assert answer["error"].endswith("ValueError: the cron failed")
    assert 'entry.py", line' in answer["error"]


def test_the_signal_of_the_cpu_limit_is_an_exception(server: Server) -> None:
    assert server.ask("/cpu-limit") == "CpuLimitExceeded"


def test_a_hanging_handler_is_ended_by_the_runtime(server: Server) -> None:
    assert server.fetch("/hang")["status"] == 500
    assert server.ask("/seen")["instances"]  # and the worker survives


def test_a_crashed_interpreter_is_followed_by_another(server: Server) -> None:
    """Like the end of an isolate in production: its work fails, the next event is answered."""
    with ThreadPoolExecutor() as pool:
        other = pool.submit(server.fetch, "/slow?seconds=60")
        while len(server.ask("/seen")["instances"]) < 2:  # the other's and this one
            pass
        answers = [server.fetch("/crash"), other.result()]
    assert [answer["status"] for answer in answers] == [500, 500]
    assert "the interpreter has crashed" in answers[0]["body"]
    assert server.ask("/seen")["instances"] == ["new"]


def test_no_number_of_events_at_once_crashes_the_interpreter(server: Server) -> None:
    """Each blocks in the database concurrently, like the crons of a machine that was asleep."""
    events = 365
    limits = httpx.Limits(max_connections=None)
    with (
        httpx.Client(
            base_url=server.api.base_url, headers=server.api.headers, limits=limits
        ) as api,
        ThreadPoolExecutor(events) as pool,
    ):
        asked = {"worker": "toy-alpha", "url": "http://toy.test/wait"}
        answers = pool.map(lambda _: api.post("/fetch", json=asked, timeout=300), range(events))
        assert {answer.json()["status"] for answer in answers} == {200}


def test_hyperdrive_leads_to_the_database(server: Server) -> None:
    outcome = server.ask("/database")
    assert outcome["rows"] == [[42]]
