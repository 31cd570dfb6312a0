"""The declaration of jobs: mistakes are refused when the worker loads."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

import pytest

import shared
from analytics.worker import WORKER
from shared.jobs import Job, MessageJob, WindowJob, Worker, discover
from shared.messages import Message, WindowMessage
from shared.queues import Queue
from shared.windows import Schedule, hour_before
from tests.shared.toy import Hourly, Single, done

HOURLY = Schedule("0 * * * *", hour_before, timedelta(minutes=30))


class Nameless(WindowMessage):
    type: Literal["toy.nameless"]


def worker(*jobs: Job) -> Worker:
    return Worker("toy", "toy", [Queue("toy-jobs", "TOY", 3)], "ENABLE_TOY_CRON", jobs)


def test_a_schedule_wants_a_message_that_means_a_window() -> None:
    with pytest.raises(TypeError, match="must be a WindowMessage"):
        WindowJob(Single, done, HOURLY)  # type: ignore[arg-type]


@pytest.mark.parametrize("message", [Nameless, Message])
def test_a_message_names_its_job(message: type[Message]) -> None:
    with pytest.raises(TypeError, match="must give its type a default"):
        MessageJob(message, done)


def test_two_jobs_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match=r"two jobs of toy have the name toy\.hourly"):
        worker(WindowJob(Hourly, done, HOURLY), MessageJob(Hourly, done))
    with pytest.raises(ValueError, match=r"have the name toy\.single"):
        worker(WindowJob(Hourly, done, HOURLY, aliases=("toy.single",)), MessageJob(Single, done))


def test_a_worker_knows_its_jobs_by_type_and_alias_and_its_crons_once() -> None:
    job = WindowJob(Hourly, done, HOURLY, aliases=("toy.by-hour",))
    twin = worker(job, MessageJob(Single, done))
    assert twin.by_type["toy.by-hour"] is twin.by_type["toy.hourly"] is job
    assert twin.crons == ["0 * * * *"]


@pytest.mark.parametrize(
    ("max_retries", "grace_s", "fits"),
    [
        (3, 70, True),
        (3, 69, False),
        (5, 310, True),
        (5, 309, False),
        (7, 1_270, True),
        (0, 1, True),
    ],
)
def test_a_grace_outlasts_the_retries(max_retries: int, grace_s: int, fits: bool) -> None:
    """10 + 20 + 40 s after three deliveries; 310 s after five."""
    job = WindowJob(Hourly, done, Schedule("0 * * * *", hour_before, timedelta(seconds=grace_s)))
    queue = Queue("toy-jobs", "TOY", max_retries)
    if fits:
        Worker("toy", "toy", [queue], "ENABLE_TOY_CRON", [job])
        return
    with pytest.raises(ValueError, match="give it that much grace"):
        Worker("toy", "toy", [queue], "ENABLE_TOY_CRON", [job])


@pytest.mark.parametrize("minutes", [14, 15])
def test_a_lease_outlasts_the_work(minutes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.ledger.ledger.LEASE", timedelta(minutes=minutes))
    with pytest.raises(ValueError, match="shorter than the work of toy"):
        worker(WindowJob(Hourly, done, HOURLY))


def test_the_dead_letter_queue_is_named_after_its_queue() -> None:
    queue = Queue("toy-jobs", "TOY", 3)
    assert (queue.dead_letter_name, queue.dead_letter_binding) == ("toy-jobs-dlq", "TOY_DLQ")
    assert queue.deliveries_max == 4


def test_the_purpose_of_a_job_is_the_first_line_of_its_handler() -> None:
    assert MessageJob(Single, done).purpose == "Do nothing."


def test_the_jobs_of_a_package_are_found_in_order() -> None:
    found = discover("analytics.jobs")
    assert found == list(WORKER.jobs)
    assert [job.type for job in found] == sorted(job.type for job in found)
    assert all(job.purpose for job in found)


def test_a_jobs_author_needs_one_import() -> None:
    """Each name comes from its defining module; no other name exists."""
    assert {name: getattr(shared, name).__name__ for name in ("WindowJob", "hour_before")} == {
        "WindowJob": "WindowJob",
        "hour_before": "hour_before",
    }
    assert [name for name in shared.__all__ if not hasattr(shared, name)] == []
    with pytest.raises(AttributeError, match="no attribute 'Nobody'"):
        _ = shared.Nobody
