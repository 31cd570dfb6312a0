"""The examples in docstrings hold."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OUTSIDE = {"entry.py"}  # imports the platform's own modules
FOLDERS = dict.fromkeys(("shared", "mauntic", "tools", "bench"), ROOT)
FOLDERS |= {
    folder.name: folder.parent for folder in sorted(ROOT.glob("workers/*")) if folder.is_dir()
}
MODULES = [
    ".".join(path.relative_to(parent).with_suffix("").parts)
    for name, parent in FOLDERS.items()
    for path in sorted((parent / name).rglob("*.py"))
    if path.name not in OUTSIDE and "in_python" not in path.parts and ">>> " in path.read_text()
]


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_of_a_module(module: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(module))
    assert tried
    assert failed == 0
