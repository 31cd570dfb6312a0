"""Files that are staged, left out, and refused."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shared.sql.blocks import SqlBlocks
from tools.bundle import bundle, sources_of

BUNDLE = Path(__file__).resolve().parents[2] / "tools" / "bundle.py"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path, text in {
        "shared/__init__.py": "",
        "shared/flow/consume.py": "import shared.adapters.postgres.client",
        "shared/adapters/__init__.py": "",
        "shared/adapters/postgres/client.py": "",
        "shared/adapters/unused.py": "from shared import unused",
        "shared/unused.py": "",
        "shared/late.py": "RUN = SQL['claim']",
        "shared/sql/ledger.sql": "-- name: claim\n-- include: open_runs\nselect 1",
        "shared/sql/unused.sql": "-- name: other\n-- include: unused\nselect 2",
        "shared/sql/parts/open_runs.sql": "-- include: states\n",
        "shared/sql/parts/states.sql": "'open'",
        "shared/sql/parts/unused.sql": "'other'",
        "workers/alpha/sql/rows.sql": "-- name: first\n-- name: rows_of\nselect 3",
        "workers/alpha/sql/domain.sql": "-- name: of_domain\nselect 4",
        "shared/__pycache__/consume.pyc": "",
        "workers/alpha/entry.py": "from shared.flow import consume",
        "workers/alpha/store.py": "def f():\n    from shared.late import rows\n    SQL['rows_of']",
        "workers/alpha/domain.py": "SQL['of_domain']",
        "workers/alpha/notes.md": "",
        "workers/alpha/jobs/entry.py": "from alpha.store import rows",
        "workers/beta/entry.py": "",
        "python_modules/pydantic/__init__.py": "",
    }.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path


def staged(root: Path, name: str = "alpha") -> set[str]:
    target = root / "build" / name
    return {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}


def test_a_bundle_holds_what_the_entry_and_the_jobs_import_and_the_sql(root: Path) -> None:
    target = bundle(root, "alpha")
    assert staged(root) == {
        "entry.py", "alpha/store.py", "alpha/jobs/entry.py",
        "shared/__init__.py", "shared/flow/consume.py", "shared/late.py", "shared/sql/ledger.sql",
        "shared/sql/parts/open_runs.sql", "shared/sql/parts/states.sql", "alpha/sql/rows.sql",
        "shared/adapters/__init__.py", "shared/adapters/postgres/client.py",
    }  # fmt: skip
    assert (target / "alpha/jobs/entry.py").read_text() == "from alpha.store import rows"


def test_a_bundle_holds_the_providers_that_a_worker_finds_in_its_folder(root: Path) -> None:
    (root / "workers/alpha/providers").mkdir()
    (root / "workers/alpha/providers/post.py").write_text("from alpha.letters import X")
    (root / "workers/alpha/letters.py").write_text("X = 1")
    bundle(root, "alpha")
    assert {"alpha/providers/post.py", "alpha/letters.py"} < staged(root)


def test_processes_that_stage_one_bundle_at_once_all_succeed(root: Path) -> None:
    (root / "tools").mkdir()
    shutil.copy(BUNDLE, root / "tools")
    for number in range(100):
        (root / "workers" / "alpha" / "jobs" / f"job_{number}.py").write_text(f"N = {number}")
    command = [sys.executable, str(root / "tools" / "bundle.py"), "alpha"]
    stagings = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(6)]
    assert [staging.communicate()[1] for staging in stagings] == [""] * 6
    assert len([path for path in staged(root) if "/jobs/job_" in path]) == 100


def test_a_file_that_cannot_be_read_is_carried_for_the_runtime_to_show(root: Path) -> None:
    (root / "workers" / "alpha" / "store.py").write_text("def rows(:")
    bundle(root, "alpha")
    assert "alpha/store.py" in staged(root)


def test_what_the_host_alone_imports_is_not_uploaded() -> None:
    root = BUNDLE.parent.parent
    analytics, scoring = (set(sources_of(root, name)) for name in ("analytics", "scoring"))
    assert Path("shared/flow/consume.py") in analytics & scoring
    assert Path("shared/telemetry/events.py") not in analytics | scoring  # of the runbook
    assert Path("shared/warmup/caps.py") in analytics
    assert Path("shared/warmup/counters.py") not in analytics  # a worker that sends imports it
    assert Path("scoring/store/statements.py") in scoring
    contents = [(root / "build" / "alpha" / path).read_text() for path in staged(root)]
    assert "secret" not in contents


def test_a_worker_that_imports_the_warm_up_counters_has_them(tmp_path: Path) -> None:
    """And the bundle runs alone: on a path without anything else of the project."""
    root = BUNDLE.parents[1]
    shutil.copytree(root / "shared", tmp_path / "shared")
    (tmp_path / "workers" / "mailer").mkdir(parents=True)
    entry = tmp_path / "workers" / "mailer" / "entry.py"
    entry.write_text(
        "from shared.warmup.counters import WarmingDomain, WarmupCounters\n"
        "print(WarmupCounters.__module__, WarmingDomain.__module__)\n"
    )
    target = bundle(tmp_path, "mailer")
    assert {"shared/warmup/counters.py", "shared/warmup/caps.py"} <= staged(tmp_path, "mailer")
    sql = [path for path in staged(tmp_path, "mailer") if path.endswith(".sql")]
    assert all(path.startswith("shared/sql/") for path in sql), sql
    done = subprocess.run(
        [sys.executable, "-P", "entry.py"],
        cwd=target,
        env={**os.environ, "PYTHONPATH": str(target), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert (done.stdout.split(), done.stderr) == (["shared.warmup.counters"] * 2, "")


@pytest.mark.parametrize("worker", ["analytics", "scoring"])
def test_a_bundle_has_every_block_that_its_modules_name(worker: str, tmp_path: Path) -> None:
    """Read only from the staged files, as the worker does."""
    sources = sources_of(BUNDLE.parents[1], worker)
    for path, source in sources.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, tmp_path / path)
    code = "\n".join(path.read_text() for path in tmp_path.rglob("*.py"))
    named = set(re.findall(r"[\"'](\w+)[\"']", code))
    for folder in (f"{worker}/sql", "shared/sql"):
        whole = SqlBlocks(BUNDLE.parents[1] / ("workers" if worker in folder else "") / folder)
        alone = f"{worker}/sql" == folder
        staged_blocks = SqlBlocks(tmp_path / folder, [tmp_path / "shared/sql"] if alone else [])
        assert named & set(whole.blocks) <= set(staged_blocks.blocks)


def test_a_text_that_a_module_names_is_carried(root: Path) -> None:
    package = root / "workers" / "alpha"
    (package / "greeting.txt").write_text("hello")
    (package / "store.py").write_text('open("greeting.txt")')
    (package / "domain.py").write_text('open("secrets.txt")')  # is imported nowhere
    (package / "secrets.txt").write_text("secret")
    bundle(root, "alpha")
    assert {path for path in staged(root) if path.endswith(".txt")} == {"alpha/greeting.txt"}
