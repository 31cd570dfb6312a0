"""Every import is available after setup: the tree or a dependency has it."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FOLDERS = [
    *(ROOT / "mauntic", ROOT / "shared"),
    *sorted(path.parent for path in ROOT.glob("workers/*/entry.py")),
]
DECLARED = {re.split(r"[^A-Za-z0-9._-]", one)[0] for one in PROJECT["project"]["dependencies"]}
OWN = {folder.name for folder in FOLDERS}
PLATFORM = {"workers", "js", "pyodide"}  # there inside a worker alone, where nothing is installed


def modules() -> list[Path]:
    """Return what the host may import; `mauntic/local/in_python` runs inside a worker."""
    found = [path for folder in FOLDERS for path in sorted(folder.rglob("*.py"))]
    return [path for path in found if "in_python" not in path.parts]


def imported(path: Path) -> Iterator[str]:
    """The top-level modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


@cache
def brought() -> set[str]:
    """The top-level modules of the declared dependencies: what these in turn need may go."""
    return {
        module
        for module, distributions in packages_distributions().items()
        if DECLARED & set(distributions)
    }


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_import_is_in_the_tree_or_declared(path: Path) -> None:
    known = OWN | brought() | PLATFORM | set(sys.stdlib_module_names)
    assert set(imported(path)) - known == set()
