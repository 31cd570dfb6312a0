"""A directory under /var/tmp that belongs to this working tree, for what cannot live in it.

Used when the tree is closed to the account that PostgreSQL runs under (a clone in /root).
Standard library only: `make clean` removes the directory with whatever Python there is.
"""

import hashlib
import os
from pathlib import Path

from mauntic.project.programs import ROOT

OPEN_TO_ALL = Path("/var/tmp")


def elsewhere() -> Path:
    """Where it is, whether or not it exists yet."""
    return OPEN_TO_ALL / f"mauntic-{os.geteuid()}-{short_digest(ROOT)}"


def is_ours(path: Path) -> bool:
    """Whether it is a directory that we made: in /var/tmp anybody may make one of its name."""
    status = path.lstat()
    return path.is_dir() and not path.is_symlink() and status.st_uid == os.geteuid()


def short_digest(path: Path) -> str:
    """A short name for a long path."""
    return hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:12]
