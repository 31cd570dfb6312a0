"""Remove what set-up and runs have made: packages, bundles, caches and the local database."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path

from local.elsewhere import elsewhere, is_ours

ROOT = Path(__file__).resolve().parent.parent
MADE = [
    *(".local", ".venv", ".wrangler", "build", "node_modules", "python_modules"),
    *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis"),
]


def main() -> int:
    """Remove it all, and say what was there."""
    remove_database(ROOT / ".local" / "postgres")
    for path in [ROOT / name for name in MADE]:
        if path.exists():
            shutil.rmtree(path)
            print(f"  removed {path.relative_to(ROOT)}")
    for cache in list(ROOT.rglob("__pycache__")):
        shutil.rmtree(cache, ignore_errors=True)
    return 0


def remove_database(home: Path) -> None:
    """End a server that still runs; remove its files in /var/tmp, where root keeps them."""
    with suppress(FileNotFoundError, ProcessLookupError):
        pid = int((home / "data" / "postmaster.pid").read_text().split(maxsplit=1)[0])
        os.kill(pid, signal.SIGINT)
    if elsewhere().exists() and is_ours(elsewhere()):
        shutil.rmtree(elsewhere())


if __name__ == "__main__":
    sys.exit(main())
