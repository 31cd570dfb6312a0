"""tools/clean.py: deletes generated files, ends a running server, and nothing else."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mauntic.database.embedded.hold import Use
from mauntic.project import temp_dir
from tools import clean


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(clean, "ROOT", tmp_path)
    monkeypatch.setattr(temp_dir, "OPEN_TO_ALL", tmp_path / "var")
    (tmp_path / "var").mkdir()
    return tmp_path


def test_removes_what_was_made_and_keeps_the_rest(tree: Path) -> None:
    for name in (*clean.MADE, "shared/__pycache__"):
        (tree / name).mkdir(parents=True)
    (tree / "shared" / "jobs.py").touch()
    clean.main([])
    assert sorted(path.name for path in tree.iterdir()) == ["shared", "var"]
    assert [path.name for path in (tree / "shared").iterdir()] == ["jobs.py"]


def test_removes_what_lives_elsewhere_if_it_is_ours(tree: Path) -> None:
    temp_dir.elsewhere().mkdir()
    clean.main([])
    assert not temp_dir.elsewhere().exists()


def test_does_not_follow_a_link_elsewhere(tree: Path) -> None:
    (tree / "precious").mkdir()
    temp_dir.elsewhere().symlink_to(tree / "precious")
    clean.main([])
    assert (tree / "precious").exists()


# Ends at once on a signal, whatever the shell of these tests has it ignore.
OTHER = """
import signal
signal.signal(signal.SIGINT, signal.SIG_DFL)
print(flush=True)
input()
"""
# Ends as a server does: removes its own file on a signal.
SERVER = """
import signal, sys, time
from pathlib import Path
def end(*_):
    time.sleep(0.3)
    Path(sys.argv[1]).unlink()
    sys.exit(7)
signal.signal(signal.SIGINT, end)
print(flush=True)
time.sleep(60)
"""


def test_ends_the_server_and_waits_for_its_last_file(tree: Path) -> None:
    pid_file = tree / ".local" / "postgres" / "data" / "postmaster.pid"
    pid_file.parent.mkdir(parents=True)
    command = [sys.executable, "-c", SERVER, str(pid_file), str(pid_file.parent.resolve())]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        server.stdout.readline()
        pid_file.write_text(f"{server.pid}\n/somewhere\n0\n5432\n")
        assert clean.main([]) == 0
        assert server.wait(timeout=5) == 7
    assert not (tree / ".local").exists()


def test_a_process_that_serves_nothing_here_is_left_alone(tree: Path) -> None:
    """The server's account writes the number, which may be that of any process."""
    data = tree / ".local" / "postgres" / "data"
    data.mkdir(parents=True)
    command = [sys.executable, "-c", OTHER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        (data / "postmaster.pid").write_text(f"{other.pid}\n/somewhere\n0\n5432\n")
        assert clean.main([]) == 0
        assert other.poll() is None
        other.communicate(b"\n")
    assert other.returncode == 0


def test_a_server_that_is_gone_is_nothing(tree: Path) -> None:
    data = tree / ".local" / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "postmaster.pid").write_text(f"{2**22}\n/somewhere\n")
    assert clean.main([]) == 0


def test_files_that_vanish_during_the_run_are_ignored(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "build").mkdir()
    once = iter([FileNotFoundError("postmaster.pid")])
    rmtree = shutil.rmtree

    def vanishing(path: Path, ignore_errors: bool = False) -> None:
        for error in once:
            raise error
        rmtree(path, ignore_errors=ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", vanishing)
    assert clean.main([]) == 0
    assert not (tree / "build").exists()


def test_refuses_while_dev_runs_and_says_how_to_end_it(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tree / ".local" / "runtime.json"
    state.parent.mkdir()
    state.write_text(json.dumps({"pid": os.getpid()}))
    assert clean.main(["--yes"]) == 1
    assert f"as process {os.getpid()}: end it first" in capsys.readouterr().err
    assert state.exists()
    state.write_text(json.dumps({"pid": 2**22}))
    assert clean.main([]) == 0


def test_refuses_while_a_command_works_on_the_database(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    users = tree / ".local" / "postgres" / "users"
    users.parent.mkdir(parents=True)
    use = Use(users)
    assert use.begin(timeout_s=1)
    assert clean.main([]) == 1
    assert "a command such as `mauntic demo` uses the local database" in capsys.readouterr().err
    assert not use.end()
    assert clean.main([]) == 0
    assert not users.exists()


def test_a_dry_run_shows_it_and_removes_nothing(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / ".local" / "postgres").mkdir(parents=True)
    (tree / "build").mkdir()
    assert clean.main(["--dry-run"]) == 0
    assert capsys.readouterr().out == (
        "  would remove .local, with the local database\n  would remove build\n"
    )
    assert (tree / "build").exists()


@pytest.mark.parametrize(
    ("arguments", "answer", "is_kept"),
    [([], "", True), ([], "no", True), ([], "y", False), (["--yes"], "no", False)],
)
def test_asks_on_a_terminal(
    tree: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    answer: str,
    is_kept: bool,
) -> None:
    (tree / "build").mkdir()
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda question: answer)
    assert clean.main(arguments) == int(is_kept)
    assert (tree / "build").exists() == is_kept
