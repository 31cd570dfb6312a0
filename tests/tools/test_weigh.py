"""The upload: within the limit, and without unused modules."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from mauntic.project.envs import envs
from tools.setup import PRUNED, prune
from tools.weigh import (
    UPLOAD_MAX_BYTES,
    Weight,
    import_times_ms,
    lines,
    main,
    parts,
    starts,
    weigh,
)


@pytest.mark.parametrize("env", envs())
def test_every_worker_is_light_and_bundles_as_a_deployment_would(env: str) -> None:
    weight = weigh(env)
    assert weight.is_light
    assert weight.parts[env] > 0
    assert weight.parts["shared"] > 0
    others = set(envs()) - {env}
    assert not others & weight.parts.keys(), "a worker carries no other worker's code"
    # Each part alone compresses slightly worse than all together.
    assert weight.gzip_bytes <= sum(weight.parts.values()) * 1.02


def test_an_env_that_is_not_there_is_an_error_with_wranglers_words() -> None:
    with pytest.raises(RuntimeError, match="dry run of elsewhere failed"):
        weigh("elsewhere")


def test_the_envs_that_there_are_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nope"]) == 1
    assert capsys.readouterr().err == (
        f"weigh: wrangler.toml has no env nope; there are {', '.join(envs())}.\n"
    )


def test_parts_are_by_package_and_heaviest_first(tmp_path: Path) -> None:
    files = {
        "python_modules/big/a.py": bytes(range(256)) * 40,
        "python_modules/big-1.0.dist-info/METADATA": b"Name: big",
        "shared/flow/window_run.py": b"x = 1",
    }
    for name, content in files.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    found = parts(tmp_path)
    assert list(found) == ["big", "shared"]
    assert found["shared"] == len(gzip.compress(b"x = 1"))


def test_too_heavy_is_said() -> None:
    text = "\n".join(lines(Weight("x", 9, UPLOAD_MAX_BYTES + 1, {"a": 5_000, "b": 10})))
    assert "TOO HEAVY" in text
    assert "5.0 kB  a" in text


def test_pruning_leaves_what_is_not_on_the_list(tmp_path: Path) -> None:
    for name in (*PRUNED, "pydantic/main.py", "dateutil/zoneinfo/__init__.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch() if path.suffix else path.mkdir(parents=True, exist_ok=True)
    prune(tmp_path)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    assert left == {"pydantic/main.py", "dateutil/zoneinfo/__init__.py"}
    prune(tmp_path)


def test_nothing_that_the_host_alone_has_is_imported_by_a_worker() -> None:
    for env in envs():
        packages = {package for package, _ in import_times_ms(env)}
        assert not packages & {"httpx", "rich", "typer", "watchfiles", "psutil"}
        assert {"pydantic", "shared", env} <= packages


@pytest.mark.e2e
def test_every_worker_imports_what_is_vendored() -> None:
    found = starts(envs())
    assert set(found) == set(envs())
    assert all(0 < start.import_ms < start.boot_ms for start in found.values())
