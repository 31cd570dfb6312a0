"""The page about adding a job, followed to the letter in a copy of the project."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.new_job import new_files

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("shared", "workers", "mauntic", "tools", "tests", "migrations", "docs")
FILES = ("Makefile", "README.md", "wrangler.toml", "pyproject.toml")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The project without what set-up makes, which is linked."""
    ignored = shutil.ignore_patterns("__pycache__", "runtime")
    for name in COPIED:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("node_modules", "python_modules"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def run(folder: Path, *command: str) -> str:
    """Run in the copy, whose packages come before the installed ones."""
    path = f"{folder}:{folder / 'workers'}"
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": path, "HOME": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_following_the_page_gives_a_job_that_runs(copy: Path) -> None:
    page = (ROOT / "docs" / "adding-a-job.md").read_text()
    found = re.search(r"make new-job TYPE=(\S+) CRON=(\"[^\"]+\")", page)
    assert found, "the page shows the command"
    job_type, [cron] = found[1], shlex.split(found[2])
    for file in copy.rglob(f"*{job_type.partition('.')[2].replace('-', '_')}.*"):
        file.unlink()  # somebody has followed the page before
    told = run(copy, sys.executable, "-m", "tools.new_job", job_type, "--cron", cron)
    written = re.findall(r"wrote (\S+)", told)
    assert "workers/analytics/jobs/count_events.py" in written
    run(copy, sys.executable, "-m", "mauntic.docs_gen.catalogue", "--write")
    assert f"### {job_type}" in (copy / "docs" / "jobs.md").read_text()
    assert cron in (copy / "wrangler.toml").read_text()
    assert job_type in (copy / "README.md").read_text()
    [test] = [path for path in written if path.startswith("tests/")]
    run(copy, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test)
    [code] = [path for path in written if path.endswith("count_events.py") and "jobs" in path]
    run(copy, sys.executable, "-m", "ruff", "check", code, test)
    run(copy, sys.executable, "-m", "ruff", "format", "--check", code, test)


@pytest.mark.parametrize(
    ("job_type", "cron", "said"),
    [
        ("analytics.CountEvents", "0 4 * * *", "some-name"),
        ("nobody.count-events", "0 4 * * *", "one of analytics"),
        ("analytics.count-events", "0 25 * * *", "no cron expression"),
        ("analytics.aggregate-hourly", "0 4 * * *", "is there already"),
        ("analytics.class", "0 4 * * *", "a word of Python's own"),
        ("analytics.import", "0 4 * * *", "a word of Python's own"),
        ("analytics.count-events\n", "0 4 * * *", "some-name"),
        ("analytics.count-events", "0 4 * * *\n", "in one line"),
        ("../analytics.x", "0 4 * * *", "some-name"),
    ],
)
def test_what_cannot_be_a_job_is_refused_with_the_reason(
    job_type: str, cron: str, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        new_files(job_type, cron, "For nothing.", ROOT)


@pytest.mark.parametrize(
    "purpose", ['""" + evil() + """', 'It says "so"', "two\nlines", "a back\\slash", "\x1b"]
)
def test_a_purpose_is_a_sentence_and_no_program(purpose: str) -> None:
    with pytest.raises(ValueError, match="one sentence in one line"):
        new_files("analytics.count-events", "0 4 * * *", purpose, ROOT)


def test_every_file_of_a_new_job_can_be_read() -> None:
    for path, text in new_files("analytics.x9-y", "0 4 * * *", 'Say "so" twice.', ROOT).items():
        if path.suffix == ".py":
            compile(text, path, "exec")
