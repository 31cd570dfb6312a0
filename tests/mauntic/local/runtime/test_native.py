"""The options of workerd's own Python; running it needs the vendor's network."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.mauntic.local.runtime.harness import NODE, ROOT, spawn, write_project

SCRIPT = """
import { nativeWorkers } from "%s";
const bytes = (text) => new TextEncoder().encode(text);
const workers = [{
  name: "toy", compatibilityDate: "2026-11-01", compatibilityFlags: ["python_workers"],
  bindings: {}, crons: ["0 * * * *"], consumers: { work: { maxRetries: 2 } },
}];
const staged = new Map([["toy", [
  ["alpha/store.py", bytes("a")], ["alpha/sql/x.sql", bytes("b")], ["entry.py", bytes("c")],
]]]);
const shared = [
  ["lib/os.py", bytes("d")],
  ["python_modules/workers/__init__.py", bytes("e")],
  ["python_modules/workers/workflows.js", bytes("f")],
];
console.log(JSON.stringify(nativeWorkers({ workers, flags: ["more"] }, staged, shared)));
"""


@pytest.fixture(scope="module")
def options() -> dict[str, Any]:
    script = SCRIPT % (ROOT / "mauntic" / "local" / "server" / "native.mjs").as_uri()
    command = [str(NODE), "--input-type=module", "--eval", script]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    worker: dict[str, Any] = json.loads(output)[0]
    return worker


def test_modules_have_bare_names_and_the_runtimes_types(options: dict[str, Any]) -> None:
    manifest = options["config"]["manifest"]
    assert {path: module["type"] for path, module in manifest["modules"].items()} == {
        "entry.py": "python",
        "alpha/store.py": "python",
        "alpha/sql/x.sql": "text",
        "python_modules/workers/__init__.py": "data",
        "python_modules/workers/workflows.js": "esm",
    }
    assert manifest["mainModule"] == "entry.py"


def test_python_flags_are_kept_and_flags_added(options: dict[str, Any]) -> None:
    assert options["config"]["compatibilityFlags"] == ["python_workers", "more"]
    assert options["config"]["triggers"] == [
        {"type": "scheduled", "schedule": "0 * * * *"},
        {"type": "queue", "name": "work", "maxRetries": 2},
    ]


LINES = """
import { onNativeLine } from "%s";
onNativeLine({ level: "log", message: JSON.stringify({ event: "queue.metric", worker: "toy" }) });
onNativeLine({ level: "error", message: "Uncaught Error: ValueError: no" });
onNativeLine({ level: "warn", message: "{no JSON" });
"""


def test_a_line_has_the_worker_that_it_names_and_no_exception_is_left_out() -> None:
    """No host has reported the exception of a cron before."""
    script = LINES % (ROOT / "mauntic" / "local" / "common" / "events.mjs").as_uri()
    command = [str(NODE), "--input-type=module", "--eval", script]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    events = [json.loads(line) for line in output.splitlines()]
    assert [(event["worker"], event["level"]) for event in events] == [
        ("toy", "info"), (None, "error"), (None, "warn"),
    ]  # fmt: skip
    assert events[1]["text"] == "Uncaught Error: ValueError: no"


@pytest.mark.e2e
def test_without_its_bundle_it_says_so(tmp_path: Path) -> None:
    config = str(write_project(tmp_path / "toy"))
    server = spawn({"config": config, "runtime": "native"})
    try:
        text = server.wait_event("error", timeout_s=30)["text"]
        assert "runtime native" in text
        assert "network" in text
    finally:
        server.close()
