"""A directory under /var/tmp for files of this working tree that cannot be inside it.

It is used when the account that runs PostgreSQL cannot read the tree (a clone in /root). Standard
library only: `make clean` removes the directory with any Python that is installed.
"""

import hashlib
import os
from pathlib import Path

from mauntic.project.programs import ROOT

OPEN_TO_ALL = Path("/var/tmp")


def elsewhere() -> Path:
    """Return its path, whether or not it exists."""
    return OPEN_TO_ALL / f"mauntic-{os.geteuid()}-{short_digest(ROOT)}"


def is_ours(path: Path) -> bool:
    """Return whether it is a directory of this account: in /var/tmp any account may create that
    name.
    """
    status = path.lstat()
    return path.is_dir() and not path.is_symlink() and status.st_uid == os.geteuid()


def short_digest(path: Path) -> str:
    """Return a short name for a long path."""
    return hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:12]
