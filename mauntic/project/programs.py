"""Paths of this checkout's programs. Standard library only: setup imports it before anything else
exists.
"""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLACES = (ROOT / ".venv" / "bin", ROOT / "node_modules" / ".bin")


def search_path() -> str:
    """Return a PATH with this checkout's Python, Node and their programs first."""
    return os.pathsep.join([*map(str, PLACES), os.environ.get("PATH", os.defpath)])
