"""Faults in the middle of a batch, on the real runtime, with the resulting messages and rows."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta

import pytest

from mauntic.database.url import connect
from tests.e2e.sabotage import Sabotaged
from tests.e2e.system import DAY, System, hour, until

pytestmark = pytest.mark.e2e

RESET = {"type": "analytics.reset-warmup-daily", "scheduledFor": "2026-03-10T00:00:00Z"}
OLD, NEW = "warmup/daily/2026-03-09", "warmup/daily/2026-03-10"
GONE = "00000000-0000-0000-0000-000000000009/gone.example/00"  # a domain that does not exist


def runs(system: System) -> dict[str, tuple[str, int]]:
    """Return each hour's status in the ledger, and its number of runs."""
    found = system.rows("select window_start, status, fencing_token from ops.job_runs")
    return {f"{row['window_start']:%H}": (row["status"], row["fencing_token"]) for row in found}


def failures(system: System) -> set[str]:
    return {row["error_class"] for row in system.rows("select * from ops.message_failures")}


# --- the isolate ------------------------------------------------------------------------------


def test_cpu_that_is_used_up_fails_one_run_and_begins_no_other(sabotaged: Sabotaged) -> None:
    """Earlier messages stay done; the run is rolled back; it and the following ones are retried."""
    system = sabotaged.system
    system.add_events(9.1, 9.2, 10.1, 11.1)
    sabotaged.plan({"before commit": ["pass", "cpu"]})
    system.send(hour(10), hour(11), hour(12))
    system.settle()
    assert system.counts() == {"email_opened": (4, 3)}
    assert runs(system) == {"09": ("succeeded", 1), "10": ("succeeded", 2), "11": ("succeeded", 1)}
    recorded = system.rows("select message_id, error_class, attempt from ops.message_failures")
    assert len({row["message_id"] for row in recorded}) == 2
    assert {(row["error_class"], row["attempt"]) for row in recorded} == {("CpuLimitExceeded", 1)}


def test_cpu_that_is_used_up_after_the_commit_changes_nothing(sabotaged: Sabotaged) -> None:
    system = sabotaged.system
    system.add_events(9.1)
    sabotaged.plan({"after commit": ["cpu"]})
    system.send(hour(10))
    system.settle()
    assert system.counts() == {"email_opened": (1, 1)}
    assert runs(system) == {"09": ("succeeded", 1)}
    assert failures(system) == {"CpuLimitExceeded"}


def test_an_isolate_that_dies_before_the_commit_is_followed_by_another(
    sabotaged: Sabotaged,
) -> None:
    """The batch is delivered again: committed work is not repeated, and the rest runs when the
    lease of the dead run has ended.
    """
    system = sabotaged.system
    system.add_events(9.1, 9.2, 10.1)
    sabotaged.plan({"before commit": ["pass", "crash"]}, lease_s=2)
    system.send(hour(10), hour(11))
    until(lambda: runs(system) == {"09": ("succeeded", 1), "10": ("running", 1)})
    assert system.counts() == {"email_opened": (2, 2)}
    system.settle()
    assert system.counts() == {"email_opened": (3, 3)}
    assert runs(system) == {"09": ("succeeded", 1), "10": ("succeeded", 2)}
    assert failures(system) <= {"Busy"}  # if the next isolate was faster than the lease


def test_an_isolate_that_dies_after_the_commit_has_done_its_work(sabotaged: Sabotaged) -> None:
    system = sabotaged.system
    system.add_events(9.1)
    sabotaged.plan({"after commit": ["crash"]})
    system.send(hour(10))
    until(lambda: runs(system) == {"09": ("succeeded", 1)})
    system.settle()
    assert system.counts() == {"email_opened": (1, 1)}
    assert runs(system) == {"09": ("succeeded", 1)}
    assert failures(system) == set()


def test_a_killed_process_takes_its_queue_along_and_a_later_tick_makes_good(
    sabotaged: Sabotaged,
) -> None:
    """Killed with one message of the batch committed and the next one in progress. The local
    broker's messages are lost, so only the ledger knows them; it leaves the run alone during its
    lease.
    """
    system = sabotaged.system
    system.add_events(9.1, 10.1, 11.1, 12.1)
    system.tick(DAY + timedelta(hours=10))
    system.settle()
    with closing(connect(system.server.url)) as holder:
        holder.run("select pg_advisory_lock(1)")
        hold(system, 11)
        system.tick(DAY + timedelta(hours=12))
        until(lambda: runs(system).get("11") == ("running", 1))
        sabotaged.kill_workerd()
    assert runs(system) == {"09": ("succeeded", 1), "10": ("succeeded", 1), "11": ("running", 1)}
    assert system.counts() == {"email_opened": (2, 2)}
    system.tick(DAY + timedelta(hours=13))
    system.settle()
    assert runs(system)["11"] == ("running", 1)
    system.run("update ops.job_runs set lease_until = now() where status = 'running'")
    system.tick(DAY + timedelta(hours=14))
    system.settle()
    assert runs(system) == {
        "09": ("succeeded", 1), "10": ("succeeded", 1), "11": ("succeeded", 2),
        "12": ("succeeded", 1), "13": ("succeeded", 1),
    }  # fmt: skip
    assert system.counts() == {"email_opened": (4, 3)}


def hold(system: System, hour: int) -> None:
    """Let booking that hour wait from now on until the advisory lock is free."""
    system.run(
        "create or replace function hold() returns trigger language plpgsql as $$"
        f" begin if extract(hour from new.hour) = {hour} then"
        " perform pg_advisory_xact_lock(1); end if; return new; end $$;"
        " create or replace trigger trouble before insert on analytics.hourly_cells"
        " for each row execute function hold()"
    )


# --- the database -----------------------------------------------------------------------------


def test_a_commit_whose_answer_is_lost_is_not_done_again(sabotaged: Sabotaged) -> None:
    """The worker cannot know, so the message is retried and finds its own success."""
    system = sabotaged.system
    system.add_events(9.1, 9.2, 10.1)
    system.wire.loses = 1
    system.send(hour(10), hour(11))
    system.settle()
    assert system.wire.loses == 0
    assert system.counts() == {"email_opened": (3, 3)}
    assert runs(system) == {"09": ("succeeded", 1), "10": ("succeeded", 1)}
    retries = [line for line in system.logged("queue.metric") if line["status"] == "retry"]
    assert [line["error_class"] for line in retries] == ["DatabaseUnreachable"]


# --- R2 ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("point", "what"), [("r2 list", "500"), ("r2 delete", "429"), ("r2 delete", "lost")]
)
def test_an_error_of_r2_fails_the_run_and_its_retry_finishes_it(
    sabotaged: Sabotaged, point: str, what: str
) -> None:
    system = sabotaged.system
    system.put(f"{OLD}/{GONE}", f"{NEW}/{GONE}")
    sabotaged.plan({point: [what]})
    system.send(RESET)
    until(lambda: bool(failures(system)))
    system.settle()
    assert failures(system) == {"StorageError:429" if what == "429" else "StorageError:500"}
    assert system.keys() == [f"{NEW}/{GONE}"]
    [run] = system.rows("select * from ops.job_runs")
    assert (run["status"], run["fencing_token"], run["error_class"]) == ("succeeded", 2, None)


def test_an_r2_that_does_not_recover_ends_as_a_dead_letter(sabotaged: Sabotaged) -> None:
    system = sabotaged.system
    system.put(f"{OLD}/{GONE}")
    sabotaged.plan({"r2 list": ["500"] * 6}, first_ceiling_s=0)
    system.send(RESET)
    system.settle()
    [letter] = system.rows("select * from ops.dead_letters")
    assert (letter["reason"], letter["attempts"], letter["body"]) == ("exhausted", 6, RESET)
    assert letter["error"].startswith("StorageError:500: ")
    assert "We encountered an internal error" in letter["error"]
    [run] = system.rows("select * from ops.job_runs")
    assert (run["status"], run["error_class"]) == ("dead", "StorageError:500")
    assert system.keys() == [f"{OLD}/{GONE}"]


def test_what_r2_refuses_is_dead_at_once(sabotaged: Sabotaged) -> None:
    system = sabotaged.system
    sabotaged.plan({"r2 list": ["403"]})
    system.send(RESET)
    system.settle()
    [letter] = system.rows("select * from ops.dead_letters")
    assert (letter["reason"], letter["attempts"]) == ("failed", 1)
    assert letter["error"].startswith("StorageError:403")


# --- the warm-up counters, on the runtime's own R2 --------------------------------------------

CALLERS = 6
# Of a domain whose day of warm-up is that one on the day of the saboteur's clock.
FIRST_DAY, FOURTH_DAY = "2026-03-10T09:00:00+00:00", "2026-03-07T09:00:00+00:00"


def reserved(sabotaged: Sabotaged, created_at: str, sizes: list[int], patience_s: int) -> list[int]:
    """Return the grants of each of several concurrent invocations."""
    with ThreadPoolExecutor(CALLERS) as callers:
        parts = callers.map(
            lambda part: sabotaged.ask(
                "/reserve", created_at=created_at, sizes=part, patience_s=patience_s
            ),
            [sizes[n::CALLERS] for n in range(CALLERS)],
        )
        return [granted for part in parts for granted in part]


@pytest.mark.parametrize(
    ("created_at", "cap", "sizes"), [(FIRST_DAY, 50, [7] * 30), (FOURTH_DAY, 500, [30] * 60)]
)
def test_many_senders_at_once_share_the_cap_and_no_more(
    sabotaged: Sabotaged, created_at: str, cap: int, sizes: list[int]
) -> None:
    sabotaged.plan(write_interval_s=0.05)
    granted = reserved(sabotaged, created_at, sizes, patience_s=60)
    assert min(granted) >= 0
    assert max(granted) <= max(sizes)
    assert sum(granted) == cap
    assert sabotaged.ask("/booked", created_at=created_at) == cap


def test_whatever_r2_loses_or_refuses_the_cap_is_not_passed(sabotaged: Sabotaged) -> None:
    """Every second write is refused, lost or repeated; every fourth read fails."""
    rng = random.Random(20260310)
    puts = [rng.choice(["429", "500", "lost", "none", *["pass"] * 4]) for _ in range(2_000)]
    gets = [rng.choice(["500", "429", *["pass"] * 6]) for _ in range(4_000)]
    sabotaged.plan({"r2 put": puts, "r2 get": gets}, write_interval_s=0.05)
    granted = reserved(sabotaged, FOURTH_DAY, [30] * 60, patience_s=5)
    out = sum(amount for amount in granted if amount > 0)
    sabotaged.plan()
    booked = sabotaged.ask("/booked", created_at=FOURTH_DAY)
    assert max(granted) <= 30
    assert 0 < out <= booked <= 500
