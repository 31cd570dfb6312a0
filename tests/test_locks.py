"""Every download of the setup has a hash in a lock, and runs nothing during its installation."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tools.setup import UV_VERSION

ROOT = Path(__file__).parent.parent
NODE: dict[str, Any] = json.loads((ROOT / "package-lock.json").read_text())["packages"]
PYTHON: list[dict[str, Any]] = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NOWHERE = "sys_platform == 'never'"
SHA_512 = re.compile(r"sha512-[A-Za-z0-9+/]{86}==")
SHA_256 = re.compile(r"sha256:[0-9a-f]{64}")


@pytest.mark.parametrize("path", [path for path in NODE if path])
def test_every_npm_package_has_a_hash_on_every_platform(path: str) -> None:
    package = NODE[path]
    assert SHA_512.fullmatch(package.get("integrity", "")), package
    assert "resolved" not in package, "the registry is the user's own"
    assert "link" not in package


def test_every_npm_package_that_is_wanted_is_locked() -> None:
    named = {path.rpartition("node_modules/")[2] for path in NODE}
    for package in NODE.values():
        wanted = {**package.get("dependencies", {}), **package.get("optionalDependencies", {})}
        assert set(wanted) <= named


@pytest.mark.parametrize("package", PYTHON, ids=lambda package: package["name"])
def test_every_python_package_has_a_hash_for_every_file(package: dict[str, Any]) -> None:
    if package["name"] == "mauntic":
        assert package["source"] == {"virtual": "."}, "nothing of ours is built"
        return
    assert set(package["source"]) == {"registry"}
    files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
    assert files
    assert all(SHA_256.fullmatch(file["hash"]) for file in files)


def test_no_python_package_has_to_be_built() -> None:
    """A build would download a back end that is in no lock, so every package needs a wheel."""
    lacking = {one["name"] for one in PYTHON if not one.get("wheels")} - {"mauntic"}
    wanted = [
        one
        for package in PYTHON
        for one in package.get("dependencies", [])
        if one["name"] in lacking
    ]
    assert {one.get("marker") for one in wanted} <= {NOWHERE}
    assert "build-system" not in PROJECT
    assert PROJECT["tool"]["uv"]["package"] is False
    commands = (ROOT / "Makefile").read_text() + (ROOT / "tools" / "setup.py").read_text()
    installing = re.findall(r"uv run\b.*|\[uv, \"sync\".*|uv, \"sync.*", commands)
    assert len(installing) == 3
    assert all("--no-build" in line for line in installing)


def test_uv_has_a_hash_for_each_wheel() -> None:
    text = (ROOT / "tools" / "uv.txt").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    requirement, *hashes = " ".join(lines).replace("\\", " ").split()
    assert requirement == f"uv=={UV_VERSION}"
    assert len(hashes) > 10
    assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one) for one in hashes)


def test_no_script_of_an_npm_package_runs() -> None:
    assert "ignore-scripts=true" in (ROOT / ".npmrc").read_text().splitlines()
