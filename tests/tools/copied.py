"""A copy of the project in which files are created."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINKED = (".venv", "node_modules", "python_modules")  # made by set-up
LEFT_OUT = (".git", ".local", ".wrangler", "build", "data", *LINKED)
IGNORED = shutil.ignore_patterns(*LEFT_OUT, "__pycache__", ".*_cache", ".hypothesis")


def copy_project(folder: Path) -> Path:
    """Copy the project into a folder; link what setup installs."""
    shutil.copytree(ROOT, folder, ignore=IGNORED, dirs_exist_ok=True)
    for name in LINKED:
        (folder / name).symlink_to(ROOT / name)
    return folder


def environment(folder: Path) -> dict[str, str]:
    """In the copy its own packages precede the installed ones."""
    return {
        "PATH": f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(folder), str(folder / "workers")]),
        "HOME": str(folder),
    }


def run(folder: Path, *command: str) -> str:
    """Return the output of a successful command."""
    done = subprocess.run(
        command, cwd=folder, env=environment(folder), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files(folder: Path) -> dict[str, bytes]:
    """Return the content of every file of the copy, without caches and what setup installs."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not {"__pycache__", *LINKED} & set(path.parts)
    }
