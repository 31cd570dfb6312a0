"""A pytest plugin that records which lines and which SQL blocks each test executes.

`MUTANTS_RECORD` names the file. It gets one JSON line per test, as soon as the test has ended.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator
from pathlib import Path

import pytest
from coverage import Coverage

from tests.mutants.record import IMPORT

ROOT = Path.cwd()


class Recorder:
    """Measures one test at a time and appends what it executed to the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.blocks: set[str] = set()
        self.passed = True
        self.coverage = Coverage(
            data_file=None,
            config_file=False,
            include=[f"{ROOT}/shared/*", f"{ROOT}/workers/*"],
            concurrency=["thread"],
        )
        # A test may execute no line of the code.
        self.coverage.set_option("run:disable_warnings", ["no-data-collected"])
        self.coverage.start()

    def watch_blocks(self) -> None:
        """Note each SQL block by its folder and name when a test looks it up."""
        from shared.sql.blocks import SqlBlocks

        look_up = SqlBlocks.__getitem__

        def noted(blocks: SqlBlocks, name: str) -> str:
            folder = blocks.folder.resolve()
            if folder.is_relative_to(ROOT):
                self.blocks.add(f"{folder.relative_to(ROOT).as_posix()}:{name}")
            return look_up(blocks, name)

        SqlBlocks.__getitem__ = noted  # type: ignore[method-assign]

    def write(self, test: str, seconds: float) -> None:
        """Append the entry of a test and start the next one empty."""
        self.coverage.stop()
        data = self.coverage.get_data()
        entry = {
            "test": test,
            "seconds": round(seconds, 3),
            "passed": self.passed,
            "lines": {
                Path(file).relative_to(ROOT).as_posix(): sorted(data.lines(file) or ())
                for file in data.measured_files()
            },
            "blocks": sorted(self.blocks),
        }
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        self.blocks.clear()
        self.passed = True
        self.coverage.erase()
        self.coverage.start()

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Skip the tests that the file already has."""
        done = set()
        if self.path.exists():
            text = self.path.read_text(encoding="utf-8")
            done = {json.loads(line)["test"] for line in text.splitlines()}
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in done])
        items[:] = [item for item in items if item.nodeid not in done]
        self.write(IMPORT, 0)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.passed = self.passed and not report.failed

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        started = time.monotonic()
        try:
            return (yield)
        finally:
            self.write(item.nodeid, time.monotonic() - started)


def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Start before the first module of the code is imported."""
    if path := os.environ.get("MUTANTS_RECORD"):
        recorder = Recorder(Path(path))
        early_config.pluginmanager.register(recorder, "mutants-recorder")
        recorder.watch_blocks()
