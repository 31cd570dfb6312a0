"""The size of an upload, its largest parts, and the import time of a worker.

`python -m tools.weigh [ENV …]`: the exit code is 1 if an upload is too large. With `--boot` each
worker is also started in the local runtime, which takes some seconds.
"""

from __future__ import annotations

import argparse
import gzip
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mauntic.project.envs import envs, unknown_envs
from mauntic.project.programs import ROOT, search_path

WRANGLER = ROOT / "node_modules" / ".bin" / "wrangler"

# wrangler counts in KiB of 1,024 bytes; a startup snapshot grows with the upload.
UPLOAD_MAX_BYTES = 2_500_000
SHOWN_PARTS = 8
SHOWN_IMPORTS = 8
TOTAL = re.compile(r"Total Upload: ([\d.]+) KiB / gzip: ([\d.]+) KiB")
IMPORT_TIME = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \| +(\S+)")


@dataclass(frozen=True)
class Weight:
    """An upload: plain and compressed bytes, as wrangler counts them, and its largest parts."""

    env: str
    bytes: int
    gzip_bytes: int
    parts: Mapping[str, int]

    @property
    def is_light(self) -> bool:
        return self.gzip_bytes <= UPLOAD_MAX_BYTES


def main(arguments: list[str]) -> int:
    """Print the sizes; return 0 if all are within the limit."""
    parser = argparse.ArgumentParser(prog="weigh", description=__doc__)
    parser.add_argument("env", nargs="*")
    parser.add_argument("--boot", action="store_true", help="start the workers too")
    chosen = parser.parse_args(arguments)
    if refusal := unknown_envs(chosen.env):
        print(f"weigh: {refusal}", file=sys.stderr)
        return 1
    weights = [weigh(env) for env in chosen.env or envs()]
    for weight in weights:
        print("\n".join(lines(weight)))
    if chosen.boot:
        print("\n".join(boot_lines([weight.env for weight in weights])))
    return 0 if all(weight.is_light for weight in weights) else 1


def weigh(env: str) -> Weight:
    """Bundle as a deployment would, without deploying. RuntimeError contains wrangler's output."""
    with tempfile.TemporaryDirectory(prefix="mauntic-weigh-") as folder:
        command = [str(WRANGLER), "deploy", "--dry-run", "--env", env, "--outdir", folder]
        settings = {**os.environ, "PATH": search_path()}
        done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True)
        found = TOTAL.search(done.stdout)
        if done.returncode != 0 or found is None:
            raise RuntimeError(f"the dry run of {env} failed:\n{done.stdout}{done.stderr}")
        plain, packed = (round(float(text) * 1_024) for text in found.groups())
        return Weight(env, plain, packed, parts(Path(folder)))


def parts(folder: Path) -> dict[str, int]:
    """Return approximate compressed bytes by package, largest first: each is compressed alone."""
    contents: dict[str, list[bytes]] = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            contents.setdefault(part_of(file.relative_to(folder)), []).append(file.read_bytes())
    sizes = {name: len(gzip.compress(b"".join(files))) for name, files in contents.items()}
    return dict(sorted(sizes.items(), key=lambda item: -item[1]))


def part_of(path: Path) -> str:
    """Return the package that a file belongs to.

    >>> part_of(Path("python_modules/pg8000/core.py")), part_of(Path("shared/flow/window_run.py"))
    ('pg8000', 'shared')
    >>> part_of(Path("python_modules/pg8000-1.31.6.dist-info/METADATA"))
    'pg8000'
    """
    parts = [part for part in path.parts if part != "python_modules"]
    return parts[0].partition("-")[0].removesuffix(".py")


def lines(weight: Weight) -> Iterator[str]:
    """Format the size."""
    verdict = "light enough" if weight.is_light else "TOO HEAVY"
    yield (
        f"{weight.env}: {weight.gzip_bytes / 1e6:.2f} MB compressed"
        f" ({weight.bytes / 1e6:.2f} MB plain); at most {UPLOAD_MAX_BYTES / 1e6:.1f} MB: {verdict}"
    )
    for name, size in list(weight.parts.items())[:SHOWN_PARTS]:
        yield f"  {size / 1e3:8.1f} kB  {name}"
    rest = sum(list(weight.parts.values())[SHOWN_PARTS:])
    yield f"  {rest / 1e3:8.1f} kB  the rest"


@dataclass(frozen=True)
class Start:
    """A worker's start in the local runtime: in total, and of its modules alone."""

    boot_ms: int
    import_ms: int


def boot_lines(names: list[str]) -> Iterator[str]:
    """Print each worker's start in the local runtime, and the parts of its import on the host."""
    for env, start in starts(names).items():
        yield (
            f"{env}: imports in {start.import_ms:,} ms in the local runtime"
            f" ({start.boot_ms:,} ms with the interpreter)"
        )
        for module, import_ms in import_times_ms(env)[:SHOWN_IMPORTS]:
            yield f"  {import_ms:8.1f} ms  {module} (on the host)"


def starts(names: list[str]) -> dict[str, Start]:
    """Return the start of each worker, alone, by env: the second start, because the first one
    compiles.
    """
    from mauntic.database.embedded.server import temporary_server
    from mauntic.local.control_client import LocalRuntime

    config = tomllib.loads((ROOT / "wrangler.toml").read_text(encoding="utf-8"))["env"]
    found = {}
    with temporary_server() as server, LocalRuntime(server.url, envs=names) as runtime:
        for env in names:
            name = config[env]["name"]
            outcome = runtime.control.reload(name)["workers"][name]
            found[env] = Start(outcome["bootMs"], outcome["importMs"])
    return found


def import_times_ms(env: str) -> list[tuple[str, float]]:
    """Return packages by the time that importing the worker spends in each, longest first."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "workers")])
    command = [sys.executable, "-X", "importtime", "-c", f"import {env}.worker"]
    settings = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        command, cwd=ROOT, env=settings, capture_output=True, text=True, check=True
    )
    spent_us: dict[str, int] = {}
    for own_us, _, module in IMPORT_TIME.findall(done.stderr):
        package = module.partition(".")[0]
        spent_us[package] = spent_us.get(package, 0) + int(own_us)
    longest = sorted(spent_us.items(), key=lambda item: -item[1])
    return [(package, spent / 1_000) for package, spent in longest]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
