"""The architecture, read from the folders: each has a layer, and an import goes downward only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# From the lowest layer to the highest. Places of one layer do not import each other, except in the
# first layer, whose files are plain declarations.
SHARED = (
    {
        "body_limits", "error_text", "errors", "key_formats", "messages", "outcome", "ports",
        "bindings", "hook_token", "inbox", "retry", "sanitize", "settings", "signing_keys",
        "unsubscribe_token", "windows",
    },
    {"sql"},
    {"ledger", "outbox", "queues"},
    {"jobs", "web"},
    {"telemetry"},
    {"flow", "tick", "warmup"},
    {"adapters"},
)  # fmt: skip
# The parts of every worker; `entry`, `worker` and `jobs` are required, `requests` instead of `jobs`
# for a worker that only answers requests. `reference` is for tests and explanations: no bundle has
# it.
WORKER = (
    {"domain", "queues", "reference"},
    {"content", "providers"},
    {"store"},
    {"sending", "feedback"},
    {"campaigns", "segments"},
    {"jobs", "requests"},
    {"outbox"},
    {"worker"},
    {"entry"},
)
HOST = (
    {"errors", "project"},
    {"database"},
    {"local"},
    {"operations"},
    {"adopt", "docs_gen", "event_import"},
    {"checks"},
    {"cutover", "demo"},
    {"cli"},
)
BELOW_THE_TERMINAL = (
    "project", "database", "local", "operations", "adopt", "event_import", "checks", "cutover",
)  # fmt: skip
WEB_WORKERS = {"hooks"}
WORKERS = sorted(path.parent.name for path in (ROOT / "workers").glob("*/entry.py"))


def sources(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if "in_python" not in path.parts)


def places(folder: Path) -> set[str]:
    """The folders and files right below, without the package's own file."""
    found = {path.relative_to(folder).parts[0].removesuffix(".py") for path in sources(folder)}
    return found - {"__init__"}


def layer_of(place: str, layers: tuple[set[str], ...]) -> int:
    return next(number for number, layer in enumerate(layers) if place in layer)


def module_of(path: Path) -> str:
    """The module as an import names it."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[1:] if parts[0] == "workers" else parts
    return ".".join(parts).removesuffix(".__init__")


@cache
def modules() -> dict[str, Path]:
    folders = ("shared", "workers", "mauntic", "tools")
    return {module_of(path): path for folder in folders for path in sources(ROOT / folder)}


@cache
def imports(path: Path) -> frozenset[str]:
    """Return every module of this project that the file imports; a package if no module below it is
    meant.
    """

    def named() -> Iterator[str]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    below = f"{node.module}.{alias.name}"
                    yield below if below in modules() else node.module

    return frozenset(one for one in named() if one in modules())


def upward(package: str, folder: Path, layers: tuple[set[str], ...]) -> list[str]:
    """Return the imports that do not go down, as `from -> to`."""
    found = []
    for path in sources(folder):
        place = path.relative_to(folder).parts[0].removesuffix(".py")
        if place == "__init__":
            continue
        own = layer_of(place, layers)
        for target in imports(path):
            parts = target.split(".")
            if parts[0] != package or len(parts) == 1 or parts[1] == place:
                continue
            other = layer_of(parts[1], layers)
            if other > own or (other == own and own > 0):
                found.append(f"{module_of(path)} -> {target}")
    return sorted(found)


def test_every_place_of_the_framework_has_a_layer() -> None:
    assert places(ROOT / "shared") == set().union(*SHARED)


def test_every_place_of_the_host_has_a_layer() -> None:
    assert places(ROOT / "mauntic") == set().union(*HOST)


@pytest.mark.parametrize("worker", WORKERS)
def test_every_place_of_a_worker_has_a_layer(worker: str) -> None:
    found = places(ROOT / "workers" / worker)
    assert found <= set().union(*WORKER)
    assert found >= {"entry", "worker", "requests" if worker in WEB_WORKERS else "jobs"}


def test_a_folder_of_workers_is_a_worker() -> None:
    folders = {path.name for path in (ROOT / "workers").iterdir() if any(path.glob("*.py"))}
    assert folders == set(WORKERS)


def test_the_framework_imports_downward() -> None:
    assert upward("shared", ROOT / "shared", SHARED) == []


def test_the_host_imports_downward() -> None:
    assert upward("mauntic", ROOT / "mauntic", HOST) == []


@pytest.mark.parametrize("worker", WORKERS)
def test_a_worker_imports_downward(worker: str) -> None:
    assert upward(worker, ROOT / "workers" / worker, WORKER) == []


def test_the_framework_knows_no_worker_and_no_host() -> None:
    """It is in every bundle, so every worker carries what it imports."""
    above = {*WORKERS, "mauntic", "tools"}
    found = [p for p in sources(ROOT / "shared") if {i.split(".")[0] for i in imports(p)} & above]
    assert found == []


@pytest.mark.parametrize("worker", WORKERS)
def test_a_worker_knows_no_other_worker_and_no_host(worker: str) -> None:
    above = {*WORKERS, "mauntic", "tools"} - {worker}
    own = sources(ROOT / "workers" / worker)
    assert [path for path in own if {i.split(".")[0] for i in imports(path)} & above] == []


@pytest.mark.parametrize("worker", WORKERS)
def test_only_the_entry_of_a_worker_knows_the_platform(worker: str) -> None:
    """Everything else runs, and is tested, in plain Python."""
    own = sources(ROOT / "workers" / worker)
    found = [p.name for p in own if any(i.startswith("shared.adapters") for i in imports(p))]
    assert found == ["entry.py"]


def test_operations_and_what_is_below_know_no_terminal() -> None:
    """The console uses them like the command: they return, raise or log a notice."""
    below = [path for place in BELOW_THE_TERMINAL for path in sources(ROOT / "mauntic" / place)]
    texts = {module_of(path): path.read_text(encoding="utf-8") for path in below}
    words = ("import typer", "from typer", "import rich", "from rich", "mauntic.cli")
    assert [name for name, text in texts.items() if any(word in text for word in words)] == []


def test_there_is_no_circle_of_imports() -> None:
    graph = {name: imports(path) - {name} for name, path in modules().items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))
