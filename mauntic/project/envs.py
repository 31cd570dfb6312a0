"""The envs of wrangler.toml, one a worker. Standard library only."""

import tomllib
from collections.abc import Iterable
from pathlib import Path

from mauntic.project.programs import ROOT

CONFIG = ROOT / "wrangler.toml"


def envs(config: Path = CONFIG) -> list[str]:
    """Every env, in the file's order."""
    return list(tomllib.loads(config.read_text(encoding="utf-8"))["env"])


def unknown_envs(names: Iterable[str], config: Path = CONFIG) -> str | None:
    """The sentence that refuses names which are no env; None where all are."""
    known = envs(config)
    strangers = sorted(set(names) - set(known))
    if not strangers:
        return None
    return f"wrangler.toml has no env {', '.join(strangers)}; there are {', '.join(known)}."
