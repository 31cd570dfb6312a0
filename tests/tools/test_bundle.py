"""What is staged, what is not, and what is refused."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.bundle import bundle

BUNDLE = Path(__file__).resolve().parents[2] / "tools" / "bundle.py"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path in (
        "shared/consume.py",
        "shared/sql/ledger.sql",
        "shared/__pycache__/consume.pyc",
        "workers/alpha/entry.py",
        "workers/alpha/store.py",
        "workers/alpha/notes.md",
        "workers/alpha/jobs/entry.py",
        "workers/beta/entry.py",
        "python_modules/pydantic/__init__.py",
    ):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"# {path}\n")
    return tmp_path


def staged(root: Path, name: str = "alpha") -> dict[str, str]:
    target = root / "build" / name
    files = (path for path in target.rglob("*") if path.is_file())
    return {str(path.relative_to(target)): path.read_text() for path in files}


def test_a_bundle_holds_the_worker_and_what_is_shared(root: Path) -> None:
    bundle(root, "alpha")
    assert staged(root) == {
        "entry.py": "# workers/alpha/entry.py\n",
        "alpha/store.py": "# workers/alpha/store.py\n",
        "alpha/jobs/entry.py": "# workers/alpha/jobs/entry.py\n",
        "shared/consume.py": "# shared/consume.py\n",
        "shared/sql/ledger.sql": "# shared/sql/ledger.sql\n",
    }


def test_staging_again_removes_what_is_gone_and_touches_nothing_else(root: Path) -> None:
    target = bundle(root, "alpha")
    os.utime(target / "entry.py", (1, 1))
    (root / "shared" / "sql" / "ledger.sql").unlink()
    bundle(root, "alpha")
    assert not (target / "shared" / "sql").exists()
    assert (target / "entry.py").stat().st_mtime == 1


@pytest.mark.parametrize(("name", "owner"), [("queue", "standard"), ("pydantic", "python_modules")])
def test_a_shadowed_name_is_refused(root: Path, name: str, owner: str) -> None:
    (root / "workers" / "alpha").rename(root / "workers" / name)
    with pytest.raises(ValueError, match=f"`{name}` of the bundle would never be .*{owner}"):
        bundle(root, name)


def test_the_command_speaks_one_sentence() -> None:
    result = subprocess.run(
        [sys.executable, BUNDLE, "absent"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert result.stderr.startswith("bundle.py: ")
    assert "entry.py is missing" in result.stderr
    assert result.stderr.count("\n") == 1
