"""Each boundary of SECURITY.md names the tests that show its defense, and they are there."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
BOUNDARIES = PAGE.partition("### Boundaries")[2].partition("\n\n**")[0]
ROWS = [line for line in BOUNDARIES.splitlines() if line.startswith("|")][2:]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_a_boundary_names_the_test_that_shows_its_defense(row: str) -> None:
    named = re.findall(r"`(tests/[^`]+)`", row.split("|")[3])
    assert named
    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_every_file_that_the_page_names_is_there() -> None:
    named = re.findall(r"`((?:tests|shared|local|tools|docs|cli)/[^`]*\.\w+)`", PAGE)
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_no_worker_answers_the_internet() -> None:
    config = tomllib.loads((ROOT / "wrangler.toml").read_text(encoding="utf-8"))
    for env, settings in config["env"].items():
        merged = {**config, **settings}
        assert (merged.get("workers_dev"), merged.get("preview_urls")) == (False, False), env
        assert {"route", "routes"} & merged.keys() == set()
        tree = ast.parse((ROOT / "workers" / env / "entry.py").read_text(encoding="utf-8"))
        named = {node.name for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)}
        assert named
        assert "fetch" not in named
