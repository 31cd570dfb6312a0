"""`mauntic check`: a correct project passes, and each inserted mistake is found."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, create_model

from mauntic.checks import declarations, pages, schema, topology
from mauntic.docs_gen import catalogue
from mauntic.operations.worker_catalog import Declared, workers
from shared.adapters.postgres.client import Postgres
from shared.bindings import PlatformQueue, R2Bucket, Secret
from shared.jobs import Job, MessageJob, WindowJob, Worker
from shared.messages import Message, WindowMessage
from shared.outcome import Done
from shared.queues import Batch, Queue
from shared.windows import Schedule, hour_before
from tests.mauntic.harness import HOURLY, Cli

DAY = datetime(2026, 3, 10, tzinfo=UTC)


class Hourly(WindowMessage):
    type: Literal["toy.hourly"] = "toy.hourly"


async def work(run: Any) -> Done:
    """Work."""
    return Done()


SCHEDULE = Schedule("0 * * * *", hour_before, timedelta(minutes=30))
JOB = WindowJob(Hourly, work, SCHEDULE)


def toy(*jobs: Job, env: str = "toy") -> Worker:
    queue = Queue(f"{env}-jobs", env.upper(), 3)
    return Worker(f"{env}-worker", env, [queue], f"ENABLE_{env}", jobs)


HEAD = """compatibility_date = "2026-11-01"
compatibility_flags = ["python_workers"]

[env.toy]
name = "toy-worker"
main = "build/toy/entry.py"
build = { command = "python3 tools/bundle.py toy" }
workers_dev = false
limits = { cpu_ms = 60_000 }
observability = { enabled = true }
hyperdrive = [{ binding = "DB", id = "0" }]
analytics_engine_datasets = [{ binding = "METRICS", dataset = "mauntic_queue_metrics" }]

"""


def found(tmp_path: Path, text: str, *workers: Worker) -> list[str]:
    path = tmp_path / "wrangler.toml"
    path.write_text(text)
    return [one.problem for one in topology.problems(workers or (toy(JOB),), path)]


def good() -> str:
    return HEAD + catalogue.block(toy(JOB)) + "\n"


def test_the_generated_block_is_right(tmp_path: Path) -> None:
    assert found(tmp_path, good()) == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('crons = ["0 * * * *"]', 'crons = ["5 * * * *"]', "crons must be"),
        ("max_retries = 3", "max_retries = 4", "max_retries of toy-jobs must be 3"),
        ('dead_letter_queue = "toy-jobs-dlq"\n', "", "must have the dead-letter queue"),
        ('\nqueue = "toy-jobs-dlq"\nmax', '\nqueue = "nobodys"\nmax', "no worker consumes it"),
        (
            '\nqueue = "toy-jobs-dlq"\nmax',
            '\nqueue = "nobodys"\nmax',
            "toy-jobs-dlq has no consumer",
        ),
        ("max_batch_size = 10\n", "max_batch_size = 101\n", "max_batch_size of toy-jobs must be"),
        ("max_concurrency = 4\n", "", "max_concurrency of toy-jobs must be"),
        ("max_concurrency = 4", "max_concurrency = 5", "max_concurrency of toy-jobs must be 4"),
        ("max_batch_size = 10", "max_batch_size = 20", "max_batch_size of toy-jobs must be 10"),
        ("max_batch_timeout = 0", "max_batch_timeout = 1", "max_batch_timeout of toy-jobs must"),
        ('binding = "TOY"', 'binding = "TOYS"', "producer TOY must send"),
        ('["python_workers"]', "[]", "python_workers is missing"),
        ("2026-11-01", "2025-01-01", "2026-09-08 or later"),
        ("workers_dev = false", "workers_dev = true", "workers_dev must be False"),
        ('name = "toy-worker"', 'name = "other"', "name must be"),
        ("limits = { cpu_ms = 60_000 }\n", "", "limits.cpu_ms"),
        ("enabled = true", "enabled = false", "observability"),
        ('binding = "DB"', 'binding = "DATABASE"', "hyperdrive binding DB"),
        ('dataset = "mauntic_queue_metrics"', 'dataset = "x"', "METRICS must write"),
        ("bundle.py toy", "bundle.py other", "build.command"),
        ("[env.toy]\n", '[env.toy]\nvars = { ENABLE_toy = "true" }\n', "ENABLE_toy is a secret"),
        ("[env.toy]\n", 'main = "x.py"\n[env.toy]\n', "an env is forgotten"),
        ("[env.toy]\n", "[triggers]\ncrons = []\n[env.toy]\n", "every env would inherit"),
        ("[env.toy]\n", '[env.more]\nname = "more"\n[env.toy]\n', "deploys no worker"),
        ("[env.toy]\n", "[env.toy\n", "cannot be read"),
    ],
)
def test_each_thing_that_is_broken_is_found(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in good()
    assert [p for p in found(tmp_path, good().replace(old, new, 1)) if words in p]


PLATFORM_QUEUE = """
[[env.toy.queues.producers]]
queue = "{queue}"
binding = "{binding}"
"""


def publishing() -> Worker:
    return replace(toy(JOB), bindings=(PlatformQueue("THRESHOLD_EVENTS"),))


def test_a_queue_of_the_platform_needs_no_consumer_here(tmp_path: Path) -> None:
    more = PLATFORM_QUEUE.format(queue="platform-score-events", binding="THRESHOLD_EVENTS")
    assert found(tmp_path, good() + more, publishing()) == []
    [problem] = [p for p in found(tmp_path, good() + more) if "not declared" in p]
    assert problem.startswith("producer THRESHOLD_EVENTS is not declared")


@pytest.mark.parametrize(
    ("queue", "binding", "words"),
    [
        ("platform-score-events", "TRESHOLD_EVENTS", "no worker consumes it"),
        ("toy-jobs", "THRESHOLD_EVENTS", "a queue that the platform consumes"),
    ],
)
def test_a_queue_that_cannot_be_the_platforms_is_found(
    tmp_path: Path, queue: str, binding: str, words: str
) -> None:
    more = PLATFORM_QUEUE.format(queue=queue, binding=binding)
    assert [p for p in found(tmp_path, good() + more, publishing()) if words in p]


def test_all_problems_are_reported_together(tmp_path: Path) -> None:
    assert len(found(tmp_path, "[env.toy]\n")) > 10
    assert found(tmp_path, "") != []


def test_a_queue_has_one_consumer(tmp_path: Path) -> None:
    text = good() + catalogue.block(replace(toy(JOB), env="more"))
    assert [p for p in found(tmp_path, text) if "a queue has one consumer" in p]


BUCKET = """
[[env.toy.r2_buckets]]
bucket_name = "{name}"
binding = "{binding}"
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "R2 binding THINGS must be of the bucket toy-things"),
        (BUCKET.format(name="other", binding="THINGS"), "must be of the bucket toy-things"),
        (BUCKET.format(name="toy-things", binding="MORE"), "R2 binding MORE is not declared"),
        (BUCKET.format(name="toy-things", binding="THINGS"), None),
    ],
)
def test_a_bucket_is_bound_as_declared(tmp_path: Path, text: str, words: str | None) -> None:
    storing = replace(JOB, bindings=(R2Bucket("THINGS", "toy-things"),))
    problems = found(tmp_path, good() + text, toy(storing))
    assert problems == [] if words is None else [p for p in problems if words in p]


def test_a_declared_secret_is_no_variable(tmp_path: Path) -> None:
    text = good().replace("[env.toy]\n", '[env.toy]\nvars = { TOY_KEY = "x" }\n')
    locked = replace(JOB, bindings=(Secret("TOY_KEY"),))
    assert [p for p in found(tmp_path, text, toy(locked)) if p.startswith("TOY_KEY is a secret")]


def test_a_worker_may_have_several_queues(tmp_path: Path) -> None:
    """Each with its own consumer settings; a job names the queue of its messages."""
    fast = Queue("toy-fast", "FAST", 2, max_concurrency=7, connections=1, batch=Batch(50, 3))
    worker = replace(toy(), queues=[Queue("toy-jobs", "TOY", 3), fast], jobs=[JOB])
    assert found(tmp_path, HEAD + catalogue.block(worker), worker) == []
    consumers = tomllib.loads(HEAD + catalogue.block(worker))["env"]["toy"]["queues"]["consumers"]
    [settings] = [consumer for consumer in consumers if consumer["queue"] == "toy-fast"]
    assert settings == {
        "queue": "toy-fast",
        "dead_letter_queue": "toy-fast-dlq",
        "max_batch_size": 50,
        "max_batch_timeout": 3,
        "max_retries": 2,
        "max_concurrency": 7,
    }


def test_consumers_that_could_take_every_connection_are_found(tmp_path: Path) -> None:
    """At least one of 60 connections is left for the ticks."""
    for concurrency, fits in ((29, True), (30, False)):  # each holds 2, the dead letters' holds 1
        worker = replace(toy(JOB), queues=[Queue("toy-jobs", "TOY", 3, concurrency)])
        problems = found(tmp_path, HEAD + catalogue.block(worker), worker)
        assert [p for p in problems if f"hold {2 * concurrency + 1} connections" in p] == (
            [] if fits else problems
        )


class Loose(BaseModel):
    color: str


class LooseMessage(Message):
    type: Literal["toy.loose"] = "toy.loose"
    data: Loose | None = None


class Other(WindowMessage):
    type: Literal["toy.other"] = "toy.other"


class Untyped(WindowMessage):
    type: str = "toy.untyped"


async def work_once(message: LooseMessage, ports: Any) -> Done:
    """Work."""
    return Done()


async def silent(run: Any) -> Done:
    return Done()


def blocking(run: Any) -> Done:
    """Work."""
    return Done()


def scheduled(**fields: Any) -> WindowJob:
    return replace(JOB, schedule=replace(SCHEDULE, **fields))


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (replace(JOB, handler=silent), "no docstring"),
        (replace(JOB, handler=blocking), "not async"),  # type: ignore[arg-type]
        (MessageJob(LooseMessage, work_once), "unknown fields"),
        (replace(JOB, message=Untyped), "Literal"),
        (scheduled(cron="0 0 * * 1", gap="the rest of the week"), "weekdays by name"),
        (scheduled(cron="0 0 0 * * *", gap="the rest of the day"), "five fields"),
    ],
)
def test_each_wrong_declaration_is_found(job: Job, words: str) -> None:
    problems = [one.problem for one in declarations.problems(Declared((toy(job),), {}))]
    assert [p for p in problems if words in p]


def test_declarations_that_are_right_pass_and_clashes_are_found() -> None:
    assert list(declarations.problems(Declared((toy(JOB),), {}))) == []
    both = Declared((toy(JOB), toy(JOB, env="other")), {"scoring": "SyntaxError: no"})
    problems = [f"{one.subject}: {one.problem}" for one in declarations.problems(both)]
    assert "type toy.hourly: belongs to toy and to other" in problems
    assert "workers/scoring: cannot be imported: SyntaxError: no" in problems


def test_every_statement_fits_the_schema(database: str) -> None:
    assert list(schema.problems(database)) == []
    places = [place for place, _ in schema.statements()]
    assert "shared/sql/ledger.sql: start_run" in places
    assert not [place for place in places if "metrics.sql" in place]


def test_a_schema_that_lags_behind_is_found(database: str, db: Postgres) -> None:
    db.execute("alter table ops.job_runs rename column lease_until to lease_end")
    db.execute("delete from ops.schema_migrations where version = '0007'")
    problems = [f"{one.subject}: {one.problem}" for one in schema.problems(database)]
    assert [p for p in problems if p.startswith("0007") and "not applied" in p]
    assert [p for p in problems if "ledger.sql: start_run" in p and "lease_until" in p]


async def other_purpose(run: Any) -> Done:
    """Do something that no page describes."""
    return Done()


def test_pages_that_lag_behind_the_code_are_found() -> None:
    known = workers()
    assert list(pages.problems(known)) == []
    worker = known[0]
    job = worker.window_jobs[0]
    assert job is worker.jobs[0]
    changed = replace(job, handler=other_purpose)
    problems = list(pages.problems([replace(worker, jobs=(changed, *worker.jobs[1:])), *known[1:]]))
    assert "docs/jobs.md" in {one.subject for one in problems}
    assert all("make catalogue" in one.problem for one in problems)


def test_pages_that_cannot_be_made_are_one_problem() -> None:
    # wrangler.toml has such a table, but no block between marks
    [one] = pages.problems([toy(JOB, env="analytics.triggers")])
    assert (one.subject, "cannot be generated" in one.problem) == ("catalogue", True)


def test_a_worker_without_an_env_and_an_unused_consumer_are_found(tmp_path: Path) -> None:
    problems = found(tmp_path, good(), toy(JOB), toy(replace(JOB, message=Other), env="other"))
    assert "there is no [env.other] for other-worker" in problems


def test_more_crons_than_an_account_may_have_are_found() -> None:
    jobs = [
        replace(
            scheduled(cron=f"{number % 60} {number // 60} * * *", gap="the rest of the day"),
            message=numbered(number),
        )
        for number in range(251)
    ]
    problems = [one.problem for one in declarations.problems(Declared((toy(*jobs),), {}))]
    assert "an account has at most 250, not 251" in problems


def numbered(number: int) -> type[WindowMessage]:
    kind = f"toy.job-{number}"
    its_type: Any = (Literal[kind], kind)
    return create_model(f"Job{number}", __base__=WindowMessage, type=its_type)


def test_without_a_database_that_is_one_problem(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    offline = cli("check", "--offline", "--json").json["problems"]
    monkeypatch.setenv("DATABASE_URL", "postgresql://stranger:secret@127.0.0.1:9/none")
    answer = cli("check", "--json")
    more = [one for one in answer.json["problems"] if one not in offline]
    assert (answer.code, [one["area"] for one in more]) == (1, ["database"])
    assert "secret" not in answer.out + answer.err
    assert cli("check", "--offline", "--deep").code == 2
    assert "need --deep" in cli("check", "--from", "2026-03-01").err


def test_years_beyond_number_are_refused_before_they_are_counted(cli: Cli) -> None:
    answer = cli("check", "--deep", "--from", "1970-01-01", "--to", "2026-03-01")
    assert answer.code == 1
    assert "20,513 days; at most 4,000" in answer.err


def add_event(db: Postgres, contact: int, at: datetime) -> None:
    db.execute(
        "insert into analytics.contact_activity"
        " (organization_id, contact_id, event_type, occurred_at)"
        " values (cast(:one as uuid), cast(:contact as uuid), 'email_sent', :at)",
        one=f"{1:032x}", contact=f"{contact:032x}", at=at,
    )  # fmt: skip


def set_rollup(db: Postgres, day: datetime, count: int, unique: int) -> None:
    db.execute(
        "insert into analytics.event_aggregates as known"
        " (organization_id, date, event_type, count, unique_count)"
        " values (cast(:one as uuid), :day, 'email_sent', :count, :unique)"
        " on conflict (organization_id, date, event_type)"
        " do update set count = excluded.count, unique_count = excluded.unique_count",
        one=f"{1:032x}", day=day.date(), count=count, unique=unique,
    )  # fmt: skip


Break = Callable[[Postgres], None]


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda db: None, []),
        (lambda db: set_rollup(db, DAY, 2, 2), [(2, 3, 2, 2)]),
        (lambda db: set_rollup(db, DAY, 3, 3), [(3, 3, 3, 2)]),
        (lambda db: set_rollup(db, DAY + timedelta(days=1), 1, 1), [(1, None, 1, None)]),
        (lambda db: set_rollup(db, DAY + timedelta(days=1), 0, 0), []),
        (lambda db: set_rollup(db, DAY + timedelta(days=3), 1, 1), []),  # outside the range
        (lambda db: db.execute("delete from analytics.event_aggregates"), [(None, 3, None, 2)]),
    ],
)
def test_rollups_are_compared_with_their_events(
    cli: Cli, db: Postgres, damage: Break, expected: list[tuple[int | None, ...]]
) -> None:
    last = timedelta(hours=24) - timedelta(microseconds=1)
    for contact, after in ((1, timedelta(0)), (2, timedelta(hours=5)), (2, last)):
        add_event(db, contact, DAY + after)
    set_rollup(db, DAY, 3, 2)
    damage(db)
    answer = cli("check", "--deep", "--from", "2026-03-09", "--to", "2026-03-12", "--json")
    rows = answer.json["differences"]
    names = ("booked", "counted", "booked_unique", "counted_unique")
    assert [tuple(row[name] for name in names) for row in rows] == expected
    reported = [one for one in answer.json["problems"] if one["area"] == "rollups"]
    assert bool(reported) == bool(expected)
    if expected:
        assert answer.code == 1
        assert f"mauntic backfill {HOURLY} --from {rows[0]['date']}" in reported[0]["problem"]


def test_wrangler_toml_keeps_what_is_not_generated() -> None:
    begin, end = catalogue.marks("toy")
    text = f"head\n{begin}\nold\n{end}\ntail\n"
    made = catalogue.topology(text, [toy(JOB)])
    assert made.startswith(f"head\n{begin}\n[env.toy]\n")
    assert made.endswith(f"{end}\ntail\n")
    assert catalogue.topology(made, [toy(JOB)]) == made


def test_wrangler_toml_gets_the_whole_block_of_a_new_worker(tmp_path: Path) -> None:
    top = HEAD[: HEAD.index("[env.toy]")]
    made = catalogue.topology(top, [toy(JOB)])
    assert found(tmp_path, made) == []
    more = catalogue.topology(made, [toy(JOB), toy(JOB, env="more")])
    assert more.startswith(made)
    assert list(tomllib.loads(more)["env"]) == ["toy", "more"]


def test_a_hyperdrive_id_in_wrangler_toml_is_kept() -> None:
    begin, end = catalogue.marks("toy")
    made = catalogue.topology("", [toy(JOB), toy(JOB, env="more")])
    own = "0123456789abcdef" * 2
    edited = made.replace("0" * 32, own, 1)  # of the first worker alone
    assert catalogue.topology(edited, [toy(JOB), toy(JOB, env="more")]) == edited
    assert own in edited[edited.index(begin) : edited.index(end)]


@pytest.mark.parametrize("left", ["[env.toy]\n", "{begin}\n", "{end}\n"])
def test_a_part_of_a_block_is_not_mixed_with_a_new_one(left: str) -> None:
    begin, end = catalogue.marks("toy")
    with pytest.raises(ValueError, match="remove that part"):
        catalogue.topology(left.format(begin=begin, end=end), [toy(JOB)])
