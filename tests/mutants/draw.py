"""Choose mutants at random: first the line, then the change."""

from __future__ import annotations

import subprocess
from collections import defaultdict
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from random import Random

from tests.mutants import python, sql
from tests.mutants.mutant import Mutant, Site

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("shared", "workers")


def sources(root: Path = ROOT, folders: Sequence[str] = FOLDERS) -> list[str]:
    """The Python and SQL files that run in workers, as Git lists them."""
    listed = subprocess.run(
        ["git", "ls-files", *folders], cwd=root, check=True, capture_output=True, text=True
    )
    return [name for name in listed.stdout.splitlines() if name.endswith((".py", ".sql"))]


def sites_of(path: str, root: Path = ROOT) -> list[Site]:
    """Every place of one file where an operator applies."""
    text = (root / path).read_text(encoding="utf-8")
    sites = python.sites if path.endswith(".py") else sql.sites
    return list(sites(path, text))


def draw(count: int, seed: int, paths: Sequence[str] | None = None) -> list[Mutant]:
    """`count` mutants of the files, one a line. The same seed and code give the same ones."""
    rng = Random(seed)
    by_line: dict[tuple[str, int], list[Site]] = defaultdict(list)
    for path in sources() if paths is None else paths:
        for site in sites_of(path):
            by_line[site.path, site.line].append(site)
    lines = sorted(by_line)
    rng.shuffle(lines)
    return list(islice(filter(None, (rng.choice(by_line[line]).make() for line in lines)), count))
