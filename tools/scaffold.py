"""Create files all together or not at all.

New files, and the generated files that follow from them, are first written to a copy of the tree.
The tree itself changes only when everything in the copy is complete.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template

from mauntic.project.programs import ROOT

TEMPLATES = Path(__file__).resolve().parent / "templates"
# What the catalogue reads and writes, and the settings of the formatter.
COPIED = ("shared", "workers", "mauntic", "docs", "README.md", "wrangler.toml", "pyproject.toml")
IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc")
HELD_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


class CannotCreate(Exception):
    """Nothing was written. The text gives the cause and the remedy."""


@dataclass(frozen=True)
class Change:
    """A file of the tree, by its path in it. `before` is None for a new file."""

    path: Path
    before: bytes | None
    after: bytes


def render(template: str, names: Mapping[str, str]) -> str:
    """A template with its names filled in; its imports are sorted by `ruff` later."""
    return Template((TEMPLATES / template).read_text(encoding="utf-8")).substitute(names)


def plan(files: Mapping[Path, str], root: Path = ROOT) -> list[Change]:
    """Every change that the new files imply, generated files included. Writes nothing to the tree.

    CannotCreate if a file exists, if generated files are out of date, or if the catalogue fails.
    """
    for path in files:
        refuse_existing(root, path)
    with tempfile.TemporaryDirectory(prefix="mauntic-new-") as folder:
        draft = Path(folder)
        for name in COPIED:
            _copy(root / name, draft / name)
        _require_current(draft)
        for path, text in files.items():
            (draft / path).parent.mkdir(parents=True, exist_ok=True)
            (draft / path).write_text(text, encoding="utf-8")
        _format(draft, [path for path in files if path.suffix == ".py"])
        _run(draft, "mauntic.docs_gen.catalogue", "--write")
        return list(_changes(draft, root))


def refuse_existing(root: Path, path: Path) -> None:
    """CannotCreate if the path exists, even as a link that leads nowhere."""
    if os.path.lexists(root / path):
        raise CannotCreate(f"{path} exists. Choose another name, or remove it first.")


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=IGNORED)
    else:
        shutil.copyfile(source, target)


def _require_current(draft: Path) -> None:
    """Refuse a tree whose generated files are stale: its old changes would be mixed with the new.

    A worker that cannot be imported is refused too, since the catalogue needs every worker.
    """
    try:
        _run(draft, "mauntic.docs_gen.catalogue", "--check")
    except CannotCreate as error:
        raise CannotCreate(
            f"The tree is not ready for a new file:\n{error}\n"
            "Correct it, run `make catalogue`, then try again."
        ) from None


def _format(draft: Path, paths: Sequence[Path]) -> None:
    """Sort the imports and wrap the lines as `make lint` expects them, and check the result."""
    names = [str(path) for path in paths]
    ours = 'lint.isort.known-first-party = ["tests"]'  # the draft has no other tests
    check = ("check", "--quiet", "--no-cache", "--config", ours)
    _run(draft, "ruff", *check, "--fix", "--select", "I", *names)
    _run(draft, "ruff", "format", "--quiet", "--no-cache", *names)
    _run(draft, "ruff", *check, *names)


def _run(draft: Path, module: str, *arguments: str) -> None:
    """Run a Python module in the draft, whose packages come before the tree's."""
    path = os.pathsep.join([str(draft), str(draft / "workers")])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=draft, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        output = (done.stderr.strip() or done.stdout.strip()).splitlines()
        lines = "\n".join(f"    | {line}" for line in output[-12:])
        raise CannotCreate(f"`python -m {module} {arguments[0]}` failed:\n{lines}")


def _changes(draft: Path, root: Path) -> Iterator[Change]:
    for made in sorted(draft.rglob("*")):
        if not made.is_file() or "__pycache__" in made.parts:
            continue
        path, after = made.relative_to(draft), made.read_bytes()
        before = (root / path).read_bytes() if (root / path).exists() else None
        if before != after:
            yield Change(path, before, after)


def apply(changes: Sequence[Change], root: Path = ROOT) -> None:
    """Make all changes. If one fails, undo those already made and raise CannotCreate.

    Ctrl-C and a request to end wait until all are made, which takes milliseconds.
    """
    done: list[Change] = []
    folders: list[Path] = []
    with _hold_signals():
        try:
            for change in changes:
                _refuse_edited(root, change)
                folders += _make_parents(root / change.path)
                done.append(change)
                _replace(root / change.path, change.after)
        except (OSError, CannotCreate) as error:
            _undo(done, folders, root)
            raise CannotCreate(f"{error}\nNothing was changed.") from None


def _refuse_edited(root: Path, change: Change) -> None:
    target = root / change.path
    current = target.read_bytes() if os.path.lexists(target) else None
    if current != change.before:
        raise CannotCreate(f"{change.path} was edited in the meantime. Try again.")


def _make_parents(path: Path) -> list[Path]:
    """Create the folders above a path; those that were missing, deepest last."""
    missing = [folder for folder in path.parents if not folder.exists()][::-1]
    path.parent.mkdir(parents=True, exist_ok=True)
    return missing


def _replace(target: Path, content: bytes) -> None:
    """Write a file whole: a reader sees the old content or the new."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        if target.exists():
            shutil.copymode(target, temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _undo(done: Sequence[Change], folders: Sequence[Path], root: Path) -> None:
    for change in reversed(done):
        if change.before is None:
            (root / change.path).unlink(missing_ok=True)
        else:
            _replace(root / change.path, change.before)
    for folder in reversed(folders):
        folder.rmdir()


@contextmanager
def _hold_signals() -> Iterator[None]:
    """Deliver a signal that arrives in this block at its end.

    A handler, and no mask: the system may give the signal to another thread, whose mask is its own.
    """
    arrived: list[int] = []
    handlers = {number: signal.getsignal(number) for number in HELD_SIGNALS}
    handlers = {n: handler for n, handler in handlers.items() if handler is not signal.SIG_IGN}
    for number in handlers:
        signal.signal(number, lambda number, _frame: arrived.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if arrived:
            signal.raise_signal(arrived[0])


def run(command: str, files_of: Callable[[], Mapping[Path, str]], *, dry_run: bool) -> int:
    """Create the files and return the exit code: 2 with a sentence if they cannot be created, 130
    after Ctrl-C."""
    try:
        create(command, files_of(), dry_run=dry_run)
    except CannotCreate as error:
        print(f"{command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{command}: interrupted", file=sys.stderr)
        return 130
    return 0


def create(command: str, files: Mapping[Path, str], *, dry_run: bool, root: Path = ROOT) -> None:
    """Plan and apply, and print each file."""
    changes = plan(files, root)
    if not dry_run:
        apply(changes, root)
    created, changed = ("would create", "would change") if dry_run else ("created", "changed")
    for change in changes:
        print(f"{created if change.before is None else changed} {change.path}")
    if dry_run:
        print(f"Nothing was written. Run `make {command}` without DRY_RUN to create the files.")
