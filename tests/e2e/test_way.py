"""The path of a message on the real runtime, including difficult ones."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from mauntic.database.url import connect
from shared.telemetry.points import checked_point
from tests.e2e.sabotage import Sabotaged
from tests.e2e.system import DAY, QUEUE, System, copied_project, hour, started, until

pytestmark = pytest.mark.e2e


def test_from_tick_to_rows(system: System) -> None:
    system.add_events(9.1, 9.2, 9.3, 9.4)
    system.tick(DAY + timedelta(hours=10))
    system.settle()
    assert system.counts() == {"email_opened": (4, 3)}
    assert system.statuses() == {"09": "succeeded"}


def test_a_message_that_comes_twice_changes_nothing(system: System) -> None:
    system.add_events(9.1, 9.2, 9.3, 9.4)
    system.send(hour(10), hour(10))
    system.settle()
    assert system.counts() == {"email_opened": (4, 3)}
    assert system.statuses() == {"09": "succeeded"}


def test_a_poisoned_batch_of_a_hundred(sabotaged: Sabotaged) -> None:
    """In one batch. (Nothing is sabotaged: this system's retries wait seconds, not minutes.)"""
    system = sabotaged.system
    system.add_events(*(n / 10 for n in range(240)))
    system.trouble("P0001", hour=23)
    good = [hour(n % 24 + 1) for n in range(98) if n % 24 != 23]
    bad = [{"type": "analytics.nobody"}, hour(1, data={"x": 1}), hour(24)]
    system.send(*good[:50], *bad, *good[50:])
    system.settle()
    letters = system.rows("select reason, error from ops.dead_letters order by reason")
    assert [letter["reason"] for letter in letters] == ["failed", "invalid", "unknown_type"]
    assert "P0001" in letters[0]["error"]
    statuses = system.statuses()
    assert statuses.pop("23") == "dead"
    assert set(statuses.values()) == {"succeeded"}
    assert system.counts() == {"email_opened": (230, 3)}


def test_a_retry_waits_and_then_succeeds(sabotaged: Sabotaged) -> None:
    system = sabotaged.system
    sabotaged.plan(first_ceiling_s=3)
    system.add_events(9.1)
    system.trouble("40001")
    system.send(hour(10))
    until(lambda: bool(system.rows("select 1 from ops.message_failures")))
    until(lambda: system.statuses() == {"09": "failed"})  # a second try may come at once
    failures = system.rows("select * from ops.message_failures")
    assert {failure["error_class"] for failure in failures} == {"DatabaseError:40001"}
    system.calm()
    system.settle()
    assert system.counts() == {"email_opened": (1, 1)}
    [run] = system.rows("select attempts, status from ops.job_runs")
    assert (run["status"], run["attempts"] > 1) == ("succeeded", True)


def test_postgres_stops_and_starts_and_nothing_is_lost(sabotaged: Sabotaged) -> None:
    system = sabotaged.system
    sabotaged.plan(first_ceiling_s=3)
    system.add_events(9.1, 10.1)
    system.server.stop()
    system.tick(DAY + timedelta(hours=10))  # without the ledger: only its own windows
    system.send(hour(11))
    until(lambda: {reported["status"] for reported in system.logged("queue.metric")} == {"retry"})
    system.server.start()
    system.settle(90)
    assert system.counts() == {"email_opened": (2, 2)}
    assert system.statuses() == {"09": "succeeded", "10": "succeeded"}


def test_a_connection_that_is_cut_in_the_middle_of_a_run(sabotaged: Sabotaged) -> None:
    """The run holds a lock when its backend is terminated: rolled back, and run again."""
    system = sabotaged.system
    sabotaged.plan(first_ceiling_s=3)
    system.add_events(9.1)
    with closing(connect(system.server.url)) as blocker:
        blocker.run("begin; lock table analytics.hourly_cells")
        system.send(hour(10))
        until(lambda: system.statuses() == {"09": "running"})
        until(lambda: bool(waiting(system)))
        system.rows("select pg_terminate_backend(:pid)", pid=waiting(system)[0]["pid"])
        until(lambda: bool(system.logged("queue.metric")))  # a second try may come at once
        [reported, *_] = system.logged("queue.metric")
        assert (reported["status"], reported["error_class"]) == ("retry", "DatabaseUnreachable")
        blocker.run("rollback")
    system.settle()
    assert system.counts() == {"email_opened": (1, 1)}
    [run] = system.rows("select attempts, status from ops.job_runs")
    assert (run["status"], run["attempts"] > 1) == ("succeeded", True)


def test_shards_are_run_side_by_side(sabotaged: Sabotaged) -> None:
    """Two wait concurrently for the locked rows; the others have not begun."""
    system = sabotaged.system
    sabotaged.plan(shard_events_target=2)
    with closing(connect(system.server.url)) as blocker:
        for number in range(1, 5):
            system.add_events(9.1, 9.2, organization=UUID(int=number))
        blocker.run("begin; lock table analytics.event_aggregates in exclusive mode")
        system.send(hour(10))
        until(lambda: len(waiting(system)) == 2)
        shards = "select shard, status from ops.job_runs where shard <> '' order by shard"
        statuses = [row["status"] for row in system.rows(shards)]
        assert statuses == ["running"] * 2 + ["queued"] * 2
        blocker.run("rollback")
        system.settle()
        assert {row["status"] for row in system.rows(shards)} == {"succeeded"}
        found = system.rows("select count, unique_count from analytics.daily_aggregates")
        assert found == [{"count": 2, "unique_count": 2}] * 4


def waiting(system: System) -> list[Any]:
    return system.rows(
        "select pid from pg_stat_activity"
        " where wait_event_type = 'Lock' and pid <> pg_backend_pid()"
    )


def test_every_line_is_an_event_and_every_point_is_valid(system: System) -> None:
    system.send({"type": "analytics.nobody"}, hour(10))
    system.settle()
    points = [point for point in system.control.metrics() if "points" not in point]
    assert points
    for point in points[-2:]:
        [index] = point["indexes"]
        assert checked_point(index, point["blobs"], point["doubles"])
        assert (index, point["blobs"][0]) == (QUEUE, "queue.metric")
    lines = [event["text"] for event in system.events if event.get("level") and event.get("text")]
    assert all(json.loads(line)["event"] for line in lines if line.startswith("{"))


def test_what_the_platform_gives_up_arrives_raw_and_is_explained(tmp_path: Path) -> None:
    """Without retries left, a failed message goes to the dead letters unchanged."""
    config = copied_project(tmp_path)
    topology = config.read_text().replace("max_batch_timeout = 5", "max_batch_timeout = 0")
    config.write_text(topology.replace("max_retries = 5", "max_retries = 0"))
    with started(config) as system:
        system.add_events(9.1)
        system.trouble("40001")
        system.send(hour(10))
        until(lambda: bool(system.rows("select 1 from ops.dead_letters")), timeout_s=20)
        [letter] = system.rows("select * from ops.dead_letters")
        assert letter["reason"] == "exhausted"
        refused = "a function or trigger of the database refused it (its text is not logged)"
        assert letter["error"] == f"DatabaseError:40001: {refused}"
        assert letter["body"] == hour(10)
        assert letter["job_type"] == "analytics.aggregate-hourly"


def test_the_queue_itself_says_that_a_message_is_gone(system: System) -> None:
    """`metrics()` of the runtime: otherwise the ledger would wait for another day."""
    system.add_events(0.1)
    system.tick(DAY + timedelta(hours=1))
    system.settle()
    assert system.statuses() == {"00": "succeeded"}
    system.run(
        "update ops.job_runs set status = 'queued', queued_at = now() - interval '20 minutes',"
        " lease_until = now() + interval '1 day'"
    )
    system.tick(DAY + timedelta(hours=1))
    system.settle()
    assert system.statuses() == {"00": "succeeded"}
