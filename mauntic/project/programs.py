"""Where our own programs are. Standard library only: set-up imports it before all else is there."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLACES = (ROOT / ".venv" / "bin", ROOT / "node_modules" / ".bin")


def search_path() -> str:
    """The PATH on which our Python, Node and their programs come before any others."""
    return os.pathsep.join([*map(str, PLACES), os.environ.get("PATH", os.defpath)])
