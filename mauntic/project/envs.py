"""The envs of wrangler.toml, one per worker. Standard library only."""

import tomllib
from collections.abc import Iterable
from pathlib import Path

from mauntic.project.programs import ROOT

CONFIG = ROOT / "wrangler.toml"


def envs(config: Path = CONFIG) -> list[str]:
    """Return every env, in the file's order."""
    return list(tomllib.loads(config.read_text(encoding="utf-8"))["env"])


def unknown_envs(names: Iterable[str], config: Path = CONFIG) -> str | None:
    """Return the error for names that are no env; None if all are."""
    declared = envs(config)
    unknown = sorted(set(names) - set(declared))
    if not unknown:
        return None
    return f"wrangler.toml has no env {', '.join(unknown)}; there are {', '.join(declared)}."
