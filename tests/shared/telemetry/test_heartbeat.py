"""The heartbeat of ticks, also over HTTP to a small server."""

from __future__ import annotations

import asyncio

import pytest

from shared.errors import QueueUnavailable
from shared.jobs import WindowJob, Worker
from shared.ports import HttpResponse
from shared.tick.dispatch import TickFailed, dispatch
from tests.fakes import FakeHttp, World
from tests.shared.tick.test_due import EACH_MINUTE, Fold
from tests.shared.toy import NOON, done, toy, world

URL = "https://alive.test/ping/abc"


def tick(outside: World, of: Worker | None = None, cron: str = "0 * * * *") -> list[str]:
    """Run one tick; return its requests."""
    outside.secrets["HEARTBEAT_URL"] = URL
    asyncio.run(dispatch(of or toy(), cron, NOON, outside.ports()))
    return outside.http.gets


def test_a_tick_that_has_done_its_work_says_so(database: str) -> None:
    assert tick(world(database)) == [URL]


def test_a_tick_that_could_not_reach_the_ledger_has_failed() -> None:
    assert tick(world(None)) == [f"{URL}/fail"]


def test_a_tick_whose_queue_takes_nothing_has_failed(database: str) -> None:
    outside = world(database)
    outside.queue.broken = OSError("no")
    with pytest.raises(QueueUnavailable):
        tick(outside)
    assert outside.http.gets == [f"{URL}/fail"]


@pytest.mark.parametrize("gate", ["false", "off"])
def test_a_gate_that_is_not_open_says_nothing(database: str, gate: str) -> None:
    outside = world(database)
    outside.secrets["ENABLE_TOY_CRON"] = gate
    assert tick(outside) == []


def test_without_an_address_nothing_is_asked_for(database: str) -> None:
    outside = world(database)
    asyncio.run(dispatch(toy(), "0 * * * *", NOON, outside.ports()))
    assert outside.http.gets == []


class Broken(FakeHttp):
    async def respond(self, method: str, url: str) -> HttpResponse:
        raise OSError("no network")


class Slow(FakeHttp):
    async def respond(self, method: str, url: str) -> HttpResponse:
        await asyncio.sleep(60)
        return await super().respond(method, url)


@pytest.mark.parametrize("http", [Broken(), Slow()], ids=["broken", "slow"])
def test_an_address_that_does_not_answer_harms_nothing(
    database: str, http: FakeHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.telemetry.heartbeat.TIMEOUT_S", 0.05)
    outside = world(database)
    outside.http = http
    tick(outside)
    assert len(outside.queue.sent) == 1
    [event] = outside.named("heartbeat.unsent")
    assert URL not in str(event)


def test_an_answer_that_is_no_success_is_an_event(database: str) -> None:
    outside = world(database)
    outside.http.status = 404
    tick(outside)
    assert outside.named("heartbeat.unsent")[0]["error"] == "the address answered 404"


def of_one(has_work: object) -> Worker:
    worker = toy()
    job = WindowJob(Fold, done, EACH_MINUTE, has_work=has_work)  # type: ignore[arg-type]
    return Worker("toy", "toy", worker.queues, worker.gate, [job])


def test_a_tick_that_finds_nothing_to_do_has_done_its_work(database: str) -> None:
    assert tick(world(database), of_one(lambda db: False), "* * * * *") == [URL]


def test_a_system_exit_ends_the_tick_and_not_the_isolate(database: str) -> None:
    def leaves(db: object) -> bool:
        raise SystemExit(3)

    outside = world(database)
    outside.secrets["ALERT_WEBHOOK_URL"] = "https://alerts.test/"
    with pytest.raises(TickFailed):
        tick(outside, of_one(leaves), "* * * * *")
    assert outside.http.gets == [f"{URL}/fail"]
    assert [post["event"] for _, post in outside.http.posts] == ["dispatch.failed"]
