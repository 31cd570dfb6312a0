"""The page about adding a provider, followed literally in a copy of the project."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.tools.copied import ROOT, copy_project, files, run

PAGE = (ROOT / "docs" / "adding-a-provider.md").read_text(encoding="utf-8")
FILE = re.compile(r"^`([\w/]+\.py)`:\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = re.compile(r"^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    copied = copy_project(tmp_path)
    for path, text in FILE.findall(PAGE):
        assert not (copied / path).exists()
        (copied / path).write_text(text, encoding="utf-8")
    return copied


def commands() -> list[str]:
    blocks = COMMANDS.findall(FILE.sub("", PAGE))
    return [line for block in blocks for line in block.splitlines()]


def test_following_the_page_gives_a_provider_that_passes_its_tests(copy: Path) -> None:
    assert [path for path, _ in FILE.findall(PAGE)] == [
        "workers/delivery/providers/brevo.py",
        "tests/workers/delivery/providers/test_brevo.py",
    ]
    for line in commands():
        run(copy, "bash", "-c", line.replace("pytest ", "pytest -p no:cacheprovider "))
    found = "from delivery.providers.registry import ADAPTERS; print(ADAPTERS['brevo'].hosts)"
    assert "api.brevo.com" in run(copy, sys.executable, "-c", found)


def test_a_mistake_in_the_adapter_fails_the_pages_tests(copy: Path) -> None:
    """The tests of the page are no decoration."""
    adapter = copy / "workers" / "delivery" / "providers" / "brevo.py"
    text = adapter.read_text(encoding="utf-8")
    for right, wrong in (("response.status == 201", "response.status < 500"),
                         ('"to": [', '"cc": [')):  # fmt: skip
        adapter.write_text(text.replace(right, wrong), encoding="utf-8")
        with pytest.raises(AssertionError, match="failed"):
            run(copy, "bash", "-c", commands()[0].replace("-q", "-q -p no:cacheprovider"))


def test_the_page_names_files_and_functions_that_exist() -> None:
    adapters = {path.name for path in (ROOT / "workers/delivery/providers").glob("*.py")}
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")]
    named = {name for row in rows for name in re.findall(r"`(\w+\.py)`", row)}
    assert named <= adapters
    source = "".join(
        path.read_text(encoding="utf-8")
        for path in (ROOT / "workers/delivery/providers").glob("*.py")
    )
    table = PAGE.split("## Add what it also has")[1].split("Rules for webhooks")[0]
    words = {word for word in re.findall(r"`([a-z]\w+)`", table) if not word.endswith(".py")}
    assert {word for word in words if word not in source} == set()


def test_nothing_but_the_two_files_is_new(copy: Path) -> None:
    assert {path for path in files(copy) if "brevo" in path} == {
        path for path, _ in FILE.findall(PAGE)
    }
