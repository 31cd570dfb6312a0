"""Each boundary of SECURITY.md names the tests that show its defense, and they are there."""

from __future__ import annotations

import ast
import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from hooks.worker import WORKER
from shared.bindings import Secret
from shared.ports import WebPorts

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


def test_one_worker_answers_the_internet() -> None:
    """It has no other handler, and the others have no `fetch`."""
    config = tomllib.loads((ROOT / "wrangler.toml").read_text(encoding="utf-8"))
    handlers = {}
    for env, settings in config["env"].items():
        merged = {**config, **settings}
        assert (merged.get("workers_dev"), merged.get("preview_urls")) == (False, False), env
        assert {"route", "routes"} & merged.keys() == set()
        tree = ast.parse((ROOT / "workers" / env / "entry.py").read_text(encoding="utf-8"))
        handlers[env] = {n.name for n in ast.walk(tree) if isinstance(n, ast.AsyncFunctionDef)}
    assert handlers.pop("hooks") == {"fetch"}
    assert all(named and "fetch" not in named for named in handlers.values())


def test_that_worker_has_a_queue_a_bucket_and_two_keys_and_nothing_else() -> None:
    """No database, no secret of a provider, no outgoing HTTP, no log line with a URL."""
    config = tomllib.loads((ROOT / "wrangler.toml").read_text(encoding="utf-8"))["env"]["hooks"]
    assert config["queues"] == {
        "producers": [{"queue": "mauntic-delivery-feedback", "binding": "DELIVERY_FEEDBACK"}]
    }
    assert config["r2_buckets"] == [
        {"bucket_name": "mauntic-delivery-inbox", "binding": "INBOX_R2"}
    ]
    bindings = {"name", "main", "build", "workers_dev", "preview_urls", "limits", "observability"}
    assert config.keys() == bindings | {"queues", "r2_buckets"}
    assert config["observability"]["logs"]["invocation_logs"] is False
    secrets = [own.name for own in WORKER.all_bindings if isinstance(own, Secret)]
    assert secrets == ["HOOK_KEYS", "UNSUBSCRIBE_KEYS"]


def test_its_code_reads_no_other_setting_and_no_database() -> None:
    """What a bundle contains cannot be used without a binding; this also holds without one."""
    folder = ROOT / "workers" / "hooks"
    texts = [path.read_text(encoding="utf-8") for path in folder.rglob("*.py")]
    assert not any(
        word in text
        for text in texts
        for word in ("postgres", "shared.sql", "PROVIDER_KEY", "http.")
    )
    assert {field.name for field in fields(WebPorts)} == {
        "settings", "clock", "random", "log", "bucket", "producer", "crypto",
    }  # fmt: skip
