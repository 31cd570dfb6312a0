"""tools/clean.py: removes what was made, ends a server that still runs, and nothing else."""

import signal
import subprocess
from pathlib import Path

import pytest

from local import elsewhere
from tools import clean


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(clean, "ROOT", tmp_path)
    monkeypatch.setattr(elsewhere, "OPEN_TO_ALL", tmp_path / "var")
    (tmp_path / "var").mkdir()
    return tmp_path


def test_removes_what_was_made_and_keeps_the_rest(tree: Path) -> None:
    for name in (*clean.MADE, "shared/__pycache__"):
        (tree / name).mkdir(parents=True)
    (tree / "shared" / "jobs.py").touch()
    clean.main()
    assert sorted(path.name for path in tree.iterdir()) == ["shared", "var"]
    assert [path.name for path in (tree / "shared").iterdir()] == ["jobs.py"]


def test_removes_what_lives_elsewhere_if_it_is_ours(tree: Path) -> None:
    elsewhere.elsewhere().mkdir()
    clean.main()
    assert not elsewhere.elsewhere().exists()


def test_does_not_follow_a_link_elsewhere(tree: Path) -> None:
    (tree / "precious").mkdir()
    elsewhere.elsewhere().symlink_to(tree / "precious")
    clean.main()
    assert (tree / "precious").exists()


def test_ends_the_server(tree: Path) -> None:
    data = tree / ".local" / "postgres" / "data"
    data.mkdir(parents=True)
    with subprocess.Popen(["sleep", "60"]) as server:
        (data / "postmaster.pid").write_text(f"{server.pid}\n/somewhere\n")
        clean.main()
        assert server.wait(timeout=5) == -signal.SIGINT
