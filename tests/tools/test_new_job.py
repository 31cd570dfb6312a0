"""`make new-job`: for every worker, a job that runs; all of its files or none."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tools.copied import ROOT, copy_project, environment, files, run
from tools.new_job import new_files, window_for
from tools.scaffold import CannotCreate

WORKERS = sorted(path.parent.name for path in ROOT.glob("workers/*/jobs"))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return copy_project(tmp_path)


def test_following_the_page_gives_a_job_that_runs_and_so_in_every_worker(copy: Path) -> None:
    page = (ROOT / "docs" / "adding-a-job.md").read_text()
    found = re.search(r"make new-job (TYPE=(\S+) CRON=(\"[^\"]+\"))", page)
    assert found, "the page shows the command"
    job_type, [cron] = found[2], shlex.split(found[3])
    output = run(copy, "make", "PYTHON=true", "new-job", *shlex.split(found[1]))
    assert "created workers/analytics/jobs/count_events.py" in output
    assert f"created docs/schemas/{job_type}.json" in output
    assert f"### {job_type}" in (copy / "docs" / "jobs.md").read_text()
    assert cron in (copy / "wrangler.toml").read_text()
    assert job_type in (copy / "README.md").read_text()
    crons = ("* * * * *", "0 * * * *", "30 3 1 * *")  # each with another window
    for number, worker in enumerate(WORKERS):
        other = f"{worker.replace('_', '-')}.look-around"
        cron = crons[number % len(crons)]
        output += run(copy, sys.executable, "-m", "tools.new_job", other, "--cron", cron)
    tests = re.findall(r"created (tests/\S+)", output)
    assert len(tests) == 1 + len(WORKERS)
    run(copy, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)
    run(copy, "ruff", "check", "--no-cache", "workers", "tests/workers")
    run(copy, "ruff", "format", "--no-cache", "--check", "workers", "tests/workers")


@pytest.mark.parametrize("worker", WORKERS)
def test_the_statement_reads_a_table_of_its_worker(worker: str) -> None:
    """In its own schema, if that has a table that it only reads."""
    made = new_files(f"{worker.replace('_', '-')}.look-around", "0 4 * * *", None, ROOT)
    statement = made[Path("workers") / worker / "sql" / "look_around.sql"]
    expected = {"analytics": "analytics.contact_activity", "scoring": "scoring.intent_signals"}
    assert f"from {expected.get(worker, 'crm.contacts')}\n" in statement


@pytest.mark.parametrize(
    ("cron", "window"),
    [
        ("* * * * *", "minute_before"),
        ("*/5 * * * *", "five_minutes_before"),
        ("*/15 * * * *", "quarter_hour_before"),
        ("7 * * * *", "hour_before"),
        ("30 23 * * *", "day_before"),
        ("0 3 1 * *", "month_before"),
    ],
)
def test_the_window_follows_from_the_cron(cron: str, window: str) -> None:
    assert window_for(cron).__name__ == window


@pytest.mark.parametrize(
    ("job_type", "cron", "cause"),
    [
        ("analytics.CountEvents", "0 4 * * *", "some-name"),
        ("nowhere.count-events", "0 4 * * *", "one of analytics"),
        ("analytics.count-events", "0 25 * * *", "not a cron expression"),
        ("analytics.count-events", "0 4 31 2 *", "not a cron expression"),
        ("analytics.count-events", "0 0 4 * * *", "five fields"),
        ("analytics.count-events", "0 4 * * MON", "No window fits"),
        ("analytics.count-events", "*/10 * * * *", "No window fits"),
        ("analytics.class", "0 4 * * *", "keyword of Python"),
        ("analytics.import", "0 4 * * *", "keyword of Python"),
        ("analytics.count-events\n", "0 4 * * *", "some-name"),
        ("analytics.count-events", "0 4 * * *\n", "on one line"),
        ("../analytics.x", "0 4 * * *", "some-name"),
        (f"analytics.{'x' * 41}", "0 4 * * *", "at most 40"),
    ],
)
def test_what_cannot_be_a_job_is_refused_with_the_reason(
    job_type: str, cron: str, cause: str
) -> None:
    with pytest.raises(CannotCreate, match=cause):
        new_files(job_type, cron, "For nothing.", ROOT)


@pytest.mark.parametrize(
    "purpose", ['""" + evil() + """', 'It says "so"', "two\nlines", "a back\\slash", "\x1b"]
)
def test_a_purpose_is_a_sentence_and_no_program(purpose: str) -> None:
    with pytest.raises(CannotCreate, match="one sentence on one line"):
        new_files("analytics.count-events", "0 4 * * *", purpose, ROOT)


def test_every_file_of_a_new_job_can_be_read() -> None:
    for path, text in new_files("analytics.x9-y", "0 4 * * *", 'Say "so" twice.', ROOT).items():
        if path.suffix == ".py":
            compile(text, path, "exec")


def attempt(copy: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "tools.new_job", *arguments],
        cwd=copy, env=environment(copy), capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_nothing_is_created_when_the_catalogue_fails_or_is_out_of_date(copy: Path) -> None:
    def refused(*arguments: str) -> str:
        before = files(copy)
        code, output = attempt(copy, *arguments)
        assert (code, files(copy)) == (2, before)
        return output

    assert "exists" in refused("analytics.aggregate-hourly")
    readme = copy / "README.md"
    whole = readme.read_text()
    readme.write_text(whole.replace("| `0 2 * * *` |", "| `0 5 * * *` |"))
    assert "README.md is out of date" in refused("analytics.count-events")
    readme.write_text(whole)
    worker = copy / "workers" / "scoring" / "worker.py"
    text = worker.read_text()
    worker.write_text(f"{text}\nraise RuntimeError('half edited')\n")
    assert "workers/scoring cannot be imported: RuntimeError" in refused("analytics.count-events")
    worker.write_text(text)
    clash = copy / "workers" / "analytics" / "sql" / "other.sql"
    clash.write_text("-- name: count_events\nselect 1")
    assert "count_events" in refused("analytics.count-events")


@pytest.mark.parametrize("delay_s", [0.3, 0.8, 1.4, 1.8, 2.2, 2.6])
def test_ctrl_c_leaves_all_files_or_none(copy: Path, delay_s: float) -> None:
    before = files(copy)
    process = subprocess.Popen(
        [sys.executable, "-m", "tools.new_job", "scoring.look-around"],
        cwd=copy, env=environment(copy), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    time.sleep(delay_s)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    new = files(copy).keys() - before.keys()
    assert len(new) in (0, 4)
    if not new:
        assert files(copy) == before
    else:  # Ctrl-C while they are written waits for the last
        run(copy, sys.executable, "-m", "mauntic.docs_gen.catalogue", "--check")


def test_a_dry_run_lists_the_files_and_writes_none(copy: Path) -> None:
    before = files(copy)
    code, output = attempt(copy, "scoring.look-around", "--dry-run")
    assert (code, files(copy)) == (0, before)
    assert "would create workers/scoring/jobs/look_around.py" in output
    assert "would change docs/jobs.md" in output
